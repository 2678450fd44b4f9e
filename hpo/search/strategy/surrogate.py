"""`Surrogate`: a Gaussian process of AUC over configurations and rungs, which tells good trials from lucky ones.

What similar configurations reached, after fewer epochs and folds too, says what a trial's AUC is worth. With few
samples that is much: the AUCs of the best trials of a search rank them hardly better than chance (docs/statistics.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from hpo.search.strategy.encoding import Encoding, Floats

MOST = 400
"""Largest number of AUCs that are modelled; of more, the highest rung of each trial and what is newest."""

_ITERATIONS = 25
_POINTS_AT_ONCE = 200
_FAR_BELOW = 2.0
"""AUCs that lie further below the median than so many times the gap from there to the best twentieth are raised."""

_VAGUE_MEAN = 0.1
"""Precision of the prior of each rung's mean, in units of the scale of AUC."""

_JITTER = 1e-6


@dataclass(frozen=True)
class Observations:
    """AUCs of trials at rungs.

    Attributes:
        points: (N, D) coordinates of the configurations.
        trials: (N,) index of the trial.
        rungs: (N,) index of the rung.
        folds: (N,) number of folds of that rung.
        aucs: (N,) means over these folds.
    """

    points: Floats
    trials: NDArray[np.int64]
    rungs: NDArray[np.int64]
    folds: Floats
    aucs: Floats


def observe(points: Floats, aucs: Sequence[Sequence[float]], folds: Sequence[int], most: int = MOST) -> Observations:
    """Return what trials have shown at all rungs that they have reached.

    Args:
        points: (T, D) coordinates of the trials.
        aucs: of each trial, at its rungs.
        folds: of each rung.
        most: number of AUCs that are kept.

    Raises:
        ValueError: without an AUC.
    """
    pairs = [(trial, rung) for trial, reached in enumerate(aucs) for rung in range(len(reached))]
    if not pairs:
        raise ValueError("no trial has reached a rung")
    if len(pairs) > most:
        pairs.sort(key=lambda pair: (pair[1] == len(aucs[pair[0]]) - 1, pair[1], pair[0]))
        pairs = sorted(pairs[-most:])
    trials, rungs = np.array(pairs, np.int64).T
    values = [aucs[trial][rung] for trial, rung in pairs]
    return Observations(points[trials], trials, rungs, np.array(folds, float)[rungs], np.array(values, float))


@dataclass(frozen=True)
class _Parameters:
    """Parameters in the units of the standardized AUCs.

    Attributes:
        weights: (D,) inverse squared lengths.
        signal: variance over configurations.
        correlation: of two neighbouring rungs.
        noise: variance of the AUC of one fold.
    """

    weights: Floats
    signal: float
    correlation: float
    noise: float


