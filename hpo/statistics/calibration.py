"""Calibration of out-of-fold scores: do events that are predicted with probability p happen in a share p of cases?

The AUC depends on the order of scores only. A loss that optimises it, such as AUCM, has no reason to produce
probabilities, so its scores are judged as they are and after Platt scaling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hpo.statistics.auc import Array, check_values

BINS = 10
"""Number of bins of a reliability curve, of equally many predictions each."""

_PARTS = 5


@dataclass(frozen=True)
class Reliability:
    """Brier score and reliability curve of predicted probabilities, over all samples and labels.

    Attributes:
        brier: mean squared difference of probability and outcome; 0 is perfect.
        predicted: mean probability in each bin, ascending.
        observed: share of positives in each bin.
    """

    brier: float
    predicted: tuple[float, ...]
    observed: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """Calibration of one configuration.

    Attributes:
        raw: of sigmoid(logit).
        scaled: after Platt scaling within each fold, cross-fitted: each sample's probability comes from a fit without
            it. None if a label has fewer than two samples of a class in a fold.
        constant_brier: Brier score of predicting each label's share of positives for every sample.
    """

    raw: Reliability
    scaled: Reliability | None
    constant_brier: float


def calibration(logits: Sequence[Array], labels: Sequence[Array], seed: int = 0) -> Calibration:
    """Judge the out-of-fold scores of one configuration as probabilities.

    Args:
        logits: (n, L) floats for each fold.
        labels: (n, L) 0 or 1 for each fold.
        seed: of the parts of a fold for cross-fitting.

    Raises:
        ValueError: for nan among the logits, or other labels than 0 and 1.

    Source: Brier 1950; Platt 1999; reliability curve as scikit-learn's `calibration_curve`.
    """
    for scores, truth in zip(logits, labels, strict=True):
        check_values(scores, truth)
    together = np.concatenate(list(labels))
    outcomes = together.ravel()
    raw = np.concatenate([special.expit(scores.astype(np.float64)) for scores in logits])
    scaled = [_platt(scores, truth, seed) for scores, truth in zip(logits, labels, strict=True)]
    complete = [part for part in scaled if part is not None]
    share = together.mean(axis=0)
    return Calibration(
        raw=_reliability(raw.ravel(), outcomes),
        scaled=_reliability(np.concatenate(complete).ravel(), outcomes) if len(complete) == len(scaled) else None,
        constant_brier=float((share * (1 - share)).mean()),
    )


def _platt(logits: Array, labels: Array, seed: int) -> NDArray[np.float64] | None:
    """Return the probabilities by logistic regression on the logit, (n, L); None if a class has fewer than two."""
    smallest = int(np.minimum(labels.sum(axis=0), (1 - labels.astype(np.int64)).sum(axis=0)).min())
    if smallest < 2:
        return None
    parts = StratifiedKFold(min(_PARTS, smallest), shuffle=True, random_state=seed)
    # Standardised, since the penalty would shrink the slope of scores that hardly differ.
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e6))
    columns = [
        cross_val_predict(model, column[:, None], truth, cv=parts, method="predict_proba")[:, 1]
        for column, truth in zip(logits.T.astype(np.float64), labels.T, strict=True)
    ]
    return np.stack(columns, axis=1)


def _reliability(probabilities: NDArray[np.float64], outcomes: NDArray[np.uint8]) -> Reliability:
    observed, predicted = calibration_curve(outcomes, probabilities, n_bins=BINS, strategy="quantile")
    brier = float(np.square(probabilities - outcomes).mean())
    return Reliability(brier, tuple(map(float, predicted)), tuple(map(float, observed)))
