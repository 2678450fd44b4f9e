"""Notes and figures of studies and trials for optuna-dashboard, generated when viewed and never stored."""

from __future__ import annotations

import copy
import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from hpo.errors import HpoError, StudyNotFoundError, first_line
from hpo.search.dashboard.markdown import code, text
from hpo.search.dashboard.pictures import Picture
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.queries.status import StudyStatus, read_status
from hpo.search.queries.trial_rows import TrialRow
from hpo.search.queries.trials import read_trials
from hpo.search.study import Study, find_name, find_study
from hpo.statistics.intervals import clipped_interval
from hpo.study.plan import Plan
from hpo.study.spec import StudySpec
from hpo.text import bounds, counted, duration, memory, setting, shell, with_error

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

Detail = dict[str, Any]
"""What the dashboard's page gets about a study, or about a trial: a JSON object of optuna-dashboard."""

_SECONDS = 10.0
"""Seconds for which the note of a study and those of its unfinished trials are kept."""

_VERSION = 1
"""Version of a generated note; the first that a user writes in its place has the next."""

_NOTE_VERSION = re.compile(r"dashboard:(?:(\d+):)?note_ver")
_FIGURE = re.compile(r"(?:dashboard:artifacts:\d+|artifacts):([0-9a-f-]+)")


class Notes:
    """The notes and figures of the studies of a database.

    They are added to what optuna-dashboard answers. As attributes of the study, in which it stores its own, they would
    make it slow: it looks through all of them for each trial.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[int, _StudyNotes] = {}
        self._one_at_a_time = threading.Lock()

    def add(self, study_id: int, detail: Detail) -> None:
        """Add notes and figures to the description of a study, unless it is not hpo's; notes of users stay."""
        trials: list[Detail] = [*detail["trials"], *detail["best_trials"]]
        try:
            kept = self._refreshed(study_id, [trial["number"] for trial in trials])
        except StudyNotFoundError:
            return
        except HpoError as error:
            _put(detail, f"hpo cannot describe this study: {text(first_line(error))}", None)
            return
        _put(detail, kept.note, Picture(study_id) if kept.has_figure else None)
        for trial in trials:
            if (found := kept.trials.get(trial["number"])) is not None:
                note, has_figure = found
                _put(trial, note, Picture(study_id, trial["number"]) if has_figure else None)

    def _refreshed(self, study_id: int, numbers: Sequence[int]) -> _StudyNotes:
        study = find_study(self._database, study_id)
        with self._one_at_a_time:
            kept = self._kept.get(study_id)
            if kept is None or not kept.is_of(study):
                kept = self._kept[study_id] = _StudyNotes(study)
            kept.refresh(numbers)
        return kept

    def storage(self) -> BaseStorage:
        """Return Optuna's storage, in which generated notes and figures look as if they were stored.

        Only where one is asked for by its key, so that the dashboard lets a user replace a note and finds a figure.
        """
        stored = self._database.patient_optuna()
        shown = copy.copy(stored)

        def get_study_system_attrs(study_id: int) -> dict[str, Any]:
            found = stored.get_study_system_attrs(study_id)
            is_ours = find_name(self._database, study_id) is not None
            return _Attributes(found, study_id, partial(self._has_trial, study_id)) if is_ours else found

        setattr(shown, get_study_system_attrs.__name__, get_study_system_attrs)
        return shown

    def _has_trial(self, study_id: int, trial_id: int) -> bool:
        """Return whether a trial of the study, with this id in Optuna's tables, is hpo's."""
        trials = schema.trials.c
        query = sa.select(trials.place).where(trials.study_id == study_id, trials.trial_id == trial_id)
        return self._database.read(lambda connection: connection.scalar(query)) is not None


class _Attributes(dict[str, Any]):
    """System attributes of a study, with the version of a generated note and the description of a figure by key."""

    def __init__(self, stored: dict[str, Any], study_id: int, has_trial: Callable[[int], bool]) -> None:
        super().__init__(stored)
        self._study_id, self._has_trial = study_id, has_trial

    def get(self, key: str, default: Any = None) -> Any:
        if key in self:
            return self[key]
        if (note := _NOTE_VERSION.fullmatch(key)) is not None:
            return _VERSION if note[1] is None or self._has_trial(int(note[1])) else default
        figure = _FIGURE.fullmatch(key)
        picture = Picture.of(figure[1]) if figure is not None else None
        return json.dumps(picture.meta) if picture is not None and picture.study_id == self._study_id else default