class Surrogate:
    """The process, fitted to observations.

    Covariance of the AUC at (x, r) and (x', r'): s Matern_5/2(|x - x'| / l) c^|r - r'|, with a length l for each
    setting. Noise of a trial at two rungs: covariance v / max(folds, folds'), since the mean over more folds holds the
    fewer ones. Each rung has a mean of its own. The parameters maximize the likelihood times priors, those of the
    lengths longer in more dimensions (Hvarfner et al. 2024, arXiv 2402.02229). One process over several fidelities:
    compare Swersky et al. 2013, Klein et al. 2020 (arXiv 2003.10865).
    """

    def __init__(self, encoding: Encoding, seen: Observations) -> None:
        self._encoding, self._seen = encoding, seen
        values = _raised(seen.aucs)
        self._centre, self._scale = float(values.mean()), float(values.std()) or 1.0
        self._values = (values - self._centre) / self._scale
        self._squares = encoding.squared_distances(seen.points, seen.points)
        self._lags = np.abs(seen.rungs[:, None] - seen.rungs[None, :])
        same = seen.trials[:, None] == seen.trials[None, :]
        self._shared = same / np.maximum(seen.folds[:, None], seen.folds[None, :])
        self.top = int(seen.rungs.max())
        self._levels = np.eye(self.top + 1)[seen.rungs]
        count = encoding.dimensions
        self._prior = np.concatenate([np.full(count, math.log(0.5 * math.sqrt(max(count, 1)))), [0, 2, math.log(0.3)]])
        self._spread = np.concatenate([np.ones(count), [1, 1, 1.5]])
        # Four deviations and more from the prior: only so that no step overflows.
        bounds = np.stack([self._prior - 4 * self._spread, self._prior + 4 * self._spread], axis=1)
        found = minimize(
            self._loss, self._prior, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _ITERATIONS}
        )
        self._parameters = self._read(found.x)

    def smoother(self, points: Floats) -> tuple[Floats, Floats]:
        """Return the posterior means at the highest rung as a function of the AUCs, for the fitted parameters.

        Args:
            points: (M, D).

        Returns:
            (M, N) derivatives by the observed AUCs, and (M,) posterior means.
        """
        factor, _, _ = self._covariance(self._parameters)
        solved_levels, precision = self._means(factor)
        to_means = np.linalg.solve(precision, solved_levels.T)
        to_solved = cho_solve((factor, True), np.eye(len(factor)) - self._levels @ to_means)
        derivatives = np.concatenate(
            [
                to_means[self.top] + self._cross(points[start : start + _POINTS_AT_ONCE]) @ to_solved
                for start in range(0, len(points), _POINTS_AT_ONCE)
            ]
        )
        return derivatives, self._centre + self._scale * derivatives @ self._values

    def _cross(self, points: Floats) -> Floats:
        squares = self._encoding.squared_distances(points, self._seen.points)
        found = self._parameters
        near = found.signal * _matern(np.sqrt(np.einsum("d,dnm->nm", found.weights, squares)))
        return np.asarray(near * found.correlation ** np.abs(self.top - self._seen.rungs))

    def _read(self, theta: Floats) -> _Parameters:
        signal, correlation, noise = theta[-3:]
        return _Parameters(np.exp(-2 * theta[:-3]), math.exp(signal), 1 / (1 + math.exp(-correlation)), math.exp(noise))

    def _covariance(self, found: _Parameters) -> tuple[Floats, Floats, Floats]:
        """Return the Cholesky factor of the covariance with noise, the covariance without, and distances."""
        distance = np.sqrt(np.einsum("d,dnm->nm", found.weights, self._squares))
        smooth = found.signal * _matern(distance) * found.correlation**self._lags
        factor, _ = cho_factor(smooth + found.noise * self._shared + _JITTER * np.eye(len(smooth)), lower=True)
        return factor, smooth, distance

    def _means(self, factor: Floats) -> tuple[Floats, Floats]:
        solved_levels = cho_solve((factor, True), self._levels)
        return solved_levels, self._levels.T @ solved_levels + _VAGUE_MEAN**2 * np.eye(self.top + 1)

    def _loss(self, theta: Floats) -> tuple[float, Floats]:
        """Return the negative logarithm of the parameters' posterior density, up to a constant, and its gradient."""
        found = self._read(theta)
        factor, smooth, distance = self._covariance(found)
        solved_levels, precision = self._means(factor)
        inverse = cho_solve((factor, True), np.eye(len(factor)))
        means = np.linalg.solve(precision, solved_levels.T @ self._values)
        residual = self._values - self._levels @ means
        solved = inverse @ residual
        inner = inverse - np.outer(solved, solved)
        slope = found.signal * _matern_slope(distance) * found.correlation**self._lags * inner
        gaps = (theta - self._prior) / self._spread
        gradient = np.concatenate(
            [
                -found.weights * np.einsum("dnm,nm->d", self._squares, slope),
                [
                    0.5 * (inner * smooth).sum(),
                    0.5 * (1 - found.correlation) * (inner * smooth * self._lags).sum(),
                    0.5 * found.noise * (inner * self._shared).sum(),
                ],
            ]
        )
        fit = 0.5 * residual @ solved + 0.5 * _VAGUE_MEAN**2 * means @ means + np.log(np.diag(factor)).sum()
        return float(fit + 0.5 * gaps @ gaps), gradient + gaps / self._spread


def _matern(distance: Floats) -> Floats:
    scaled = math.sqrt(5) * distance
    return np.asarray((1 + scaled + scaled**2 / 3) * np.exp(-scaled))


def _matern_slope(distance: Floats) -> Floats:
    """Return the derivative of `_matern` by the squared distance."""
    scaled = math.sqrt(5) * distance
    return np.asarray(-5 / 6 * (1 + scaled) * np.exp(-scaled))


def _raised(aucs: Floats) -> Floats:
    """Raise AUCs far below the median, so that what failed to learn does not stretch the scale."""
    median, high = np.quantile(aucs, [0.5, 0.95])
    return np.asarray(np.maximum(aucs, median - _FAR_BELOW * max(high - median, 1e-3)))
