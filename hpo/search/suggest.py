"""From a study's space to the configuration of one trial."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

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
    """The searched values of trial `number`, stored in Optuna as they are drawn; those drawn before a kill stay.

    A setting that means nothing under the values before it is not drawn.
    """
    import optuna

    spec, storage = study.spec, study.database.optuna
    storage.get_all_trials(study.study_id, deepcopy=False)
    # A fresh optuna.Study for each trial: one keeps its list of finished trials until its own ask or tell.
    view = optuna.load_study(study_name=study.name, storage=storage, sampler=make_sampler(spec, number))
    trial = optuna.trial.Trial(view, trial_id)
    values: dict[str, Any] = {}
    for name in suggestion_order(spec.space):
        if applies(name, {**spec.fixed, **values}):
            values[name] = _draw(trial, name, spec.space[name])
    return values


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
