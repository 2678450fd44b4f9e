"""The corrected resampled t-test: means over repeated cross-validation, whose folds share training samples.

The plain t-test treats folds as independent and finds differences where there are none. Nadeau and Bengio's correction
adds the part of the variance that comes from the shared training samples.
"""

from __future__ import annotations

import math

import numpy as np

from hpo.statistics.auc import Array
from hpo.statistics.intervals import CONFIDENCE, Comparison, Estimate
from hpo.statistics.moderated_variance import VariancePrior
from hpo.statistics.t_intervals import proportion_estimate, t_comparison


def corrected_difference(
    differences: Array,
    confidence: float = CONFIDENCE,
    test_train_ratio: float | None = None,
    prior: VariancePrior | None = None,
) -> Comparison:
    """Compare two configurations over repeated cross-validation by the corrected resampled t-test.

    The standard error is sqrt((1 / (R k) + test_train_ratio) s^2), s^2 the variance of all R k differences, with
    R k - 1 degrees of freedom.

    Args:
        differences: (R, k) AUC of the first minus the second, for R repeats of k folds; in each fold both are trained
            and scored on the same samples.
        test_train_ratio: number of validation samples over number of training samples; default 1 / (k - 1). Required
            for repeated hold-out (k = 1); 0 if the samples never change.
        prior: moderates s^2 and its degrees of freedom, where many configurations are compared.

    Raises:
        ValueError: for nan, for fewer than two values, or for one fold without `test_train_ratio`.

    Source: Nadeau and Bengio 2003 (Machine Learning 52:239); repeated k-fold cross-validation: Bouckaert and Frank
    2004.
    """
    error, degrees = _corrected_error(differences, test_train_ratio, prior)
    return t_comparison(float(differences.mean()), error, confidence, degrees, degenerate_half_width=1.0)


def corrected_mean(values: Array, confidence: float = CONFIDENCE, test_train_ratio: float | None = None) -> Estimate:
    """Compute the mean AUC of one configuration over repeated cross-validation with a corrected logit interval.

    Args:
        values: (R, k) AUC of R repeats of k folds.
        test_train_ratio: as `corrected_difference`; so are errors and source.
    """
    error, degrees = _corrected_error(values, test_train_ratio)
    return proportion_estimate(float(values.mean()), error, values.size, confidence, degrees, scale="logit")


def _corrected_error(
    values: Array, test_train_ratio: float | None, prior: VariancePrior | None = None
) -> tuple[float, float]:
    """Return the standard error of the mean and its degrees of freedom."""
    if values.ndim != 2 or values.size < 2:
        raise ValueError(f"values are {values.shape}; expected (repeats, folds) with at least two values")
    if not np.isfinite(values).all():
        raise ValueError("values contain nan or infinity; every fold of a repeat is needed")
    folds = values.shape[1]
    if test_train_ratio is None and folds == 1:
        raise ValueError("one fold per repeat; test_train_ratio is required")
    ratio = 1 / (folds - 1) if test_train_ratio is None else test_train_ratio
    variance, degrees = float(values.var(ddof=1)), float(values.size - 1)
    if prior is not None:
        variance, degrees = prior.moderate(variance, degrees)
    return math.sqrt((1 / values.size + ratio) * variance), degrees
