"""`History`: an in-memory Optuna storage for the sampler, filled from hpo's own tables."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from statistics import fmean
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import Connection, Row

from hpo.errors import StorageError
from hpo.search.database import schema
from hpo.search.database.optuna_mirror import Drawn
from hpo.search.strategy.common_rung import RUNG_AUCS, ListedTrials
from hpo.search.study import fold_aucs
from hpo.study.stages import Stage
from hpo.study.stored import parse_object

_trials, _reports = schema.trials.c, schema.reports.c

_STATES = {
    None: TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}

_Curves = dict[int, dict[int, tuple[float, str]]]
"""Trial number to epoch to AUC and, as JSON, that of each fold."""


class History(ListedTrials):
    """The trials of one study, in the memory of one process.

    Finished trials are read once, running and free ones at each `refresh`. The number of a trial is its index in a
    list, and its id here. Sampled values are collected in `drawn` and not added to the trial: the database decides
    which values it has.

    Trials that users add through Optuna are not in hpo's tables, so the sampler does not learn from them; a failed
    trial without parameters takes the place of their numbers, and of those of the baselines: they are what a search
    must beat, not what it should resemble. Trials that users finish through Optuna, for instance in its dashboard, stay
    as they are in hpo's tables.

    Args:
        study_id: in hpo's tables.
        name: of the study.
        stages: stages of a trial.
        space: distributions of the searched settings by name.
        baselines: number of baselines, which have the first slots of the budget.
    """

    # Trials are kept in an own list: `create_new_trial` of InMemoryStorage would copy each trial deeply, and would not
    # let a finished trial be replaced.

    def __init__(
        self,
        study_id: int,
        name: str,
        stages: Sequence[Stage],
        space: Mapping[str, BaseDistribution],
        baselines: int,
    ) -> None:
        super().__init__(name, [])
        self.drawn: Drawn = {}
        self._stored_id, self._stages, self._space, self._baselines = study_id, tuple(stages), space, baselines
        self._unfinished: set[int] = set()

    def refresh(self, connection: Connection) -> None:
        """Read new and unfinished trials, and clear `drawn`."""
        new = (_trials.trial_number >= len(self.listed)) | _trials.trial_number.in_(self._unfinished)
        columns = ("place", "trial_number", "started", "ended", "outcome", "auc", "record")
        query = sa.select(*(_trials[name] for name in columns)).where(_trials.study_id == self._stored_id, new)
        rows = connection.execute(query.order_by(_trials.trial_number)).all()
        curves = self._read_curves(connection, [row.trial_number for row in rows])
        for row in rows:
            number = row.trial_number
            self.listed += [_placeholder(missing) for missing in range(len(self.listed), number)]
            self.listed[number : number + 1] = [self._trial(row, curves[number])]
        self._unfinished = {row.trial_number for row in rows if row.outcome is None}
        self.drawn = {}

    def has(self, number: int) -> bool:
        """Return whether the tables had a trial of that number at the last `refresh`."""
        return number < len(self.listed)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials as of the last `refresh`, by number."""
        found = super().get_all_trials(study_id, deepcopy, states)
        return copy.deepcopy(found) if deepcopy else found

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a copy of a trial, because Optuna adds sampled parameters to it."""
        return copy.deepcopy(self.listed[trial_id])

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Collect a sampled value, in Optuna's internal form."""
        del trial_id  # Only one trial is sampled at a time.
        self.drawn[param_name] = (param_value_internal, distribution)

    def _read_curves(self, connection: Connection, numbers: list[int]) -> _Curves:
        query = sa.select(_reports.trial_number, _reports.epoch, _reports.auc, _reports.fold_aucs)
        query = query.where(_reports.study_id == self._stored_id)
        if self.listed:
            # The table's key is (study, epoch, trial): with all three given, each report is one index lookup.
            epochs = range(1, self._stages[-1].epochs + 1)
            query = query.where(_reports.epoch.in_(epochs), _reports.trial_number.in_(numbers))
        curves: _Curves = defaultdict(dict)
        for number, epoch, auc, folds in connection.execute(query).all():
            curves[number][epoch] = (auc, folds)
        return curves

    def _trial(self, row: Row[Any], curve: dict[int, tuple[float, str]]) -> FrozenTrial:
        if row.place < self._baselines:
            return _placeholder(row.trial_number)
        params = self._params(row)
        state = _STATES[row.outcome]
        return FrozenTrial(
            number=row.trial_number,
            trial_id=row.trial_number,
            state=state,
            value=row.auc if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
            datetime_start=_when(row.started),
            datetime_complete=None if row.ended is None else _when(row.ended),
            params=params,
            distributions={name: self._space[name] for name in params},
            user_attrs={},
            system_attrs={RUNG_AUCS: self._rung_aucs(row, curve)},
            intermediate_values={epoch: auc for epoch, (auc, _) in curve.items()},
        )

    def _rung_aucs(self, row: Row[Any], curve: dict[int, tuple[float, str]]) -> list[float]:
        """Return the AUCs at the rungs that a trial has reached, over the folds of each rung."""
        aucs: list[float] = []
        for stage in self._stages:
            _, stored = curve.get(stage.epochs, (math.nan, "[]"))
            folds = fold_aucs(stored, f"trial {row.trial_number}")
            if len(folds) < stage.folds:
                break
            aucs.append(fmean(folds[: stage.folds]))
        if row.outcome == "complete" and row.auc is not None:
            # Also where its trainer has made fewer reports than there are stages.
            aucs += [row.auc] * (len(self._stages) - len(aucs))
        return aucs

    def _params(self, row: Row[Any]) -> dict[str, Any]:
        if not row.record:
            return {}
        try:
            params = parse_object(row.record).get("params")
        except ValueError as error:
            raise StorageError(f"trial {row.trial_number} has a record that is not JSON: {error}") from None
        stored = params.items() if isinstance(params, dict) else ()
        return {name: value for name, value in stored if name in self._space and _is_in(self._space[name], value)}


def _is_in(entry: BaseDistribution, value: Any) -> bool:
    """Return whether a value is one of a distribution; it is not if the study has been extended since it was read."""
    if isinstance(entry, CategoricalDistribution):
        return value in entry.choices
    assert isinstance(entry, (FloatDistribution, IntDistribution))
    return isinstance(value, (int, float)) and entry.low <= value <= entry.high


def _when(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds)
    except (OverflowError, ValueError, OSError):
        # No sampler looks at times.
        return datetime.fromtimestamp(0)


def _placeholder(number: int) -> FrozenTrial:
    """Return a failed trial without parameters, from which samplers learn nothing."""
    trial = create_trial(state=TrialState.FAIL)
    trial.number = number
    return trial
