"""The bootstrap of samples: each draw against the AUC of the samples drawn, intervals against scipy's and DeLong's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from hpo.statistics import bootstrap
from hpo.statistics.auc import OneClassError, auc, mean_auc_with_error
from hpo.statistics.bootstrap import bootstrap_aucs, bootstrap_difference, bootstrap_interval
from hpo.statistics.delong import delong_interval, delong_test

LABELS = np.repeat(np.array([1, 0]), [22, 76])


def drawn(networks: int, seed: int, distinct: int | None = None) -> NDArray:
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(networks, LABELS.size)) + generator.normal(size=LABELS.size) + 1.8 * LABELS
    return scores if distinct is None else np.round(scores * distinct)


def repeated(values: NDArray, weights: NDArray) -> NDArray:
    return np.repeat(values, weights, axis=0)


@pytest.mark.parametrize("distinct", [None, 1])
def test_each_draw_is_the_auc_of_its_samples_with_and_without_ties(
    distinct: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[NDArray] = []

    def remembered(samples: int, draws: int, random: np.random.Generator) -> NDArray:
        places = random.integers(samples, size=(samples, draws))
        weights.append(np.stack([np.bincount(column, minlength=samples) for column in places.T], axis=1))
        return weights[-1]

    monkeypatch.setattr(bootstrap, "resample_counts", remembered)
    scores = drawn(2, 0, distinct)
    areas = bootstrap_aucs(scores, LABELS, resamples=30)
    positives, negatives = weights
    for network in range(2):
        for draw in range(30):
            counts = np.concatenate([positives[:, draw], negatives[:, draw]])
            expected = auc(repeated(scores[network], counts), repeated(LABELS, counts))
            assert areas[network, draw] == pytest.approx(expected, abs=1e-14)


def test_each_draw_of_several_labels_is_their_mean_auc_without_labels_that_lack_a_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = np.random.default_rng(1)
    labels = (generator.random((40, 4)) < np.array([0.3, 0.5, 0.04, 0.0])).astype(np.uint8)
    labels[0, 2] = 1
    scores = generator.normal(size=(1, 40, 4)) + labels
    weights: list[NDArray] = []
    honest = bootstrap.resample_counts

    def remembered(samples: int, draws: int, random: np.random.Generator) -> NDArray:
        weights.append(honest(samples, draws, random))
        return weights[-1]

    monkeypatch.setattr(bootstrap, "resample_counts", remembered)
    areas = bootstrap_aucs(scores, labels, resamples=40)
    lacking = 0
    for draw in range(40):
        samples, given = repeated(scores[0], weights[0][:, draw]), repeated(labels, weights[0][:, draw])
        lacking += not given[:, 2].any()
        assert areas[0, draw] == pytest.approx(mean_auc_with_error(samples, given)[0], abs=1e-13)
    assert lacking > 0


def test_draws_are_of_as_many_samples_and_each_is_equally_likely() -> None:
    weights = bootstrap.resample_counts(10, 20_000, np.random.default_rng(0))
    assert (weights.sum(axis=0) == 10).all()
    # The mean of 20 000 draws of Binomial(10, 1/10) has a standard deviation of 0.0067.
    assert np.abs(weights.mean(axis=1) - 1).max() < 0.03
    assert weights.var(axis=1) == pytest.approx(np.full(10, 0.9), abs=0.06)


def test_the_same_seed_gives_the_same_draws_and_another_seed_others() -> None:
    scores = drawn(1, 2)
    assert (bootstrap_aucs(scores, LABELS, 50, seed=3) == bootstrap_aucs(scores, LABELS, 50, seed=3)).all()
    assert (bootstrap_aucs(scores, LABELS, 50, seed=3) != bootstrap_aucs(scores, LABELS, 50, seed=4)).any()


def test_draws_in_several_portions_are_as_many_and_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = drawn(2, 2)
    monkeypatch.setattr(bootstrap, "MAX_COUNTS", 98 * 64)
    areas = bootstrap_aucs(scores, LABELS, 1000)
    assert areas.shape == (2, 1000)
    assert np.unique(areas[0]).size > 200
    assert areas[0].std() == pytest.approx(delong_interval(scores[0], LABELS).error, rel=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_bca_interval_is_scipys_but_for_the_draws(seed: int) -> None:
    scores = drawn(1, seed)[0]

    def area(positives: NDArray, negatives: NDArray, axis: int = -1) -> NDArray:
        wins = positives[..., :, None] > negatives[..., None, :]
        return wins.mean(axis=(-2, -1))

    theirs = stats.bootstrap(
        (scores[:22], scores[22:]),
        area,
        n_resamples=4000,
        batch=500,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    ours = bootstrap_interval(scores, LABELS, resamples=20_000)
    # A quantile at 2.5 % of 4000 draws has a standard deviation of 0.04 errors; two ends, three seeds.
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.15 * ours.error)


def expansion(parts_of_positives: NDArray, parts_of_negatives: NDArray) -> tuple[float, float]:
    """Factor and degrees from each sample's share of pairs that it wins, by the formulas of the two classes."""
    variances = [parts.var(ddof=1) / parts.size for parts in (parts_of_positives, parts_of_negatives)]
    plain = [parts.var(ddof=0) / parts.size for parts in (parts_of_positives, parts_of_negatives)]
    degrees = sum(variances) ** 2 / (variances[0] ** 2 / 21 + variances[1] ** 2 / 75)
    return float(np.sqrt(sum(variances) / sum(plain))), float(degrees)


