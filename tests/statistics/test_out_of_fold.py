"""The AUC over folds and its covariance, beside DeLong's on the pooled samples."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.statistics.auc import OneClassError, auc, mean_auc_with_error
from hpo.statistics.delong import delong_test, difference_of_fixed_networks
from hpo.statistics.network_metrics import NetworkMetrics
from hpo.statistics.out_of_fold import SampleIndex, ScoredFold, out_of_fold_aucs


def _simulated(random: np.random.Generator, folds: int = 5, samples: int = 60, labels: int = 1) -> list[ScoredFold]:
    """Two networks a fold, the first better by .04; in each fold scores have another offset and scale."""
    made = []
    for number in range(folds):
        truth = (np.arange(samples)[:, None] % 3 == 0) * np.ones(labels, dtype=np.uint8)
        common = random.normal(size=(1, samples, labels))
        own = random.normal(size=(2, samples, labels))
        heights = np.array([1.5, 1.25])[:, None, None] * truth
        scores = (1 + number) * (np.sqrt(0.7) * common + np.sqrt(0.3) * own + heights) + number
        made.append(ScoredFold(number * samples + np.arange(samples), truth.astype(np.uint8), scores))
    return made


def _compared(metrics: NetworkMetrics) -> tuple[NetworkMetrics, NetworkMetrics]:
    one, other = (NetworkMetrics(metrics.values[[row]], metrics.influences[[row]], 1) for row in (0, 1))
    return one, other


def test_values_are_means_over_folds_and_errors_those_of_independent_folds() -> None:
    folds = _simulated(np.random.default_rng(0))
    found = out_of_fold_aucs(folds)
    single = [mean_auc_with_error(fold.scores[0], fold.labels) for fold in folds]
    assert found.values[0] == pytest.approx(np.mean([area for area, _ in single]), abs=1e-14)
    expected = np.sqrt(sum(error**2 for _, error in single)) / len(folds)
    assert found.standard_errors()[0] == pytest.approx(expected, abs=1e-14)
    assert found.binomial_n == sum(int(fold.labels.sum()) for fold in folds)


def test_one_fold_is_delongs_test() -> None:
    (fold,) = _simulated(np.random.default_rng(1), folds=1, samples=200)
    found = difference_of_fixed_networks(*_compared(out_of_fold_aucs([fold])))
    expected = delong_test(fold.scores[0, :, 0], fold.scores[1, :, 0], fold.labels[:, 0])
    assert (found.difference, found.error, found.p) == pytest.approx((expected.difference, expected.error, expected.p))


@pytest.mark.slow
def test_of_one_network_that_scores_all_folds_the_pooled_comparison_says_the_same() -> None:
    random = np.random.default_rng(2)
    pooled, folded, errors = [], [], []
    for _ in range(300):
        whole = _simulated(random, folds=1, samples=300)[0]
        parts = [
            ScoredFold(whole.samples[rows], whole.labels[rows], whole.scores[:, rows])
            for rows in np.array_split(random.permutation(300), 5)
        ]
        one = delong_test(whole.scores[0, :, 0], whole.scores[1, :, 0], whole.labels[:, 0])
        other = difference_of_fixed_networks(*_compared(out_of_fold_aucs(parts)))
        pooled.append(one.difference)
        folded.append(other.difference)
        errors.append(other.error / one.error)
    assert np.mean(folded) == pytest.approx(np.mean(pooled), abs=0.002)
    # Pairs across folds are not counted.
    assert 0.99 < np.mean(errors) < 1.08
    assert np.corrcoef(pooled, folded)[0, 1] > 0.9


@pytest.mark.slow
def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    truth = np.mean([np.subtract(*out_of_fold_aucs(_simulated(random, 20, 600)).values) for _ in range(30)])
    held = 0
    for _ in range(600):
        found = difference_of_fixed_networks(*_compared(out_of_fold_aucs(_simulated(random))))
        held += found.low <= truth <= found.high
    # 95 % of 600 have a standard deviation of .9 %.
    assert 0.925 <= held / 600 <= 0.975


def test_scores_of_different_folds_are_not_compared() -> None:
    folds = _simulated(np.random.default_rng(4))
    moved = [ScoredFold(fold.samples, fold.labels, fold.scores * 3 - 100 * n) for n, fold in enumerate(folds)]
    assert out_of_fold_aucs(moved).values == pytest.approx(out_of_fold_aucs(folds).values, abs=1e-14)
    pooled = np.concatenate([fold.scores[0, :, 0] for fold in moved])
    assert auc(pooled, np.concatenate([fold.labels[:, 0] for fold in moved])) < 0.7


def test_a_sample_that_is_scored_in_every_repeat_counts_once() -> None:
    once = _simulated(np.random.default_rng(5))
    twice = out_of_fold_aucs([*once, *once])
    assert twice.standard_errors() == pytest.approx(out_of_fold_aucs(once).standard_errors(), abs=1e-14)
    assert SampleIndex.of([*once, *once]).count == 300
    assert twice.binomial_n == out_of_fold_aucs(once).binomial_n


def test_several_labels_are_averaged_and_a_fold_without_classes_is_refused() -> None:
    folds = _simulated(np.random.default_rng(6), labels=3)
    singles = [
        out_of_fold_aucs([ScoredFold(f.samples, f.labels[:, [one]], f.scores[..., [one]]) for f in folds]).values
        for one in range(3)
    ]
    assert out_of_fold_aucs(folds).values == pytest.approx(np.mean(singles, axis=0), abs=1e-14)
    with pytest.raises(OneClassError):
        out_of_fold_aucs([*folds, ScoredFold(np.arange(5), np.zeros((5, 3), dtype=np.uint8), np.zeros((2, 5, 3)))])
