"""The samplers that a study file names, as factories of Optuna's samplers; each trial gets a new one."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from hpo.errors import UsageError, did_you_mean
from hpo.search.strategy.common_rung import AtCommonRung
from hpo.study.config import settings
from hpo.study.spec import Search

_GOOD_SHARE = 0.15
"""Share of the trials that TPE models as good ones; as in BOHB (Falkner et al. 2018)."""


def tpe(search: Search, seed: int, **changed: Any) -> BaseSampler:
    """Make Optuna's tree-structured Parzen estimator, multivariate and conditional, which compares at a common rung.

    Args:
        changed: arguments of `optuna.samplers.TPESampler` in place of those here, for benchmarks.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # `gamma` is deprecated, without a replacement, until Optuna 6.
        warnings.simplefilter("ignore", FutureWarning)
        # `group` models each set of settings that occur together by one joint density; without it, a conditional
        # setting would keep the others from being modelled jointly.
        arguments = {
            "seed": seed,
            "n_startup_trials": search.startup_trials,
            "multivariate": True,
            "group": True,
            "gamma": good_trials(_GOOD_SHARE),
        }
        inner = optuna.samplers.TPESampler(**{**arguments, **changed})
    return AtCommonRung(inner)


def good_trials(share: float) -> Callable[[int], int]:
    """Return how many of a number of trials TPE is to model as good ones: this share, rounded up, and at least one."""
    return lambda count: max(1, math.ceil(share * count))


def random(search: Search, seed: int) -> BaseSampler:  # noqa: ARG001
    """Make Optuna's random sampler."""
    return optuna.samplers.RandomSampler(seed=seed)


def gp(search: Search, seed: int) -> BaseSampler:
    """Make Optuna's Gaussian process; it models the settings that occur in every trial, others are drawn at random."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        inner = optuna.samplers.GPSampler(
            seed=seed, n_startup_trials=search.startup_trials, deterministic_objective=False
        )
    return AtCommonRung(inner)


def cmaes(search: Search, seed: int) -> BaseSampler:
    """Make Optuna's CMA-ES; it models the numbers that occur in every trial, others are drawn at random."""
    inner = optuna.samplers.CmaEsSampler(
        seed=seed, n_startup_trials=search.startup_trials, warn_independent_sampling=False
    )
    return AtCommonRung(inner)


def qmc(search: Search, seed: int) -> BaseSampler:  # noqa: ARG001
    """Make a sampler of quasi-random draws: point n of one scrambled Sobol sequence for trial n."""
    return QuasiRandom(search.seed)


class QuasiRandom(BaseSampler):
    """Sampler of a scrambled Sobol sequence with a dimension for each setting of a training run.

    Optuna's QMCSampler counts its draws in the study, so workers of several processes would repeat each other's; here
    the number of the trial is the place in the sequence.

    Args:
        seed: of the scrambling, the same for all trials of a study.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._others = optuna.samplers.RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        """Return nothing: each setting is a dimension of its own."""
        return {}

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return the setting's coordinate of the trial's point."""
        names = sorted(settings())
        if param_name not in names:
            return self._others.sample_independent(study, trial, param_name, param_distribution)
        from scipy.stats.qmc import Sobol

        sequence = Sobol(len(names), scramble=True, rng=self._seed)
        if trial.number > 0:
            # It does not go forward by none.
            sequence.fast_forward(trial.number)
        point = sequence.random(1)[0, names.index(param_name)]
        return at_quantile(param_distribution, float(point))


def at_quantile(entry: BaseDistribution, share: float) -> Any:
    """Return the value of a distribution at a quantile.

    Args:
        share: in [0, 1).
    """
    if isinstance(entry, optuna.distributions.CategoricalDistribution):
        return entry.choices[int(share * len(entry.choices))]
    assert isinstance(entry, (optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution))
    whole = isinstance(entry, optuna.distributions.IntDistribution)
    # Whole numbers are those nearest to a number up to half below the lowest and half above the highest.
    low, high = (entry.low - 0.5, entry.high + 0.5) if whole else (entry.low, entry.high)
    value = math.exp(math.log(low) + share * math.log(high / low)) if entry.log else low + share * (high - low)
    return min(max(round(value), int(entry.low)), int(entry.high)) if whole else value


def of_optuna(name: str) -> Callable[[Search, int], BaseSampler]:
    """Return a factory of any of Optuna's samplers, which sees complete and pruned trials as Optuna does.

    Args:
        name: of a class in `optuna.samplers`.

    Raises:
        UsageError: if there is no such sampler, or it needs arguments beside a seed.
    """
    found = getattr(optuna.samplers, name, None)
    if not (inspect.isclass(found) and issubclass(found, BaseSampler)) or inspect.isabstract(found):
        known = [key for key in optuna.samplers.__all__ if key.endswith("Sampler") and key != "BaseSampler"]
        raise UsageError(f"optuna.samplers has no sampler {name!r}{did_you_mean(name, known)}")
    arguments = inspect.signature(found).parameters
    open_ended = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [key for key, value in arguments.items() if value.default is value.empty and value.kind not in open_ended]
    if needed:
        raise UsageError(f"optuna:{name} needs {', '.join(needed)}, which a study file cannot give; register a sampler")

    def make(search: Search, seed: int) -> BaseSampler:
        given = {"seed": seed, "n_startup_trials": search.startup_trials}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler: BaseSampler = found(**{key: value for key, value in given.items() if key in arguments})
        return sampler

    return make
