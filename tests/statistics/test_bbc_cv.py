"""BBC-CV beside its definition, and its optimism beside the true one: cases of `benchmarks/bbc_cv.py`."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchmarks import bbc_cv as simulation
from hpo.statistics.auc import OneClassError, auc
from hpo.statistics.bbc_cv import Smoother, corrected_selection, selected_place
from hpo.statistics.bootstrap import MIN_RESAMPLES
from hpo.statistics.out_of_fold import ScoredFold, out_of_fold_aucs


def _folds(
    configurations: int = 6, folds: int = 3, samples: int = 40, labels: int = 1, seed: int = 0, lead: float = 0.0
) -> list[ScoredFold]:
    """Equally good configurations, of which the first is better by `lead`."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(folds):
        truth = (random.random((samples, labels)) < 0.4).astype(np.uint8)
        truth[:2] = [[0], [1]]
        noise = random.normal(size=(1, samples, labels)) + random.normal(size=(configurations, samples, labels))
        heights = 1.0 + lead * (np.arange(configurations) == 0)[:, None, None]
        made.append(ScoredFold(number * samples + np.arange(samples), truth, noise + heights * truth))
    return made


def test_the_best_is_selected_and_corrected_downwards() -> None:
    folds = _folds(configurations=30)
    found = corrected_selection(folds, range(30), resamples=200)
    values = out_of_fold_aucs(folds).values
    assert found.place == values.argmax()
    assert found.auc.naive == pytest.approx(values.max())
    assert found.auc.low < found.auc.corrected < found.auc.high
    assert 0.01 < found.auc.optimism < 0.1
    assert found.resamples == 200


def test_a_perfect_auc_has_an_interval_of_the_samples_and_not_one_of_no_width() -> None:
    folds = _folds(configurations=3, samples=20)
    perfect = [ScoredFold(fold.samples, fold.labels, np.repeat(fold.labels[None], 3, axis=0) * 1.0) for fold in folds]
    found = corrected_selection(perfect, range(3), ensemble=2, resamples=100)
    assert found.ensemble_auc is not None
    for one in (found.auc, found.ensemble_auc):
        assert (one.naive, one.corrected, one.high) == (1.0, 1.0, 1.0)
        # Clopper and Pearson with as many pairs as the rarer class has samples, some 24.
        assert 0.8 < one.low < 0.9


@pytest.mark.slow
def test_it_is_the_procedure_of_the_paper_resample_by_resample() -> None:
    folds = _folds(configurations=8, samples=60)
    found = corrected_selection(folds, range(8), [3], resamples=1000, seed=1)
    random = np.random.default_rng(2)
    left_out, differences = [], []
    for _ in range(1000):
        inside, outside = np.zeros((3, 8)), np.zeros((3, 8))
        for number, fold in enumerate(folds):
            truth = fold.labels[:, 0]
            drawn = np.concatenate([random.choice(np.flatnonzero(truth == label), (truth == label).sum())
                                    for label in (0, 1)])  # fmt: skip
            rest = np.setdiff1d(np.arange(truth.size), drawn)
            for place, scores in enumerate(fold.scores[..., 0]):
                inside[number, place] = auc(scores[drawn], truth[drawn])
                outside[number, place] = auc(scores[rest], truth[rest])
        chosen = inside.mean(axis=0).argmax()
        left_out.append(outside.mean(axis=0)[chosen])
        differences.append(left_out[-1] - outside.mean(axis=0)[3])
    # The means of 1,000 resamples scatter by their standard deviation / 32.
    assert found.auc.corrected == pytest.approx(np.mean(left_out), abs=4 * np.std(left_out) * np.sqrt(2 / 1000))
    assert found.auc.low == pytest.approx(np.quantile(left_out, 0.025), abs=0.015)
    assert found.auc.high == pytest.approx(np.quantile(left_out, 0.975), abs=0.015)
    expected = pytest.approx(np.mean(differences), abs=4 * np.std(differences) * np.sqrt(2 / 1000))
    assert found.differences[3].corrected == expected


def test_a_single_candidate_and_one_far_ahead_have_no_optimism() -> None:
    for folds, candidates in ((_folds(), [2]), (_folds(lead=3.0), range(6))):
        found = corrected_selection(folds, candidates, resamples=400)
        assert found.place == candidates[0]
        assert abs(found.auc.optimism) < 0.005


def test_candidates_out_of_reach_change_nothing() -> None:
    folds = _folds(configurations=12, samples=80)
    hopeless = [
        ScoredFold(fold.samples, fold.labels, np.concatenate([fold.scores, -fold.scores[:5]])) for fold in folds
    ]
    assert corrected_selection(hopeless, range(17)) == corrected_selection(folds, range(12))


def test_averaged_ranks_of_good_configurations_are_better_than_each() -> None:
    found = corrected_selection(_folds(configurations=20, samples=150), range(20), ensemble=5)
    assert len(found.ensemble) == 5
    assert found.ensemble[0] == found.place
    assert found.ensemble_auc is not None
    assert found.ensemble_gain is not None
    assert found.ensemble_gain.corrected > 0.02
    assert found.ensemble_auc.corrected == pytest.approx(found.auc.corrected + found.ensemble_gain.corrected)
    assert corrected_selection(_folds(configurations=1), [0], ensemble=5).ensemble == ()