class _StudyNotes:
    """The notes of one study.

    Attributes:
        note: of the study.
        has_figure: whether the study has one; one of final networks has no validation AUC to draw.
        trials: number of a trial to its note, and whether it has a figure.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._made = -_SECONDS
        self._unfinished: set[int] = set()
        self.note = ""
        self.has_figure = study.spec.plan is None or study.spec.plan.final is None
        self.trials: dict[int, tuple[str, bool]] = {}

    def is_of(self, study: Study) -> bool:
        """Return whether they are those of this study, not of one that had its id or another name."""
        known = self._study
        return (known.name, known.created_at, known.spec) == (study.name, study.created_at, study.spec)

    def refresh(self, numbers: Sequence[int]) -> None:
        """Make the notes of these trials, unless they have been made since the trial ended or within some seconds."""
        wanted = set(numbers) - self.trials.keys()
        if time.monotonic() - self._made >= _SECONDS:
            self.note = study_note(self._study.name, self._study.spec, read_status(self._study))
            self._made = time.monotonic()
            wanted |= self._unfinished & set(numbers)
        if not wanted:
            return
        for row in read_trials(self._study, wanted):
            self.trials[row.number] = trial_note(self._study.name, row), row.epochs > 0 and self.has_figure
            (self._unfinished.add if row.ended is None else self._unfinished.discard)(row.number)


def _put(detail: Detail, note: str, picture: Picture | None) -> None:
    if detail["note"]["version"] == 0:
        detail["note"] = {"version": _VERSION, "body": note}
    if picture is not None:
        detail["artifacts"] = [*detail["artifacts"], picture.meta]


def study_note(name: str, spec: StudySpec, status: StudyStatus) -> str:
    """Write the protocol and status of a study as Markdown."""
    data, scoring = spec.data, spec.scoring
    if spec.plan is not None:
        note = _plan_note if spec.plan.final is None else _networks_note
        return note(name, spec, spec.plan, status)
    rows = f"{scoring.folds} folds of the development set" if scoring.rows == "kfold" else f"{scoring.rows} samples"
    epochs = counted(spec.budget.epochs, "epoch")
    lines = [
        f"## {text(name)}: {text(data.official_name)}",
        f"Scored on {rows}, never on the test set. {epochs}, {text(spec.search.sampler)}, {text(spec.search.pruner)}.",
        f"**{status.finished} of {status.budget}** trials finished: {status.complete} complete, {status.pruned} "
        f"pruned, {status.failed} failed; {len(status.running)} running.",
    ]
    for value in status.references:
        named = text(value.baseline)
        lines.append(f"- baseline {named}: {with_error(value.auc, value.standard_error)}")
    if status.best is not None:
        best = status.best
        lines.append(
            f"- best: trial {best.number}, {with_error(best.auc, best.standard_error)}; optimistically biased, as the "
            f"best of {status.complete}"
        )
    lines.append(f"\nReport: {code(f'hpo report {shell(name)}')}. Confirm: {code(f'hpo confirm {shell(name)}')}.")
    return "\n\n".join(lines[:3]) + "\n\n" + "\n".join(lines[3:])


def _plan_note(name: str, spec: StudySpec, plan: Plan, status: StudyStatus) -> str:
    """Write the status of a confirmation, an ablation or a study of methods as Markdown."""
    # The report on a search has its confirmation and ablation; that of a study of methods is one of its own.
    reported = name if plan.is_of_methods or not plan.search else plan.search
    of = f", of {text(plan.search)}" if plan.search else ""
    lines = [
        f"## {text(name)}: {text(spec.data.official_name)}",
        f"{counted(len(plan.candidates), 'candidate')}{of}, each trained once per repeat: a trial is one of these.",
        f"**{status.finished} of {status.budget}** trials finished: {status.complete} complete, {status.pruned} "
        f"pruned, {status.failed} failed; {len(status.running)} running.",
        f"Go on, and compare the means: {code(plan.command(spec.data.source, name))}. Report: "
        f"{code(f'hpo report {shell(reported)}')}.",
    ]
    return "\n\n".join(lines)


def _networks_note(name: str, spec: StudySpec, plan: Plan, status: StudyStatus) -> str:
    """Write the status of a study of final networks as Markdown."""
    lines = [
        f"## {text(name)}: {text(spec.data.official_name)}",
        f"Final networks of {text(plan.search)}, trained on the development set for their weights: they have no "
        "validation AUC, so Optuna shows those that are done as pruned.",
        f"**{status.finished} of {status.budget}** networks: {status.complete} complete, {status.failed} failed; "
        f"{len(status.running)} running.",
        f"Collect them and open the test set: {code(f'hpo finalize {shell(plan.search)}')}.",
    ]
    return "\n\n".join(lines)


def trial_note(study: str, row: TrialRow) -> str:
    """Write a summary of a trial as Markdown."""
    what = row.label or "proposed by the search"
    lines = [
        f"## Trial {row.number}: {text(what)}",
        f"**{text(row.state)}**"
        + ("" if row.network is not None else f", AUC **{with_error(row.auc, row.standard_error)}**")
        + f" after {row.extent}"
        + (f", {duration(row.seconds)}" if row.seconds else "")
        + (f", {memory(row.peak_memory)}" if row.peak_memory else "")
        + (f"; {text(row.reason)}" if row.reason else ""),
    ]
    if row.auc is not None and row.standard_error is not None:
        lines.append(f"95 % interval: {bounds(*clipped_interval(row.auc, row.standard_error))}")
    if row.warning:
        lines.append(f"It {row.warning}.")
    if row.params:
        cells = "\n".join(
            f"| {code(name, in_table=True)} | {text(setting(value, 4), in_table=True)} |"
            for name, value in row.params.items()
        )
        lines.append(f"| setting | value |\n|---|---|\n{cells}")
    record, again = (code(f"hpo {word} {shell(study)} {row.number}") for word in ("trials", "replay"))
    lines.append(f"Record: {record}." + ("" if row.network is not None else f" Reproduce: {again}."))
    return "\n\n".join(lines)
