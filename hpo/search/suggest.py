"""From a study's space to the configuration of one trial."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

from hpo.search.optuna_rows import write_params
from hpo.search.seeds import trial_seed
from hpo.study.config import TrainConfig, applies
from hpo.study.space import Choices, FloatRange, IntRange, suggestion_order
from hpo.study.spec import StudySpec

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

    from hpo.search.study import Study

Entry = FloatRange | IntRange | Choices


def suggest(study: Study, number: int, trial_id: int) -> dict[str, Any]:
    """The searched values of trial `number`, stored in Optuna in one transaction when all are drawn.

    A setting that means nothing under the values before it is not drawn.
    """
    import optuna

    moment: Any = _Moment(study)
    view = optuna.load_study(study_name=study.name, storage=moment, sampler=make_sampler(study.spec, number))
    trial = optuna.trial.Trial(view, trial_id)
    space = study.spec.space
    values: dict[str, Any] = {}
    for name in suggestion_order(space):
        if applies(name, {**study.spec.fixed, **values}):
            values[name] = _draw(trial, name, space[name])
    study.database.write(lambda connection: write_params(connection, trial_id, moment.drawn))
    return values


class _Moment:
    """Optuna's storage at one moment: all trials are read once, and what is drawn is gathered instead of stored.

    Optuna itself reads the trials that run anew, and writes a transaction, for each setting.
    """

    def __init__(self, study: Study) -> None:
        self._study, self._storage = study, study.database.optuna
        self._trials = self._storage.get_all_trials(study.study_id, deepcopy=False)
        self.drawn: dict[str, tuple[float, Any]] = {}

    def get_study_id_from_name(self, _name: str) -> int:
        """The study's number, known already."""
        return self._study.study_id

    def get_all_trials(self, _study_id: int, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        """The trials as they were; in some of the states, or all."""
        wanted = [trial for trial in self._trials if states is None or trial.state in states]
        return copy.deepcopy(wanted) if deepcopy else wanted

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One trial as it was."""
        return next(trial for trial in self._trials if trial._trial_id == trial_id)

    def set_trial_param(self, _trial_id: int, name: str, value: float, distribution: Any) -> None:
        """Notes what was drawn, in Optuna's internal form."""
        self.drawn[name] = (value, distribution)

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


def reference_template(spec: StudySpec, name: str, config: TrainConfig) -> FrozenTrial:
    """A reference as Optuna's trial: its nearest point of the space, and what differs from it as an attribute.

    Without parameters it would take a place among the sampler's best trials and teach it nothing, and would empty the
    intersection of search spaces that fANOVA needs. The exact configuration is in the trial's record.
    """
    from optuna.trial import TrialState, create_trial

    values, params = config.model_dump(), {}
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
    return create_trial(
        state=TrialState.RUNNING,
        params=params,
        distributions={key: distribution(spec.space[key]) for key in params},
        user_attrs={"reference": name, "outside the space": different},
    )


def nearest(entry: Entry, value: Any) -> Any:
    """The value of a range or a list that is nearest to `value`; None if it is a choice that is not in the list."""
    if isinstance(entry, Choices):
        return value if value in entry.choices else None
    return min(max(value, entry.low), entry.high)


def _draw(trial: Any, name: str, entry: Entry) -> Any:
    if isinstance(entry, Choices):
        return trial.suggest_categorical(name, entry.choices)
    if isinstance(entry, IntRange):
        return trial.suggest_int(name, entry.low, entry.high, log=entry.log)
    return trial.suggest_float(name, entry.low, entry.high, log=entry.log)