def test_several_labels_and_repeats_are_corrected_too() -> None:
    folds = _folds(configurations=10, labels=3)
    found = corrected_selection(folds, range(10), ensemble=3, resamples=150)
    assert found.auc.optimism > 0
    again = corrected_selection([*folds, *folds], range(10), resamples=150)
    assert again.auc.naive == pytest.approx(found.auc.naive)
    # The same samples twice are no more samples.
    assert again.auc.high - again.auc.low == pytest.approx(found.auc.high - found.auc.low, rel=0.05)


def test_what_cannot_be_corrected_is_refused() -> None:
    with pytest.raises(ValueError, match="0 candidates"):
        corrected_selection(_folds(), [])
    with pytest.raises(ValueError, match=str(MIN_RESAMPLES)):
        corrected_selection(_folds(), [0], resamples=10)
    two = [ScoredFold(np.arange(2), np.array([[0], [1]], dtype=np.uint8), np.array([[[0.0], [1.0]]]))]
    # The only positive is always drawn, so it is never left out.
    with pytest.raises(OneClassError):
        corrected_selection(two, [0])


@pytest.mark.parametrize(("positives", "labels"), [((1, 1, 1, 1, 1), 1), ((2, 1, 1, 1, 1), 1), ((2, 1), 2)])
def test_a_fold_that_is_never_left_out_is_not_corrected(positives: tuple[int, ...], labels: int) -> None:
    folds = [
        ScoredFold(
            fold.samples, (np.arange(40)[:, None] < np.full(labels, positives[number])).astype(np.uint8), fold.scores
        )
        for number, fold in enumerate(_folds(folds=len(positives), labels=labels))
    ]
    with pytest.raises(OneClassError):
        corrected_selection(folds, range(6))
    place = selected_place(folds, range(1, 6))
    assert place == 1 + out_of_fold_aucs(folds).values[1:].argmax()


def test_folds_and_labels_that_are_seldom_left_out_count_as_much_as_others() -> None:
    # Nothing is selected, and no sample is lucky: one fold or label is ranked perfectly, a rare one the wrong way.
    common, rare = (np.arange(40) < 20), (np.arange(40) < 2)
    single = [
        ScoredFold(40 * number + np.arange(40), truth[:, None].astype(np.uint8), (sign * truth)[None, :, None])
        for number, (truth, sign) in enumerate(((common, 1.0), (rare, -1.0)))
    ]
    several = [
        ScoredFold(
            np.arange(40),
            np.stack([common, np.arange(40) == 7], axis=1).astype(np.uint8),
            np.stack([common, -1.0 * (np.arange(40) == 7)], axis=1)[None],
        )
    ]
    for folds in (single, several):
        found = corrected_selection(folds, [0], resamples=200).auc
        assert (found.naive, found.optimism) == pytest.approx((0.5, 0.0))
        assert found.low < 0.5 < found.high


@pytest.mark.slow
def test_hundreds_of_trials_take_seconds() -> None:
    folds = _folds(configurations=200, folds=5, samples=125)
    start = time.process_time()
    corrected_selection(folds, range(200), [0, 1], ensemble=5)
    assert time.process_time() - start < 20


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_stated_optimism_is_the_true_one_where_all_configurations_are_equal(noise: float) -> None:
    found = simulation.over_searches(noise, 12, seed=1, resamples=100, configurations=20)
    true, error = found["optimism, true"]
    stated, _ = found["optimism, stated"]
    assert true > 0.005
    assert stated == pytest.approx(true, abs=4 * error)
    assert found["holds the networks"][0] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_the_corrected_interval_holds_the_truth(noise: float) -> None:
    found = simulation.over_searches(noise, 60, seed=2, resamples=150)
    assert found["holds the networks"][0] >= 0.93
    assert found["holds the difference"][0] >= 0.93
    assert found["holds the networks"][0] > found["DeLong holds the difference"][0]


def test_a_rule_that_smooths_nothing_selects_by_auc() -> None:
    folds = _folds(configurations=8)
    values = out_of_fold_aucs(folds).values
    plain = corrected_selection(folds, range(8), [2], 3, resamples=200)
    for rule in (Smoother(values, np.eye(8)), Smoother(np.full(8, np.nan), np.zeros((8, 8)))):
        assert corrected_selection(folds, range(8), [2], 3, resamples=200, smoother=rule) == plain


def test_a_smoothing_rule_selects_its_own_best_and_averaging_leaves_less_optimism() -> None:
    folds = _folds(configurations=30)
    values = out_of_fold_aucs(folds).values
    averaged = np.full((30, 30), 0.5 / 30) + 0.5 * np.eye(30)
    worst = int(values.argmin())
    liked = values.copy()
    liked[worst] = 1.0
    fixed = corrected_selection(folds, range(30), resamples=200, smoother=Smoother(liked, 0.1 * averaged))
    assert fixed.place == worst
    assert fixed.auc.naive == pytest.approx(values.min())
    assert abs(fixed.auc.optimism) < 0.01
    plain = corrected_selection(folds, range(30), resamples=200)
    assert fixed.auc.optimism < plain.auc.optimism
