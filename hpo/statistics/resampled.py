"""Means over repeats of cross-validation, whose folds are not independent: they share training rows.

The plain t test over folds takes them as independent and finds differences where there are none. The correction
of Nadeau and Bengio adds to the variance the part that comes from shared training rows.
"""

from __future__ import annotations

import math

import numpy as np

from hpo.statistics.estimate import CONFIDENCE, Comparison, Estimate, compared, share_estimate
from hpo.statistics.measured import Array
from hpo.statistics.moderated import Moderation


def corrected_difference(
    differences: Array,
    confidence: float = CONFIDENCE,
    scored_to_fit: float | None = None,
    usual: Moderation | None = None,
) -> Comparison:
    """Mean difference of two configurations over repeated cross-validation, by the corrected resampled t-test.

    differences: (R, k) first minus second, of R repeats (seeds) of k folds, both trained and scored on the same rows in
    each. scored_to_fit: scored rows over fit rows of a training, 1 / (k - 1) if not given; give it for repeated
    hold-outs, k = 1; 0 stands for rows that never change. usual: where many were compared together, what moderates s^2
    and its degrees of freedom.
    Standard error sqrt((1 / (R k) + scored_to_fit) s^2), s^2 the variance of all R k differences; R k - 1 degrees of
    freedom.
    Raises ValueError for nan, for fewer than two values, or for one fold without `scored_to_fit`.
    Source: Nadeau and Bengio 2003 (Machine Learning 52:239); for repeated k-fold cross-validation Bouckaert and Frank
    2004.
    """
    error, degrees = _corrected_error(differences, scored_to_fit, usual)
    return compared(float(differences.mean()), error, confidence, degrees, reach=1.0)


def corrected_mean(values: Array, confidence: float = CONFIDENCE, scored_to_fit: float | None = None) -> Estimate:
    """Mean AUC of one configuration over repeated cross-validation, with the same correction; logit interval.

    values: (R, k) AUC of R repeats of k folds. scored_to_fit, errors, source: as `corrected_difference`.
    """
    error, degrees = _corrected_error(values, scored_to_fit)
    return share_estimate(float(values.mean()), error, values.size, confidence, degrees, scale="logit")


def _corrected_error(
    values: Array, scored_to_fit: float | None, usual: Moderation | None = None
) -> tuple[float, float]:
    """Standard error of the mean, and its degrees of freedom."""
    if values.ndim != 2 or values.size < 2:
        raise ValueError(f"values are {values.shape}; give (repeats, folds) with two values or more")
    if not np.isfinite(values).all():
        raise ValueError("values hold nan or infinity; leave out no fold of a repeat")
    folds = values.shape[1]
    if scored_to_fit is None and folds == 1:
        raise ValueError("one fold in each repeat; give scored_to_fit, the scored rows over the fit rows")
    shared = 1 / (folds - 1) if scored_to_fit is None else scored_to_fit
    variance, degrees = float(values.var(ddof=1)), float(values.size - 1)
    if usual is not None:
        variance, degrees = usual.of(variance, degrees)
    return math.sqrt((1 / values.size + shared) * variance), degrees
