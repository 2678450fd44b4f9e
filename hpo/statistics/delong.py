"""DeLong's intervals and paired test of AUCs: given networks, other rows.

The networks stay as they are; what is random are the rows. Of several trained with other seeds, see `seeds.py`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.estimate import CONFIDENCE, Comparison, Estimate, Scale, compared, share_estimate
from hpo.statistics.measured import Array, Measured, measured_auc


def delong_interval(scores: Array, labels: Array, confidence: float = CONFIDENCE, scale: Scale = "logit") -> Estimate:
    """AUC of one network with DeLong's standard error and an interval; of several labels, the mean AUC over labels.

    scores: (N,) or (N, L), larger means more positive. labels: the same form, 0 or 1. scale: as `mean_of_networks`.
    Raises as `measured_auc`. Source: DeLong et al. 1988.
    """
    return mean_of_networks(measured_auc(scores[None], labels), confidence, scale)


def delong_covariance(scores: Array, labels: Array) -> NDArray[np.float64]:
    """Covariance of the AUCs of K networks on the same rows, (K, K).

    scores: (K, N) or (K, N, L), larger means more positive. labels: (N,) or (N, L), 0 or 1.
    Raises as `measured_auc`. Source: DeLong et al. 1988, equation 6.
    """
    return measured_auc(scores, labels).covariance()


def delong_test(first: Array, second: Array, labels: Array, confidence: float = CONFIDENCE) -> Comparison:
    """AUC of the first network minus that of the second on the same rows, with interval and p by DeLong's method.

    first, second: (N,) or (N, L), larger means more positive. labels: the same form, 0 or 1.
    Raises as `measured_auc`. Source: DeLong et al. 1988.
    """
    if first.shape != second.shape:
        raise ValueError(f"scores are {first.shape} and {second.shape}; a paired test needs the same rows")
    return difference_of_networks(measured_auc(first[None], labels), measured_auc(second[None], labels), confidence)


def mean_of_networks(measured: Measured, confidence: float = CONFIDENCE, scale: Scale = "logit") -> Estimate:
    """Mean value of these very networks, with an interval for other rows; training is not repeated in thought.

    scale: "plain" is DeLong's own, AUC +- z error, as in R's pROC; it can exceed 1 and covers too seldom near 1.
    "logit" stays below 1 and takes Student's t with `Measured.degrees` (`benchmarks/coverage.py` compares the two).
    Source: DeLong et al. 1988, of a mean of correlated AUCs; logit: Pepe 2003, chapter 5.
    """
    mean = measured.averaged()
    degrees = measured.degrees() if scale == "logit" else math.inf
    return share_estimate(mean.mean, float(mean.errors()[0]), measured.throws, confidence, degrees, scale)


def difference_of_networks(first: Measured, second: Measured, confidence: float = CONFIDENCE) -> Comparison:
    """Mean of the first networks minus mean of the second, these very networks on other rows: paired over rows.

    first, second: measured on the same rows; they may hold different numbers of networks.
    Raises ValueError if the numbers of rows differ. Source: DeLong et al. 1988.
    """
    check_same_rows(first, second)
    one, other = first.averaged(), second.averaged()
    error = float(np.linalg.norm(one.influences - other.influences))
    return compared(one.mean - other.mean, error, confidence, reach=unseen_reach(one, other))


def check_same_rows(first: Measured, second: Measured) -> None:
    """Raises ValueError if the two were measured on different numbers of rows."""
    rows = first.influences.shape[1], second.influences.shape[1]
    if rows[0] != rows[1]:
        raise ValueError(f"{rows[0]} rows against {rows[1]}; a paired comparison needs the same rows")


def unseen_reach(first: Measured, second: Measured) -> float:
    """How far a difference without spread can be from what was seen: 0 for the same ranking of rows, else 1."""
    alike = first.influences.any() and np.allclose(first.influences, second.influences, rtol=0, atol=1e-14)
    return 0.0 if alike else 1.0