def wins(scores: NDArray) -> tuple[NDArray, NDArray]:
    won = scores[:22, None] > scores[None, 22:]
    return won.mean(axis=1), won.mean(axis=0)


def test_an_expanded_interval_is_quantiles_farther_out_by_t_and_by_the_divisors_of_the_draws() -> None:
    scores = drawn(1, 5)
    factor, degrees = expansion(*wins(scores[0]))
    tail = stats.norm.cdf(-factor * stats.t.ppf(0.95, degrees))
    low, high = np.quantile(bootstrap_aucs(scores, LABELS, 500, seed=1)[0], [tail, 1 - tail])
    estimate = bootstrap_interval(scores[0], LABELS, 500, seed=1, confidence=0.9, method="expanded")
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert tail < 0.05
    assert estimate.value == pytest.approx(auc(scores[0], LABELS))


def test_a_paired_interval_leaves_out_zero_where_its_p_is_small() -> None:
    verdicts = set()
    for seed in range(12):
        first, second = drawn(2, seed)
        comparison = bootstrap_difference(first, second, LABELS, 2000)
        if abs(comparison.p - 0.05) > 0.005:
            assert comparison.is_distinguishable == (comparison.p < 0.05)
            verdicts.add(comparison.is_distinguishable)
    assert verdicts == {True, False}


def test_the_error_is_delongs_but_for_the_draws() -> None:
    scores = drawn(1, 6)[0]
    assert bootstrap_interval(scores, LABELS, 4000).error == pytest.approx(
        delong_interval(scores, LABELS).error, rel=0.06
    )


def test_the_paired_difference_agrees_with_delongs_test() -> None:
    scores = drawn(2, 7)
    ours, delong = bootstrap_difference(scores[0], scores[1], LABELS, 4000), delong_test(scores[0], scores[1], LABELS)
    assert ours.difference == pytest.approx(delong.difference)
    assert ours.error == pytest.approx(delong.error, rel=0.06)
    assert (ours.low, ours.high) == pytest.approx((delong.low, delong.high), abs=0.3 * delong.error)
    assert ours.p == pytest.approx(delong.p, abs=0.06)


def test_a_difference_of_means_draws_the_same_samples_for_all_networks() -> None:
    scores = drawn(3, 8)
    shifted = bootstrap_difference(scores, 5 * scores + 1, LABELS, 200)
    assert (shifted.difference, shifted.low, shifted.high, shifted.p) == (0.0, 0.0, 0.0, 1.0)


