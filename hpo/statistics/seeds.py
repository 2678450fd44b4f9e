"""Several networks of one configuration, trained with other seeds, scored on the same rows.

Which question an interval answers depends on what would be drawn anew:

| drawn anew | question | function |
|---|---|---|
| rows | how do these very networks do on other rows? | `delong.mean_of_networks`, `delong.difference_of_networks` |
| seeds | how would other trainings do on these very rows? | `mean_on_these_rows` |
| seeds and rows | how does the configuration do? | `mean_over_seeds`, `difference_over_seeds` |

The last is the analysis of Obuchowski and Rockette for several readers of the same cases: a seed is a reader, a row is
a case. The AUCs of two seeds are correlated, since both are scored on the same rows; their mean square over
seeds holds the spread of training plus the part of the rows that they do not share, and the covariance of two seeds the
part that no number of seeds takes away. The training rows are the same for all: none of these answers what other
training rows would have given.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hpo.statistics.delong import check_same_rows, unseen_reach
from hpo.statistics.distributions import two_sided_quantile
from hpo.statistics.estimate import (
    CONFIDENCE,
    Comparison,
    Estimate,
    Scale,
    check_confidence,
    compared,
    share_estimate,
)
from hpo.statistics.measured import Measured


def mean_over_seeds(measured: Measured, confidence: float = CONFIDENCE, scale: Scale = "logit") -> Estimate:
    """Mean value of a configuration over new seeds and new rows.

    Variance MS / K + max(cov, 0) of the mean of K seeds, MS their mean square, cov the mean covariance of two of them
    by rows; degrees of freedom (MS / K + cov)^2 / ((MS / K)^2 / (K - 1) + cov^2 / rows), where rows are the degrees of
    `Measured.degrees`: infinite in the source, but 22 positives are few.
    Raises ValueError for fewer than two seeds. Source: Obuchowski and Rockette 1995; degrees of freedom of Hillis 2007
    (Stat. Med. 26:596), for one treatment as in Hillis 2014 (Stat. Med. 33:330).
    """
    spread = _spread(measured.values)
    rows = max(_between(measured.covariance()), 0.0)
    degrees = _degrees(spread + rows, (spread, measured.values.size - 1), (rows, measured.degrees()))
    return share_estimate(measured.mean, math.sqrt(spread + rows), measured.throws, confidence, degrees, scale)


def mean_on_these_rows(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> Estimate:
    """Mean of K values over new seeds, the rows the same: Student's interval, blind to the draw of rows.

    values: (K,). Raises ValueError for fewer than two seeds.
    """
    check_confidence(confidence)
    mean, error, degrees = float(values.mean()), math.sqrt(_spread(values)), values.size - 1
    reach = two_sided_quantile(confidence, degrees) * error
    return Estimate(mean, error, mean - reach, mean + reach, confidence, degrees)


def difference_over_seeds(
    first: Measured, second: Measured, confidence: float = CONFIDENCE, matched: bool = False
) -> Comparison:
    """Mean of the first configuration minus that of the second over new seeds and new rows, paired over rows.

    matched: seed k of the first goes with seed k of the second, since both share something besides the rows, such as
    their training rows; the differences of the pairs are then analysed as one configuration. Without, seeds are nested:
    variance MS1 / K1 + MS2 / K2 + max(cov1 + cov2 - 2 cov12, 0), where cov12 is the mean covariance of a seed of
    the first and one of the second, and degrees of freedom by Satterthwaite.
    Raises ValueError for fewer than two seeds of either, other rows, or unequal numbers of matched seeds.
    Source: Obuchowski and Rockette 1995; readers nested in treatments: Hillis 2014 (Stat. Med. 33:330).
    """
    check_same_rows(first, second)
    difference = first.mean - second.mean
    reach = unseen_reach(first.averaged(), second.averaged())
    if matched:
        if first.values.size != second.values.size:
            raise ValueError(f"{first.values.size} seeds against {second.values.size}; matched seeds need as many")
        spread = _spread(first.values - second.values)
        parts = first.influences - second.influences
        rows = max(_between(parts @ parts.T), 0.0)
        degrees = _degrees(spread + rows, (spread, first.values.size - 1))
        return compared(difference, math.sqrt(spread + rows), confidence, degrees, reach)
    one, other = _spread(first.values), _spread(second.values)
    shared = float((first.influences @ second.influences.T).mean())
    rows = max(_between(first.covariance()) + _between(second.covariance()) - 2 * shared, 0.0)
    total = one + other + rows
    degrees = _degrees(total, (one, first.values.size - 1), (other, second.values.size - 1))
    return compared(difference, math.sqrt(total), confidence, degrees, reach)


def _spread(values: NDArray[np.float64]) -> float:
    """Mean square over seeds, divided by their number."""
    if values.size < 2:
        raise ValueError(
            f"{values.size} seed shows no spread of training; train two or more, or ask for other rows only"
        )
    return float(values.var(ddof=1) / values.size)


def _between(covariance: NDArray[np.float64]) -> float:
    """Mean covariance of two different seeds."""
    seeds = covariance.shape[0]
    return float((covariance.sum() - np.trace(covariance)) / (seeds * (seeds - 1)))


def _degrees(total: float, *parts: tuple[float, float]) -> float:
    """Satterthwaite's degrees of freedom of a variance, from its parts and the degrees of each."""
    estimated = sum(part**2 / degrees for part, degrees in parts)
    return total**2 / estimated if estimated > 0 else math.inf
