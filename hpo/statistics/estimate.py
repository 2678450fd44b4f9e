"""A value with its interval, and a difference with its interval and p: what every method of this room returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hpo.statistics.distributions import normal_quantile, two_sided_p, two_sided_quantile

CONFIDENCE = 0.95
"""Share of repetitions in which an interval is to hold the true value, if nothing else is asked for."""

SPREADLESS = 1e-12
"""A standard error below this is rounding: all parts were equal."""

Scale = Literal["logit", "plain"]
"""Where an interval is symmetric: in log(value / (1 - value)), which keeps it within 0 and 1, or in the value."""


@dataclass(frozen=True)
class Estimate:
    """A value, its standard error, and an interval that holds the true value in `confidence` of repetitions.

    value, error, low, high: in the unit of the value, an area or a share. degrees: of freedom of the error; infinity
    where the interval is not made with Student's t.
    """

    value: float
    error: float
    low: float
    high: float
    confidence: float
    degrees: float = math.inf

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Comparison:
    """A difference (first minus second), its standard error and interval, and the two-sided p of no difference.

    p is nan where a difference was seen without any spread, so that nothing can be said of its chance.
    """

    difference: float
    error: float
    low: float
    high: float
    p: float
    confidence: float
    degrees: float = math.inf

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves out zero; if not, the two cannot be told apart."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        verdict = "" if self.told_apart else ", cannot be told apart"
        return f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}], p = {self.p:.2g}{verdict}"


def check_confidence(confidence: float) -> None:
    """Raises ValueError unless 0 < confidence < 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; give a share between 0 and 1, such as 0.95")


def clipped_interval(value: float, error: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """value +- z error, cut off at 0 and 1: for the many values of a search, which no verdict rests on."""
    reach = normal_quantile((1 + confidence) / 2) * error
    return max(value - reach, 0.0), min(value + reach, 1.0)


def share_estimate(
    value: float, error: float, throws: int, confidence: float, degrees: float, scale: Scale
) -> Estimate:
    """Interval of a value in [0, 1] from its standard error: t quantile, symmetric in the logit or in the value.

    throws: independent throws that the value is at least made of; a value of 0 or 1 shows no spread, and its interval
    is then that of `throws` throws that all fell the same way (Clopper and Pearson 1934), which is wide on purpose.
    In the logit the error is error / (value (1 - value)). Source: delta method; Pepe 2003, chapter 5.
    """
    check_confidence(confidence)
    if value in (0.0, 1.0):
        far = ((1 - confidence) / 2) ** (1 / throws)
        low, high = (far, 1.0) if value == 1.0 else (0.0, 1 - far)
        return Estimate(value, error, low, high, confidence, degrees)
    reach = two_sided_quantile(confidence, degrees) * error
    if scale == "plain":
        return Estimate(value, error, value - reach, value + reach, confidence, degrees)
    centre, reach = math.log(value / (1 - value)), reach / (value * (1 - value))
    return Estimate(value, error, _expit(centre - reach), _expit(centre + reach), confidence, degrees)


def compared(
    difference: float, error: float, confidence: float, degrees: float = math.inf, reach: float = math.inf
) -> Comparison:
    """Comparison from a difference and its standard error, by Student's t.

    reach: the farthest that a difference can be; without any spread the interval is that wide.
    """
    check_confidence(confidence)
    if error <= SPREADLESS:
        p = 1.0 if abs(difference) <= SPREADLESS else math.nan
        return Comparison(difference, 0.0, -reach, reach, p, confidence, degrees)
    away = two_sided_quantile(confidence, degrees) * error
    p = two_sided_p(difference / error, degrees)
    return Comparison(difference, error, difference - away, difference + away, p, confidence, degrees)


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
