"""From a study's space to the configuration of one trial."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo.search.database.optuna_trials import SeenTrials
from hpo.search.strategy.seeds import trial_seed
from hpo.study.config import ConfigValues, SettingValue, applies
from hpo.study.planned import PlannedTrial
from hpo.study.space import Choices, FloatRange, IntRange, suggestion_order
from hpo.study.spec import StudySpec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

    from hpo.search.study import Study

Entry = FloatRange | IntRange | Choices


@dataclass(frozen=True)
class Suggestion:
    """What was drawn for a trial. drawn: the same for Optuna's tables, see `optuna_rows.write_params`."""

    values: ConfigValues
    drawn: dict[str, tuple[float, BaseDistribution]]


def suggest(study: Study, number: int, trial_id: int) -> Suggestion:
    """The searched values of trial `number`, not stored yet.

    A setting that means nothing under the values before it is not drawn.
    """
    import optuna

    moment: Any = _Moment(study)
    view = optuna.load_study(study_name=study.name, storage=moment, sampler=make_sampler(study.spec, number))
    trial = optuna.trial.Trial(view, trial_id)
    space = study.spec.space
    values: ConfigValues = {}
    for name in suggestion_order(space):
        if applies(name, {**study.spec.fixed, **values}):
            values[name] = _draw(trial, name, space[name])
    return Suggestion(values, moment.drawn)


class _Moment:
    """Optuna's storage at one moment: all trials are read once, and what is drawn is gathered instead of stored.

    Optuna itself reads the trials that run anew, and writes a transaction, for each setting.
    """

    def __init__(self, study: Study) -> None:
        self._study, self._storage = study, study.database.optuna
        seen = study.database.trials.setdefault(study.study_id, SeenTrials(study.study_id))
        self._trials = study.database.read(seen.look)
        self.drawn: dict[str, tuple[float, Any]] = {}

    def get_study_id_from_name(self, _name: str) -> int:
        """The study's number, known already."""
        return self._study.study_id

    def get_study_name_from_id(self, _study_id: int) -> str:
        """The study's name, known already."""
        return self._study.name

    def get_study_directions(self, _study_id: int) -> list[Any]:
        """AUC is maximized."""
        from optuna.study import StudyDirection

        return [StudyDirection.MAXIMIZE]

    def get_all_trials(self, _study_id: int, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        """The trials as they were; in some of the states, or all."""
        wanted = [trial for trial in self._trials if states is None or trial.state in states]
        return copy.deepcopy(wanted) if deepcopy else wanted

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One trial as it was."""
        return next(trial for trial in reversed(self._trials) if trial._trial_id == trial_id)

    def set_trial_param(self, _trial_id: int, name: str, value: float, distribution: Any) -> None:
        """Notes what was drawn, in Optuna's internal form."""
        self.drawn[name] = (value, distribution)

    def set_trial_system_attr(self, _trial_id: int, _key: str, _value: Any) -> None:
        """Drops what a sampler notes for others about settings that it has drawn and not stored; ours are stored."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


def make_sampler(spec: StudySpec, number: int) -> BaseSampler:
    """The study's sampler for one trial, seeded from the study's seed and the trial's number.

    TPE takes each set of settings that appear together as one joint density (`group`), so a conditional setting does
    not keep the others from being modelled.
    """
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import RandomSampler, TPESampler

    seed = trial_seed(spec.search.seed, number, "sampler")
    if spec.search.sampler == "random":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, n_startup_trials=spec.search.startup_trials, multivariate=True, group=True)


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
