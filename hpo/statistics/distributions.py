"""The normal, Student's t and F distribution and gamma's derivatives, exact for fractional degrees, without scipy."""

from __future__ import annotations

import math
from statistics import NormalDist

TINY = 1e-300
"""Stands for zero in the continued fraction, where a zero would be divided by."""

NEARLY_NORMAL = 1e6
"""Degrees of freedom from which Student's t is taken as normal: quantiles of 95 % differ by 1.2e-6 of themselves."""


def normal_quantile(share: float) -> float:
    """The z below which a standard normal lies with probability `share`, in (0, 1)."""
    return NormalDist().inv_cdf(share)


def normal_cdf(z: float) -> float:
    """Probability that a standard normal lies below z, precise in both tails."""
    return math.erfc(-z / math.sqrt(2)) / 2


def two_sided_p(t: float, degrees: float = math.inf) -> float:
    """Probability that |T| is at least |t|: T is Student's t with `degrees` > 0 of freedom, normal at infinity.

    Source: DLMF 8.17; P(|T| >= t) = I(degrees / (degrees + t^2); degrees / 2, 1/2).
    """
    if math.isinf(t):
        return 0.0
    if degrees >= NEARLY_NORMAL:
        return math.erfc(abs(t) / math.sqrt(2))
    return incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5)


def two_sided_quantile(confidence: float, degrees: float = math.inf) -> float:
    """The t > 0 with P(|T| < t) = `confidence`, in (0, 1); T as in `two_sided_p`.

    Newton's method from the normal quantile, which is never above; it climbs to t without passing it, since P(|T| >= t)
    is convex.
    """
    if degrees >= NEARLY_NORMAL:
        return normal_quantile((1 + confidence) / 2)
    t = normal_quantile((1 + confidence) / 2)
    scale = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - math.log(degrees * math.pi) / 2
    for _ in range(1000):
        density = math.exp(scale - (degrees + 1) / 2 * math.log1p(t * t / degrees))
        step = (two_sided_p(t, degrees) - (1 - confidence)) / (2 * density)
        t += step
        if step <= 1e-14 * t:
            break
    return t


def digamma(x: float) -> float:
    """The derivative of log gamma at x > 0. Source: recurrence to x >= 10, then DLMF 5.11.2."""
    below = 0.0
    while x < 10:
        below, x = below + 1 / x, x + 1
    y = 1 / (x * x)
    return math.log(x) - 1 / (2 * x) - y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y / 132)))) - below


def trigamma(x: float) -> float:
    """The second derivative of log gamma at x > 0. Source: recurrence to x >= 10, then DLMF 5.15.8."""
    below = 0.0
    while x < 10:
        below, x = below + 1 / (x * x), x + 1
    y = 1 / (x * x)
    return (1 + 1 / (2 * x) + y * (1 / 6 - y * (1 / 30 - y * (1 / 42 - y * (1 / 30 - y * 5 / 66))))) / x + below


def f_upper_tail(value: float, numerator: float, denominator: float) -> float:
    """Probability that F with these degrees of freedom is at least `value` >= 0. Source: DLMF 8.17."""
    return incomplete_beta(denominator / (denominator + numerator * value), denominator / 2, numerator / 2)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function I(x; a, b) for x in [0, 1] and a, b > 0.

    Source: continued fraction DLMF 8.17.22, by the modified Lentz method (Thompson and Barnett 1986).
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) / (a * _beta_fraction(x, a, b))


def _beta_fraction(x: float, a: float, b: float) -> float:
    """1 + d1 / (1 + d2 / (1 + ...)), the denominator of I(x; a, b) beside x^a (1 - x)^b / (a B(a, b))."""
    value, upper, lower = 1.0, 1.0, 0.0
    for step in range(1, 100_000):
        half = step // 2
        if step % 2:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        lower = 1 / ((1 + term * lower) or TINY)
        upper = (1 + term / upper) or TINY
        value *= upper * lower
        if abs(upper * lower - 1) < 1e-15:
            return value
    raise ArithmeticError(f"the incomplete beta function did not converge at x = {x}, a = {a}, b = {b}")