def test_a_clear_difference_has_the_smallest_p_that_so_many_draws_can_show() -> None:
    scores = drawn(1, 9)[0]
    comparison = bootstrap_difference(scores, -scores, LABELS, 999)
    positives, negatives = wins(scores)
    factor, degrees = expansion(2 * positives, 2 * negatives)
    assert comparison.p == pytest.approx(2 * stats.t.sf(stats.norm.isf(1 / 1000) / factor, degrees))
    assert comparison.is_distinguishable


def test_a_perfect_ranking_has_clopper_and_pearsons_interval_for_the_smaller_class() -> None:
    estimate = bootstrap_interval(np.arange(98.0), LABELS[::-1], 100)
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert estimate.low == pytest.approx(0.025 ** (1 / 22))


def test_a_perfect_network_against_a_constant_one_says_nothing_for_lack_of_spread() -> None:
    comparison = bootstrap_difference(np.arange(98.0), np.zeros(98), LABELS[::-1], 100)
    assert math.isnan(comparison.p)
    assert (comparison.low, comparison.high) == (-1.0, 1.0)


def test_too_few_draws_raise() -> None:
    with pytest.raises(ValueError, match=r"resamples\D+0\b"):
        bootstrap_aucs(drawn(1, 0), LABELS, 0)
    with pytest.raises(ValueError, match=r"resamples\D+99\b"):
        bootstrap_interval(drawn(1, 0)[0], LABELS, 99)
    with pytest.raises(ValueError, match=r"resamples\D+1\b"):
        bootstrap_difference(drawn(1, 0)[0], drawn(1, 1)[0], LABELS, 1)


def test_other_samples_and_labels_of_one_class_raise() -> None:
    scores = drawn(1, 0)[0]
    with pytest.raises(ValueError, match=r"\(98,\).*\(50,\)"):
        bootstrap_difference(scores, scores[:50], LABELS)
    with pytest.raises(OneClassError):
        bootstrap_interval(scores, np.zeros(98))


def test_labels_of_one_class_raise() -> None:
    with pytest.raises(OneClassError, match=r"\b1\b.*\b98\b"):
        bootstrap_aucs(drawn(1, 0), np.zeros(98))
    with pytest.raises(OneClassError, match=r"\b2\b.*\b5\b"):
        bootstrap_aucs(np.zeros((1, 5, 2)), np.zeros((5, 2)))


def test_a_resample_in_which_every_label_lacks_a_class_is_left_out() -> None:
    labels = np.zeros((40, 2), dtype=np.uint8)
    labels[[3, 7], [0, 1]] = 1
    scores = np.random.default_rng(0).random((2, 40, 2))
    areas = bootstrap_aucs(scores, labels, 1000)
    # Each positive is missing in exp(-1) of the resamples.
    assert np.isnan(areas[0]).mean() == pytest.approx(math.exp(-2), abs=0.04)
    assert (np.isnan(areas[0]) == np.isnan(areas[1])).all()
    known = areas[:, ~np.isnan(areas[0])]
    found = bootstrap_interval(scores, labels, 1000)
    assert found.error == pytest.approx(known.mean(axis=0).std(ddof=1))
    assert known.mean(axis=0).min() <= found.low < found.value < found.high <= known.mean(axis=0).max()
    compared = bootstrap_difference(scores[0], scores[1], labels, 1000)
    assert compared.error == pytest.approx((known[0] - known[1]).std(ddof=1))
    assert compared.low < compared.difference < compared.high
    assert 0 < compared.p <= 1


def test_areas_that_vary_only_by_the_labels_that_a_resample_lacks_have_an_interval() -> None:
    labels = np.zeros((40, 2), dtype=np.uint8)
    labels[:20, 0] = labels[3, 1] = 1
    scores = np.stack([labels[:, 0], -labels[:, 1].astype(float)], axis=1)
    found = bootstrap_interval(scores, labels, 200)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 1.0)
