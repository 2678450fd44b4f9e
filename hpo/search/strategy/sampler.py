"""Sample the configuration of a trial from the search space of its study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from hpo.search.strategy.pruner import stages_of
from hpo.search.strategy.seeds import trial_seed
from hpo.study.baselines import baselines
from hpo.study.choices import SAMPLERS
from hpo.study.config import ConfigValues, SettingValue, applies
from hpo.study.planned import PlannedTrial
from hpo.study.space import Choices, FloatRange, IntRange, suggestion_order
from hpo.study.spec import Search, StudySpec
from hpo.study.starts import Start
from hpo.text import brief

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

    from hpo.search.database.database import Database
    from hpo.search.strategy.history import History
    from hpo.search.study import Study

Entry = FloatRange | IntRange | Choices

_histories: WeakKeyDictionary[Database, dict[tuple[int, float, str, str], History]] = WeakKeyDictionary()

SamplerFactory: TypeAlias = "Callable[[Search, int], BaseSampler]"
"""Makes an Optuna sampler from the [search] section and a seed. Each trial gets a new one, so a sampler can only learn
from the study's trials, not from its own state."""


@dataclass(frozen=True)
class Suggestion:
    """Sampled values of a trial.

    Attributes:
        drawn: the same values in the form of Optuna's tables, see `optuna_mirror.write_params`.
    """

    values: ConfigValues
    drawn: dict[str, tuple[float, BaseDistribution]]


def suggest(study: Study, number: int, given: Mapping[str, SettingValue] | None = None) -> Suggestion:
    """Sample the searched values of trial `number`, without storing them.

    Args:
        given: values of some of them, which are not sampled: those of a start point.

    A setting that has no effect under the values sampled before it is not sampled. The sampler learns from the trials
    in hpo's own tables, see `History`.

    Raises:
        StudyNotFoundError: if the study has been deleted.
        PluginError: if the sampler is a plug-in's and raises, or returns what is outside of the space.
    """
    import optuna

    history = _history_of(study)
    study.database.read(history.refresh)
    if not history.has(number):
        raise study.deleted()
    view = optuna.load_study(study_name=study.name, storage=history, sampler=make_sampler(study.spec, number))
    space, sampler = study.spec.space, study.spec.search.sampler
    with SAMPLERS.errors_of(sampler):
        trial = optuna.trial.Trial(view, number)
    values: ConfigValues = {}
    for name in suggestion_order(space):
        if applies(name, {**study.spec.fixed, **values}):
            if given and name in given:
                values[name] = given[name]
                continue
            with SAMPLERS.errors_of(sampler):
                values[name] = _draw(trial, name, space[name])
            if nearest(space[name], values[name]) != values[name]:
                raise SAMPLERS.wrong(sampler, f"returned {brief(values[name])} for {name}, outside of its range")
    kinds = {name: distribution(space[name]) for name in given or () if name in values}
    chosen = {name: (kind.to_internal_repr(values[name]), kind) for name, kind in kinds.items()}
    return Suggestion(values, {**history.drawn, **chosen})


def _history_of(study: Study) -> History:
    """Return this process's history of a study; it is created at the first suggestion."""
    known = _histories.setdefault(study.database, {})
    # The id of a deleted study can be reused, but not with the same creation time. A study can be renamed, or extended.
    key = (study.study_id, study.created_at, study.name, study.fingerprint)
    if key not in known:
        known[key] = make_history(study)
    return known[key]


def make_history(study: Study) -> History:
    """Make the history of a study, still empty, see `History.refresh`."""
    from hpo.search.strategy.history import History

    spec = study.spec
    space = {name: distribution(entry) for name, entry in spec.space.items()}
    return History(study.study_id, study.name, stages_of(spec, planned=False), space, len(baselines(spec)))


def make_sampler(spec: StudySpec, number: int) -> BaseSampler:
    """Make the study's sampler for one trial, with a seed derived from the study's seed and the trial number.

    Raises:
        UsageError: if the sampler is not registered.
        PluginError: if it is a plug-in's and cannot be made.
    """
    from optuna.samplers import BaseSampler

    name = spec.search.sampler
    factory: SamplerFactory = SAMPLERS.find(name)
    with SAMPLERS.errors_of(name):
        sampler = factory(spec.search, trial_seed(spec.search.seed, number, "sampler"))
    if not isinstance(sampler, BaseSampler):
        # Optuna would take None for its own default.
        raise SAMPLERS.wrong(name, f"gave {brief(sampler)}, which is no optuna.samplers.BaseSampler")
    return sampler


def distribution(entry: Entry) -> BaseDistribution:
    """Return Optuna's distribution for a range or choices."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(entry, Choices):
        return CategoricalDistribution(entry.choices)
    if isinstance(entry, IntRange):
        return IntDistribution(entry.low, entry.high, log=entry.log)
    return FloatDistribution(entry.low, entry.high, log=entry.log)


def planned_template(spec: StudySpec, planned: PlannedTrial) -> FrozenTrial:
    """Convert a planned trial to Optuna's trial, at the nearest point of the space.

    Differences from the exact configuration, which is in the trial's record, are an attribute.
    """
    from optuna.trial import TrialState, create_trial

    # A baseline without parameters would count among the sampler's best trials without information, and would empty
    # the intersection of search spaces that fANOVA needs.

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
    label: dict[str, str | int] = {"reference": planned.name} if planned.is_baseline else {"candidate": planned.name}
    if planned.repeat is not None:
        label |= {"network": planned.repeat} if planned.is_network else {"repeat": planned.repeat + 1}
    return create_trial(
        state=TrialState.RUNNING,
        params=params,
        distributions={key: distribution(spec.space[key]) for key in params},
        user_attrs={**label, "outside the space": different},
    )


def start_template(start: Start) -> FrozenTrial:
    """Return what Optuna's tables say of a trial from a start point before it is sampled: the name of its start."""
    from optuna.trial import TrialState, create_trial

    return create_trial(state=TrialState.RUNNING, user_attrs={"start": start.name})


def nearest(entry: Entry, value: SettingValue) -> SettingValue | None:
    """Return `value` clipped to a range; for choices, `value` if it is one of them, else None."""
    if isinstance(entry, Choices):
        return value if value in entry.choices else None
    return min(max(value, entry.low), entry.high)


def _draw(trial: Trial, name: str, entry: Entry) -> SettingValue:
    if isinstance(entry, Choices):
        chosen = trial.suggest_categorical(name, entry.choices)
        assert chosen is not None, "Optuna allows None as a choice, but no setting does"
        return chosen
    if isinstance(entry, IntRange):
        return trial.suggest_int(name, entry.low, entry.high, log=entry.log)
    return trial.suggest_float(name, entry.low, entry.high, log=entry.log)
