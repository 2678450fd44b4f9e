"""Brier scores and reliability curves of scores that are probabilities, and of scores that are not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special
from sklearn.metrics import brier_score_loss

from hpo.statistics.calibration import BINS, calibration

Folds = tuple[list[NDArray[np.float64]], list[NDArray[np.uint8]]]


def _folds(labels: int = 1, samples: int = 400, folds: int = 5) -> Folds:
    """Logits of which sigmoid(logit) is the true probability of a positive."""
    random = np.random.default_rng(0)
    logits = [random.normal(-1, 1.5, size=(samples, labels)) for _ in range(folds)]
    return logits, [(random.random(part.shape) < special.expit(part)).astype(np.uint8) for part in logits]


def test_true_probabilities_are_calibrated_and_scaling_leaves_them_so() -> None:
    logits, labels = _folds()
    found = calibration(logits, labels)
    assert len(found.raw.predicted) == BINS
    assert np.abs(np.subtract(found.raw.predicted, found.raw.observed)).max() < 0.1
    assert found.scaled is not None
    assert found.scaled.brier == pytest.approx(found.raw.brier, abs=0.003)
    assert found.raw.brier < found.constant_brier


def test_the_brier_score_is_that_of_scikit_learn() -> None:
    logits, labels = _folds()
    expected = brier_score_loss(np.concatenate(labels).ravel(), special.expit(np.concatenate(logits)).ravel())
    assert calibration(logits, labels).raw.brier == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("slope", "offset"), [(0.05, 3.0), (1e-6, 0.0), (20.0, -5.0)])
def test_scores_of_another_scale_are_no_probabilities_until_they_are_scaled(slope: float, offset: float) -> None:
    logits, labels = _folds()
    moved = [slope * part + offset for part in logits]
    found, right = calibration(moved, labels), calibration(logits, labels)
    assert found.scaled is not None
    assert found.raw.brier > right.raw.brier + 0.01
    assert found.scaled.brier == pytest.approx(right.raw.brier, abs=0.003)


def test_folds_of_different_scales_are_scaled_one_by_one() -> None:
    logits, labels = _folds()
    moved = [(1 + number) * part - number for number, part in enumerate(logits)]
    found = calibration(moved, labels)
    assert found.scaled is not None
    assert found.scaled.brier == pytest.approx(calibration(logits, labels).raw.brier, abs=0.003)


@pytest.mark.slow
def test_several_labels_count_together_and_a_rare_one_is_not_scaled() -> None:
    logits, labels = _folds(labels=3)
    found = calibration(logits, labels)
    assert found.scaled is not None
    singles = [
        calibration([part[:, [one]] for part in logits], [part[:, [one]] for part in labels]) for one in range(3)
    ]
    assert found.raw.brier == pytest.approx(np.mean([one.raw.brier for one in singles]))
    labels[0][:, 1] = 0
    assert calibration(logits, labels).scaled is None


def test_missing_scores_are_refused() -> None:
    logits, labels = _folds()
    logits[2][0] = np.nan
    with pytest.raises(ValueError, match="nan"):
        calibration(logits, labels)
