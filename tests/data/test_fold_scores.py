"""Which out-of-fold scores are kept, and in which form."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.data.fold_scores import MOST_VALUES, FoldScores, decode_logits, decode_samples
from hpo.statistics.auc import auc


def _scores(samples: int, labels: int, prevalence: float = 0.3, seed: int = 0) -> FoldScores:
    random = np.random.default_rng(seed)
    truth = (random.random((samples, labels)) < prevalence).astype(np.uint8)
    logits = (random.normal(size=truth.shape) + 2 * truth).astype(np.float32)
    return FoldScores(np.arange(7, samples + 7), truth, logits)


def test_a_small_fold_is_kept_whole_and_comes_back_from_its_bytes() -> None:
    given = _scores(1_046, 1)
    kept = given.kept()
    samples, labels = decode_samples(*kept.encoded_samples())
    assert (samples == given.samples).all()
    assert (labels == given.labels).all()
    assert (decode_logits(kept.encoded_logits(), labels) == given.logits.astype(np.float16)).all()
    assert len(kept.encoded_logits()) == 2 * 1_046


@pytest.mark.parametrize(("samples", "labels"), [(17_945, 14), (100_000, 1)])
def test_of_a_large_fold_a_stratified_subset_is_kept(samples: int, labels: int) -> None:
    given = _scores(samples, labels, prevalence=0.01)
    kept = given.kept()
    assert MOST_VALUES - 2 * labels < kept.logits.size <= MOST_VALUES
    share = len(kept.samples) / samples
    positives, before = kept.labels.sum(axis=0), given.labels.sum(axis=0, dtype=np.int64)
    assert np.abs(positives - share * before).max() < 3
    assert (kept.labels == given.labels[kept.samples - 7]).all()
    assert (np.diff(kept.samples) > 0).all()


def test_every_trial_keeps_the_same_subset() -> None:
    one, other = _scores(40_000, 1), _scores(40_000, 1)
    other = FoldScores(other.samples, other.labels, -other.logits)
    assert one.kept().digest() == other.kept().digest()
    assert one.kept().digest() != _scores(40_000, 1, seed=1).kept().digest()


def test_half_precision_hardly_changes_an_auc() -> None:
    given = _scores(1_000, 1)
    kept = given.kept()
    assert auc(kept.logits[:, 0], kept.labels[:, 0]) == pytest.approx(
        auc(given.logits[:, 0], given.labels[:, 0]), abs=2e-4
    )


def test_scores_beyond_half_precision_keep_their_side() -> None:
    labels = np.array([[0], [1]], dtype=np.uint8)
    kept = FoldScores(np.array([0, 1]), labels, np.array([[-1e9], [1e9]], dtype=np.float32)).kept()
    assert np.isfinite(kept.logits).all()
    assert kept.logits[0] < kept.logits[1]


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    labels = np.zeros((3, 1), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"\(2, 1\)"):
        FoldScores(np.arange(3), labels, np.zeros((2, 1), dtype=np.float32))
    with pytest.raises(ValueError, match="7 bytes"):
        decode_samples(np.arange(3, dtype="<i4").tobytes(), b"1234567")
    with pytest.raises(ValueError, match="2 scores"):
        decode_logits(b"1234", labels)
