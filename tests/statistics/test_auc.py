"""The AUC against scikit-learn, DeLong's error against its definition, both against a small case by hand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from hpo.statistics.auc import OneClassError, auc, mean_auc_with_error, mean_weighted_auc


def drawn(samples: int, seed: int, distinct: int | None = None, share: float = 0.3) -> tuple[NDArray, NDArray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random(samples) < share).astype(np.uint8)
    labels[:4] = 0, 1, 0, 1
    scores = generator.normal(size=samples) + labels
    return (scores if distinct is None else np.round(scores * distinct)), labels


def auc_with_error(scores: NDArray, labels: NDArray) -> tuple[float, float]:
    return mean_auc_with_error(scores[:, None], labels[:, None])


def delong_by_definition(scores: NDArray, labels: NDArray) -> float:
    """S10 / m + S01 / n of DeLong et al. 1988, equations 5 and 6, from the matrix of all pairs."""
    positives, negatives = scores[labels == 1], scores[labels == 0]
    wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    return float(np.sqrt(wins.mean(1).var(ddof=1) / positives.size + wins.mean(0).var(ddof=1) / negatives.size))


@pytest.mark.parametrize("distinct", [None, 1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_auc_equals_scikit_learns_with_and_without_ties(seed: int, distinct: int | None) -> None:
    scores, labels = drawn(200, seed, distinct)
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("distinct", [None, 1])
def test_error_equals_delongs_definition_over_all_pairs(distinct: int | None) -> None:
    scores, labels = drawn(150, 7, distinct)
    area, error = auc_with_error(scores, labels)
    assert area == pytest.approx(auc(scores, labels), abs=1e-15)
    assert error == pytest.approx(delong_by_definition(scores, labels), rel=1e-12)


def area_by_pairs(scores: NDArray, labels: NDArray) -> float:
    """Share of all pairs won, a tie one half, in whole numbers until the last division."""
    positives, negatives = scores[labels == 1], scores[labels == 0]
    doubled = 2 * int((positives[:, None] > negatives).sum()) + int((positives[:, None] == negatives).sum())
    return doubled / (2 * positives.size * negatives.size)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int64, np.uint8])
def test_any_kind_of_numbers_gives_the_very_auc_of_counting_all_pairs(kind: type) -> None:
    generator = np.random.default_rng(11)
    for _ in range(40):
        samples = int(generator.integers(2, 50))
        labels = np.zeros(samples, dtype=np.uint8)
        labels[: generator.integers(1, samples)] = 1
        scores = (generator.random(samples) * generator.choice([2, 9, 200])).astype(kind)
        area, error = auc_with_error(scores, labels)
        assert area == auc(scores, labels) == area_by_pairs(scores, labels)
        if 1 < labels.sum() < samples - 1:
            assert error == pytest.approx(delong_by_definition(scores, labels), rel=1e-12, abs=1e-15)


def test_zero_and_minus_zero_tie() -> None:
    assert auc(np.array([0.0, -0.0]), np.array([1, 0])) == auc(np.array([-0.0, 0.0]), np.array([1, 0])) == 0.5


def test_the_order_of_the_samples_changes_nothing() -> None:
    scores, labels = drawn(300, 12, distinct=2)
    shuffled = np.random.default_rng(0).permutation(300)
    assert auc_with_error(scores[shuffled], labels[shuffled]) == pytest.approx(
        auc_with_error(scores, labels), rel=1e-14
    )


def test_auc_and_error_of_five_samples_are_those_derived_by_hand() -> None:
    # Positives 4, 2; negatives 3, 2, 1. Pairs won: 4 wins 3 of 3; 2 ties with 2 and beats 1: 1.5 of 3. AUC = 4.5/6.
    # V10 = 1, 1/2: variance 1/8. V01 = 1/2 (for 3), 3/4 (for 2), 1 (for 1): variance 1/16. Sum 1/8/2 + 1/16/3 = 1/12.
    area, error = auc_with_error(np.array([4, 2, 3, 2, 1]), np.array([1, 1, 0, 0, 0]))
    assert area == 0.75
    assert error == pytest.approx(np.sqrt(1 / 12), rel=1e-14)


def test_a_perfect_ranking_has_auc_one_and_a_reversed_one_zero() -> None:
    labels = np.array([0, 0, 1, 1])
    assert auc(np.array([1.0, 2.0, 3.0, 4.0]), labels) == 1.0
    assert auc(np.array([4.0, 3.0, 2.0, 1.0]), labels) == 0.0


def test_constant_scores_have_auc_one_half() -> None:
    assert auc(np.zeros(9), np.arange(9) % 2) == 0.5


def test_infinite_scores_are_ranked_at_the_ends() -> None:
    assert auc(np.array([-np.inf, 0.0, np.inf]), np.array([0, 0, 1])) == 1.0


def test_auc_does_not_change_under_a_rising_map_of_scores() -> None:
    scores, labels = drawn(100, 3)
    assert auc(np.exp(scores), labels) == auc(scores, labels)


def test_a_class_of_one_row_gives_a_finite_error() -> None:
    area, error = auc_with_error(np.array([2.0, 1.0, 3.0, 0.0]), np.array([1, 0, 0, 0]))
    assert area == pytest.approx(2 / 3)
    assert np.sqrt(area * (1 - area)) <= error < 1


@pytest.mark.parametrize("label", [0, 1])
def test_equal_labels_raise(label: int) -> None:
    with pytest.raises(OneClassError):
        auc(np.arange(3.0), np.full(3, label))


def test_no_samples_raise() -> None:
    with pytest.raises(OneClassError):
        auc_with_error(np.zeros(0), np.zeros(0))


def test_nan_among_scores_raises_rather_than_being_ranked() -> None:
    with pytest.raises(ValueError, match="nan"):
        auc(np.array([0.0, np.nan]), np.array([0, 1]))


def test_other_labels_than_zero_and_one_raise() -> None:
    with pytest.raises(ValueError, match=r"labels.*\b0\b.*\b1\b"):
        auc(np.array([0.0, 1.0]), np.array([0, 2]))


def test_a_column_of_scores_against_flat_labels_raises_rather_than_being_broadcast() -> None:
    with pytest.raises(ValueError, match=r"\(3, 1\).*\(3,\)"):
        auc(np.zeros((3, 1)), np.array([0, 1, 1]))


def test_two_equal_labels_have_the_error_of_one_since_they_share_their_samples() -> None:
    scores, labels = drawn(80, 2)
    twice = mean_auc_with_error(np.stack([scores, scores], 1), np.stack([labels, labels], 1))
    assert twice == pytest.approx(auc_with_error(scores, labels))


def test_a_label_and_its_mirror_image_have_mean_one_half_without_error() -> None:
    scores, labels = drawn(80, 2)
    mean, error = mean_auc_with_error(np.stack([scores, -scores], 1), np.stack([labels, labels], 1))
    assert (mean, error) == pytest.approx((0.5, 0.0), abs=1e-12)


def test_labels_without_both_classes_are_left_out_of_the_mean() -> None:
    scores, labels = drawn(60, 4)
    padded = np.stack([labels, np.zeros_like(labels), np.ones_like(labels)], 1)
    assert mean_auc_with_error(np.stack([scores] * 3, 1), padded) == pytest.approx(auc_with_error(scores, labels))


def test_no_label_with_both_classes_raises() -> None:
    with pytest.raises(OneClassError, match=r"\b2\b.*\b5\b"):
        mean_auc_with_error(np.zeros((5, 2)), np.array([[0, 1]] * 5))


def test_mean_equals_scikit_learns_macro_average() -> None:
    generator = np.random.default_rng(0)
    labels = (generator.random((300, 14)) < 0.2).astype(np.uint8)
    scores = (generator.normal(size=labels.shape) + labels).astype(np.float32)
    assert mean_auc_with_error(scores, labels)[0] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_intervals_of_a_mean_over_correlated_labels_cover_the_truth_as_often_as_they_say() -> None:
    # Scores N(1, 1) against N(0, 1) have AUC = Phi(1/sqrt 2) = 0.76025. Two labels share half of their noise and their
    # positives. 600 draws: the coverage of a true 95 % interval has a standard deviation of 0.9 %.
    generator = np.random.default_rng(5)
    truth, draws, covered = 0.7602499, 600, 0
    for _ in range(draws):
        shared = generator.normal(size=(200, 1))
        labels = (generator.normal(size=(200, 2)) + shared > 0.5).astype(np.uint8)
        common = generator.normal(size=(200, 1))
        scores = np.sqrt(0.5) * (generator.normal(size=(200, 2)) + common) + labels
        mean, error = mean_auc_with_error(scores, labels)
        covered += abs(mean - truth) < 1.96 * error
    assert 0.92 <= covered / draws <= 0.98


def test_error_of_a_mean_over_labels_with_ties_is_that_of_delongs_covariance_matrix() -> None:
    # Mean of L AUCs: error^2 = 1' S 1 / L^2. A sample that is positive for one label and negative for another enters
    # both; S is summed over samples, each sample's influence on each label from the matrix of all pairs of that label.
    generator = np.random.default_rng(8)
    labels = (generator.random((120, 3)) < 0.4).astype(np.uint8)
    scores = np.round(2 * generator.normal(size=labels.shape) + labels)
    parts = np.zeros((120, 3))
    for label in range(3):
        is_positive = labels[:, label] == 1
        positives, negatives = scores[is_positive, label], scores[~is_positive, label]
        wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
        m, n = wins.shape
        parts[is_positive, label] = (wins.mean(1) - wins.mean()) / np.sqrt(m * (m - 1))
        parts[~is_positive, label] = (wins.mean(0) - wins.mean()) / np.sqrt(n * (n - 1))
    expected = np.sqrt((parts.T @ parts).sum()) / 3
    assert mean_auc_with_error(scores, labels)[1] == pytest.approx(expected, rel=1e-12)


def test_eighty_thousand_samples_of_fourteen_labels_are_ranked_without_a_table_of_pairs() -> None:
    """A table of the 4,000 positives by the 76,000 negatives of one label would take 300 MB or more."""
    generator = np.random.default_rng(0)
    labels = (generator.random((80_000, 14)) < 0.05).astype(np.uint8)
    scores = generator.normal(size=labels.shape).astype(np.float32)
    tracemalloc.start()
    mean_auc_with_error(scores, labels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * scores.nbytes


def test_the_weighted_auc_is_scikit_learns_with_ties_for_each_label() -> None:
    generator = np.random.default_rng(3)
    scores, labels = np.round(generator.normal(size=(80, 3)), 1), (generator.random((80, 3)) < 0.3).astype(np.uint8)
    weights = generator.uniform(0.1, 2.0, 80)
    expected = np.mean([roc_auc_score(labels[:, k], scores[:, k], sample_weight=weights) for k in range(3)])
    assert mean_weighted_auc(scores, labels, weights) == pytest.approx(expected, rel=1e-12)


def test_weights_by_class_do_not_change_the_auc() -> None:
    scores, labels = drawn(60, 1, distinct=3)
    weights = np.where(labels == 1, 5.0, 0.2)
    assert mean_weighted_auc(scores[:, None], labels[:, None], weights) == pytest.approx(auc(scores, labels), rel=1e-12)


def test_a_weighted_auc_needs_a_label_with_both_classes() -> None:
    with pytest.raises(OneClassError):
        mean_weighted_auc(np.zeros((3, 1)), np.ones((3, 1), dtype=np.uint8), np.ones(3))
