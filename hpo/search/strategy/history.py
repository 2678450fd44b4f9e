"""The past of a study as the sampler sees it: read from hpo's own tables, shown as a storage of Optuna's."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import Connection, Row

from hpo.search.database import schema
from hpo.search.database.optuna_mirror import Drawn

_trials, _reports = schema.trials.c, schema.reports.c

_STATES = {
    None: TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}

_Curves = dict[int, dict[int, float]]
"""Trial number to epoch to AUC."""


class History(InMemoryStorage):
    """The trials of one study, in the memory of one process.

    Finished trials are read once, running and free ones at each `refresh`. A trial's number is its index in a list,
    and its id here. What is drawn for a trial is gathered in `drawn` and not added to the trial: only the database
    decides which values it has.

    Trials that somebody adds through Optuna's own interface are not in hpo's tables, so they do not teach the sampler;
    where one of them has taken a number, a failed trial without parameters stands. Nor is it seen when somebody ends a
    trial through Optuna, for instance in its dashboard.

    InMemoryStorage's own `create_new_trial` would copy each trial deeply, and let none be replaced when it has ended.

    Args:
        study_id: in hpo's tables.
        name: of the study.
        epochs: the most that a trial trains.
        space: distributions of the searched settings by name.
        planned: parameters of the trials that no sampler draws; theirs are the first places of the budget.
    """

    def __init__(
        self,
        study_id: int,
        name: str,
        epochs: int,
        space: Mapping[str, BaseDistribution],
        planned: Sequence[dict[str, Any]],
    ) -> None:
        super().__init__()
        self.drawn: Drawn = {}
        self._stored_id, self._epochs, self._space, self._planned = study_id, epochs, space, planned
        self._known: list[FrozenTrial] = []
        self._unfinished: set[int] = set()
        self.create_new_study([StudyDirection.MAXIMIZE], name)

    def refresh(self, connection: Connection) -> None:
        """Read what is new, and forget what was drawn."""
        new = (_trials.trial_number >= len(self._known)) | _trials.trial_number.in_(self._unfinished)
        columns = ("place", "trial_number", "started", "ended", "outcome", "auc", "record")
        query = sa.select(*(_trials[name] for name in columns)).where(_trials.study_id == self._stored_id, new)
        rows = connection.execute(query.order_by(_trials.trial_number)).all()
        curves = self._read_curves(connection, [row.trial_number for row in rows])
        for row in rows:
            number = row.trial_number
            self._known += [_placeholder(missing) for missing in range(len(self._known), number)]
            self._known[number : number + 1] = [self._trial(row, curves[number])]
        self._unfinished = {row.trial_number for row in rows if row.outcome is None}
        self.drawn = {}

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials as they were at the last `refresh`, in the order of their numbers."""
        del study_id  # There is one.
        wanted = [trial for trial in self._known if states is None or trial.state in states]
        return copy.deepcopy(wanted) if deepcopy else wanted

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a copy of a trial: Optuna adds to it what it draws."""
        return copy.deepcopy(self._known[trial_id])

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Gather what was drawn, in Optuna's internal form."""
        del trial_id  # Only one is drawn at a time.
        self.drawn[param_name] = (param_value_internal, distribution)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Drop what TPE notes for others about values that it has drawn and not stored: ours are stored at once."""

    def _read_curves(self, connection: Connection, numbers: list[int]) -> _Curves:
        query = sa.select(_reports.trial_number, _reports.epoch, _reports.auc)
        query = query.where(_reports.study_id == self._stored_id)
        if self._known:
            # The table's key is (study, epoch, trial): with all three given, each report is one look-up.
            epochs = range(1, self._epochs + 1)
            query = query.where(_reports.epoch.in_(epochs), _reports.trial_number.in_(numbers))
        curves: _Curves = defaultdict(dict)
        for number, epoch, auc in connection.execute(query).all():
            curves[number][epoch] = auc
        return curves

    def _trial(self, row: Row[Any], curve: dict[int, float]) -> FrozenTrial:
        params = self._params(row)
        state = _STATES[row.outcome]
        return FrozenTrial(
            number=row.trial_number,
            trial_id=row.trial_number,
            state=state,
            value=row.auc if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
            datetime_start=datetime.fromtimestamp(row.started),
            datetime_complete=None if row.ended is None else datetime.fromtimestamp(row.ended),
            params=params,
            distributions={name: self._space[name] for name in params},
            user_attrs={},
            system_attrs={},
            intermediate_values=curve,
        )

    def _params(self, row: Row[Any]) -> dict[str, Any]:
        if row.place < len(self._planned):
            return dict(self._planned[row.place])
        record: dict[str, Any] = json.loads(row.record) if row.record else {}
        return {name: value for name, value in record.get("params", {}).items() if name in self._space}


def _placeholder(number: int) -> FrozenTrial:
    """Return a trial that teaches a sampler nothing."""
    trial = create_trial(state=TrialState.FAIL)
    trial.number = number
    return trial
