"""`AtCommonRung`: show a sampler of Optuna the trials of a study as compared at one rung.

Optuna's samplers take every complete trial for better than every pruned one, whatever their values. Under asynchronous
halving the first trials pass every rung for want of rivals, so what is complete is not what is good. BOHB (Falkner et
al. 2018, arXiv 1807.01774) compares at the highest budget with enough trials, and so do these samplers.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection, load_study
from optuna.trial import FrozenTrial, TrialState

RUNG_AUCS = "hpo:rungs"
"""System attribute of a trial of `History`: its AUCs at the rungs that it has reached, in their order; the last one is
the end of the trial."""

ENOUGH = 12
"""Least number of trials with a value at the rung at which all are compared."""


class ListedTrials(InMemoryStorage):
    """A storage of one study whose trials are a list; their numbers are their ids. What samplers store is ignored."""

    def __init__(self, name: str, trials: list[FrozenTrial]) -> None:
        # Optuna announces each study that is created in memory.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        super().__init__()
        self.listed = trials
        self.create_new_study([StudyDirection.MAXIMIZE], name)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials by number, never copied."""
        del study_id, deepcopy
        return [trial for trial in self.listed if states is None or trial.state in states]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial, not copied."""
        return self.listed[trial_id]

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Ignore what is sampled: whoever samples knows it."""

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Ignore what samplers note about a trial in progress."""


class AtCommonRung(BaseSampler):
    """Sampler that asks another one, which sees each trial by its value at the highest rung that enough have reached.

    Trials that ended before that rung are pruned ones there, in the order of rung and value; those that are under way
    are running ones. For one trial only: the trials are looked at once.
    """

    def __init__(self, inner: BaseSampler) -> None:
        self._inner = inner
        self._view: Study | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the inner sampler's."""
        return self._inner.infer_relative_search_space(self._look(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the inner sampler's."""
        return self._inner.sample_relative(self._look(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the inner sampler's."""
        return self._inner.sample_independent(self._look(study), trial, param_name, param_distribution)

    def _look(self, study: Study) -> Study:
        if self._view is None:
            trials = at_common_rung(study.get_trials(deepcopy=False))
            self._view = load_study(
                study_name=study.study_name,
                storage=ListedTrials(study.study_name, trials),
                sampler=self._inner,
            )
        return self._view


def common_rung(reached: Sequence[int]) -> int:
    """Return the index of the rung at which trials are compared.

    Args:
        reached: number of rungs that each trial has reached.
    """
    counts = [sum(count > rung for count in reached) for rung in range(max(reached, default=0))]
    return max((rung for rung, count in enumerate(counts) if count >= ENOUGH), default=0)


def at_common_rung(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials as they compare at their common rung, by number.

    Args:
        trials: with the attribute RUNG_AUCS; those without it and those that failed say nothing.
    """
    rung = common_rung([len(_aucs(trial)) for trial in trials if trial.state != TrialState.FAIL])
    return [_at(trial, rung) for trial in trials]


def _at(trial: FrozenTrial, rung: int) -> FrozenTrial:
    aucs = _aucs(trial)
    if trial.state == TrialState.FAIL:
        state = TrialState.FAIL
    elif len(aucs) > rung:
        state = TrialState.COMPLETE
    elif not trial.state.is_finished():
        state = TrialState.RUNNING
    else:
        state = TrialState.PRUNED if aucs else TrialState.FAIL
    is_known = state in (TrialState.COMPLETE, TrialState.PRUNED)
    return FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=state,
        value=aucs[min(rung, len(aucs) - 1)] if is_known else None,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={},
        system_attrs={},
        # Optuna sorts pruned trials by the last step first, then by the value there.
        intermediate_values={len(aucs): aucs[-1]} if state == TrialState.PRUNED else {},
    )


def _aucs(trial: FrozenTrial) -> Sequence[float]:
    aucs: Sequence[float] = trial.system_attrs.get(RUNG_AUCS, ())
    return aucs
