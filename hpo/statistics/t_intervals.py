"""Confidence intervals and p-values from a standard error, by Student's t."""

from __future__ import annotations

import math

from scipy import special

from hpo.statistics.intervals import ZERO_TOLERANCE, Comparison, Estimate, Scale, check_confidence


def t_p_value(t: float, degrees: float = math.inf) -> float:
    """Return the two-sided p-value P(|T| >= |t|) for `degrees` > 0 degrees of freedom; normal at infinity."""
    return float(2 * special.stdtr(degrees, -abs(t)))


def t_quantile(confidence: float, degrees: float = math.inf) -> float:
    """Return the t > 0 with P(|T| < t) = confidence, for `degrees` > 0 degrees of freedom; normal at infinity."""
    # The lower tail, where scipy is accurate to 1e-14; near 1 the probability itself has lost digits.
    return float(-special.stdtrit(degrees, (1 - confidence) / 2))


def proportion_estimate(
    value: float, error: float, binomial_n: int, confidence: float, degrees: float, scale: Scale
) -> Estimate:
    """Compute the interval of a value in [0, 1] from its standard error, by Student's t.

    Args:
        value: an AUC or a proportion.
        binomial_n: number of independent 0/1 outcomes that the value comprises at least. A value without spread, as
            a perfect AUC or that of constant scores, gets the interval of Clopper and Pearson (1934) for this many
            outcomes, conservatively wide.
        degrees: degrees of freedom of the standard error.
        scale: on which scale the interval is symmetric; the standard error of the logit is error / (value (1 - value)).

    Source: delta method; Pepe 2003, chapter 5.
    """
    check_confidence(confidence)
    if error <= ZERO_TOLERANCE or value in (0.0, 1.0):
        return Estimate(value, error, *_clopper_pearson(value, binomial_n, confidence), confidence, degrees)
    reach = t_quantile(confidence, degrees) * error
    if scale == "plain":
        return Estimate(value, error, value - reach, value + reach, confidence, degrees)
    centre, reach = special.logit(value), reach / (value * (1 - value))
    low, high = special.expit([centre - reach, centre + reach])
    return Estimate(value, error, float(low), float(high), confidence, degrees)


def _clopper_pearson(share: float, count: int, confidence: float) -> tuple[float, float]:
    """Return the exact binomial interval; `share` times `count` need not be an integer, since ties count half."""
    tail, successes = (1 - confidence) / 2, share * count
    low = float(special.betaincinv(successes, count - successes + 1, tail)) if share > 0 else 0.0
    high = float(special.betaincinv(successes + 1, count - successes, 1 - tail)) if share < 1 else 1.0
    return low, high


def t_comparison(
    difference: float,
    error: float,
    confidence: float,
    degrees: float = math.inf,
    degenerate_half_width: float = math.inf,
) -> Comparison:
    """Compute the interval and p-value of a difference from its standard error, by Student's t.

    Args:
        degenerate_half_width: half-width of the interval where the standard error is 0, so that the spread is unknown:
            the largest difference that is possible.
    """
    check_confidence(confidence)
    if error <= ZERO_TOLERANCE:
        p = 1.0 if abs(difference) <= ZERO_TOLERANCE else math.nan
        return Comparison(difference, 0.0, -degenerate_half_width, degenerate_half_width, p, confidence, degrees)
    half_width = t_quantile(confidence, degrees) * error
    p = t_p_value(difference / error, degrees)
    return Comparison(difference, error, difference - half_width, difference + half_width, p, confidence, degrees)
