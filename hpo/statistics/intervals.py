"""Result types: a value with its confidence interval, and a difference with its interval and p-value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

CONFIDENCE = 0.95
"""Default confidence of an interval: the share of repetitions in which it contains the true value."""

POWER = 0.8
"""Probability with which a smallest detectable difference would have been found."""

ZERO_TOLERANCE = 1e-12
"""A standard error or difference below this is rounding error and counts as 0."""

Scale = Literal["logit", "plain"]
"""Scale on which an interval is symmetric: log(value / (1 - value)), which keeps it within (0, 1), or the value."""


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error and confidence interval.

    Attributes:
        value, error, low, high: in the unit of the value, an AUC or a proportion.
        degrees: degrees of freedom of the standard error; infinity for a normal or a bootstrap interval.
    """

    value: float
    error: float
    low: float
    high: float
    confidence: float
    degrees: float = math.inf


@dataclass(frozen=True)
class Comparison:
    """A difference (first minus second) with its standard error and confidence interval.

    Attributes:
        p: two-sided p-value of no difference; nan for a difference without spread, whose p-value is unknown.
    """

    difference: float
    error: float
    low: float
    high: float
    p: float
    confidence: float
    degrees: float = math.inf

    @property
    def is_distinguishable(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    @property
    def detectable(self) -> float:
        """The smallest true difference that this comparison would have found four times in five; inf without spread.

        By Student's noncentral t: half the interval and .84 errors more are enough only where the error is known well.
        """
        if self.error <= ZERO_TOLERANCE:
            return math.inf
        reach = (self.high - self.low) / 2
        if math.isinf(self.degrees):
            return reach + NormalDist().inv_cdf(POWER) * self.error
        # Imported late: every reading command loads this module.
        from scipy import special

        return float(special.nctdtrinc(self.degrees, 1 - POWER, reach / self.error)) * self.error

    @property
    def possibly_detectable(self) -> float | None:
        """`detectable`; None if above 1: no true difference of two AUCs would have been found so often."""
        return self.detectable if self.detectable <= 1 else None


def simultaneous_confidence(count: int, confidence: float = CONFIDENCE) -> float:
    """Return the confidence of each of several intervals that hold together with `confidence`.

    Source: Sidak 1967 (JASA 62:626): for Student's t with a common cause, whatever the correlations, on the safe side.
    """
    return float(confidence ** (1 / max(count, 1)))


def simultaneous_p(p: float, count: int) -> float:
    """Return the p-value of the smallest of several, as `simultaneous_confidence`; nan stays."""
    return 1.0 if p >= 1 else -math.expm1(max(count, 1) * math.log1p(-p))


def check_confidence(confidence: float) -> None:
    """Raise ValueError unless 0 < confidence < 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; must be between 0 and 1, such as 0.95")


def clipped_interval(
    value: float, error: float, confidence: float = CONFIDENCE
) -> tuple[float, float] | tuple[None, None]:
    """Return value +- z error, clipped to [0, 1]: for the trials of a search, on which no decision rests.

    Returns:
        (None, None) without an error, as of a perfect ranking: its spread is unknown, not 0.
    """
    if error <= ZERO_TOLERANCE:
        return None, None
    # Not scipy's: every reading command loads this module, and scipy.special takes 0.2 s to import.
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return max(value - reach, 0.0), min(value + reach, 1.0)
