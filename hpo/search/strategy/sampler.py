"""From a study's space to the configuration of one trial."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from hpo.search.strategy.seeds import trial_seed
from hpo.study.choices import SAMPLERS
from hpo.study.config import ConfigValues, SettingValue, applies
from hpo.study.planned import PlannedTrial, planned_trial
from hpo.study.space import Choices, FloatRange, IntRange, suggestion_order
from hpo.study.spec import Search, StudySpec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

    from hpo.search.database.database import Database
    from hpo.search.strategy.history import History
    from hpo.search.study import Study

Entry = FloatRange | IntRange | Choices

_histories: WeakKeyDictionary[Database, dict[tuple[int, float], History]] = WeakKeyDictionary()

SamplerFactory: TypeAlias = "Callable[[Search, int], BaseSampler]"
"""Makes an Optuna sampler from the section [search] and a seed, anew for each trial: what it learns from is the trials
that Optuna shows it, and nothing that it remembers."""


@dataclass(frozen=True)
class Suggestion:
    """What was drawn for a trial. drawn: the same for Optuna's tables, see `optuna_mirror.write_params`."""

    values: ConfigValues
    drawn: dict[str, tuple[float, BaseDistribution]]


def suggest(study: Study, number: int) -> Suggestion:
    """Draw the searched values of trial `number`, without storing them.

    A setting that means nothing under the values before it is not drawn. The sampler sees the trials in hpo's own
    tables; see `History` for what it does not see.
    """
    import optuna

    history = _history_of(study, number)
    study.database.read(history.refresh)
    view = optuna.load_study(study_name=study.name, storage=history, sampler=make_sampler(study.spec, number))
    trial = optuna.trial.Trial(view, number)
    space = study.spec.space
    values: ConfigValues = {}
    for name in suggestion_order(space):
        if applies(name, {**study.spec.fixed, **values}):
            values[name] = _draw(trial, name, space[name])
    return Suggestion(values, history.drawn)


def _history_of(study: Study, number: int) -> History:
    """Return this process's history of a study, made at its first suggestion, which is for trial `number`."""
    import optuna

    from hpo.search.strategy.history import History

    spec = study.spec
    known = _histories.setdefault(study.database, {})
    # A study that was deleted leaves its number, but not its time, to another.
    key = (study.study_id, study.created_at)
    if key not in known:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        space = {name: distribution(entry) for name, entry in spec.space.items()}
        # Planned trials come before those that are drawn.
        planned = takewhile(lambda trial: trial is not None, (planned_trial(spec, place) for place in range(number)))
        params = [planned_template(spec, trial).params for trial in planned if trial is not None]
        known[key] = History(study.study_id, study.name, spec.budget.epochs, space, params)
    return known[key]


def make_sampler(spec: StudySpec, number: int) -> BaseSampler:
    """The study's sampler for one trial, seeded from the study's seed and the trial's number.

    Raises UsageError if it is not registered here.
    """
    factory: SamplerFactory = SAMPLERS.find(spec.search.sampler)
    return factory(spec.search, trial_seed(spec.search.seed, number, "sampler"))


def tpe(search: Search, seed: int) -> BaseSampler:
    """Make Optuna's tree-structured Parzen estimator.

    It takes each set of settings that appear together as one joint density (`group`), so a conditional setting does
    not keep the others from being modelled.
    """
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import TPESampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, n_startup_trials=search.startup_trials, multivariate=True, group=True)


def random(search: Search, seed: int) -> BaseSampler:  # noqa: ARG001
    """Make Optuna's sampler of independent draws."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def distribution(entry: Entry) -> BaseDistribution:
    """Optuna's distribution of a range or a list of choices."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(entry, Choices):
        return CategoricalDistribution(entry.choices)
    if isinstance(entry, IntRange):
        return IntDistribution(entry.low, entry.high, log=entry.log)
    return FloatDistribution(entry.low, entry.high, log=entry.log)


def planned_template(spec: StudySpec, planned: PlannedTrial) -> FrozenTrial:
    """A planned trial as Optuna's trial: its nearest point of the space, and what differs from it as an attribute.

    Without parameters a reference would take a place among the sampler's best trials and teach it nothing, and would
    empty the intersection of search spaces that fANOVA needs. The exact configuration is in the trial's record.
    """
    from optuna.trial import TrialState, create_trial

    values, params = planned.config.model_dump(), {}
    outside = {key: value for key, value in spec.config({}).model_dump().items() if key not in spec.space}
    different = {key: values[key] for key, value in outside.items() if values[key] != value and applies(key, values)}
    for key in suggestion_order(spec.space):
        if not applies(key, values):
            continue
        near = nearest(spec.space[key], values[key])
        if near is not None:
            params[key] = near
        if near != values[key]:
            different[key] = values[key]
    told: dict[str, str | int] = {"reference": planned.name} if planned.is_reference else {"candidate": planned.name}
    if planned.repeat is not None:
        told["repeat"] = planned.repeat + 1
    return create_trial(
        state=TrialState.RUNNING,
        params=params,
        distributions={key: distribution(spec.space[key]) for key in params},
        user_attrs={**told, "outside the space": different},
    )


def nearest(entry: Entry, value: SettingValue) -> SettingValue | None:
    """The value of a range or a list that is nearest to `value`; None if it is a choice that is not in the list."""
    if isinstance(entry, Choices):
        return value if value in entry.choices else None
    return min(max(value, entry.low), entry.high)


def _draw(trial: Trial, name: str, entry: Entry) -> SettingValue:
    if isinstance(entry, Choices):
        chosen = trial.suggest_categorical(name, entry.choices)
        assert chosen is not None, "Optuna knows None as a choice, no setting does"
        return chosen
    if isinstance(entry, IntRange):
        return trial.suggest_int(name, entry.low, entry.high, log=entry.log)
    return trial.suggest_float(name, entry.low, entry.high, log=entry.log)
