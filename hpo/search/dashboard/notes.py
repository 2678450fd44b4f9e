"""Notes and figures of studies and trials for optuna-dashboard, generated when viewed and never stored."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from hpo.errors import StudyNotFoundError
from hpo.search.dashboard.pictures import picture_of_study, picture_of_trial
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.queries.status import StudyStatus, read_status
from hpo.search.queries.trials import TrialRow, read_trials
from hpo.search.study import Study, find_study
from hpo.statistics.intervals import clipped_interval
from hpo.study.baselines import shown_name
from hpo.study.config import applies
from hpo.study.spec import StudySpec
from hpo.text import bounds, duration, memory, setting, with_error

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study._frozen import FrozenStudy

Attributes = dict[str, str | int]
"""System attributes of a study, in which the dashboard keeps notes and artifacts."""

_SECONDS = 10.0
"""Seconds for which notes are cached."""


def with_notes(database: Database, only: Study | None = None) -> BaseStorage:
    """Return Optuna's storage of a database, with a note and a figure for each study of hpo and its trials.

    The notes are computed system attributes in the form in which the dashboard stores its own; nothing is written, and
    notes that users wrote in the dashboard take precedence. `hpo.search.dashboard.pictures.Pictures` draws the figures.

    Args:
        only: the study to annotate; None for all.
    """
    notes = _Notes(database, only)
    stored = database.patient_optuna()
    shown = copy.copy(stored)

    def get_all_studies() -> list[FrozenStudy]:
        studies = stored.get_all_studies()
        for study in studies:
            study.system_attrs = {**notes.of(study._study_id), **study.system_attrs}
        return studies

    def get_study_system_attrs(study_id: int) -> dict[str, object]:
        return {**notes.of(study_id), **stored.get_study_system_attrs(study_id)}

    for method in (get_all_studies, get_study_system_attrs):
        setattr(shown, method.__name__, method)
    return shown


class _Notes:
    """The notes of each study as attributes of the dashboard, cached for a few seconds."""

    def __init__(self, database: Database, only: Study | None) -> None:
        self._database, self._only = database, only
        self._kept: dict[int, tuple[float, Attributes]] = {}

    def of(self, study_id: int) -> Attributes:
        """Return the attributes of a study; none if it is not hpo's or not the one that is shown."""
        if self._only is not None and study_id != self._only.study_id:
            return {}
        made, attributes = self._kept.get(study_id, (-_SECONDS, {}))
        if time.monotonic() - made >= _SECONDS:
            attributes = self._make(study_id)
            self._kept[study_id] = time.monotonic(), attributes
        return attributes

    def _make(self, study_id: int) -> Attributes:
        try:
            study = self._only or find_study(self._database, study_id)
        except StudyNotFoundError:
            return {}
        ids = _optuna_ids(study)
        attributes = _attributes("", study_note(study.name, study.spec, read_status(study)))
        attributes |= picture_of_study(study_id)
        for row in read_trials(study):
            if (trial_id := ids.get(row.number)) is not None:
                attributes |= _attributes(f"{trial_id}:", trial_note(study.name, row))
                if row.epochs:
                    attributes |= picture_of_trial(study_id, trial_id, row.number)
        return attributes


def _optuna_ids(study: Study) -> dict[int, int]:
    """Return the ids of the study's trials in Optuna's tables, by number."""
    trials = schema.trials.c
    query = sa.select(trials.trial_number, trials.trial_id).where(trials.study_id == study.study_id)
    with study.database.reading() as connection:
        return {row.trial_number: row.trial_id for row in connection.execute(query)}


def study_note(name: str, spec: StudySpec, status: StudyStatus) -> str:
    """Write the protocol and status of a study as Markdown."""
    data, scoring = spec.data, spec.scoring
    rows = f"{scoring.folds} folds of the development set" if scoring.rows == "kfold" else f"{scoring.rows} samples"
    lines = [
        f"## {name}: {data.official_name}",
        f"Scored on {rows}, never on the test set. {spec.budget.epochs} epochs, {spec.search.sampler}, "
        f"{spec.search.pruner}.",
        f"**{status.finished} of {status.budget}** trials finished: {status.complete} complete, {status.pruned} "
        f"pruned, {status.failed} failed; {len(status.running)} running.",
    ]
    for value in status.references:
        lines.append(f"- baseline {shown_name(value.reference or '')}: {with_error(value.auc, value.standard_error)}")
    if status.best is not None:
        best = status.best
        lines.append(
            f"- best: trial {best.number}, {with_error(best.auc, best.standard_error)}; optimistically biased, as the "
            f"best of {status.complete}"
        )
    lines.append(f"\nReport: `hpo report {name}`. Confirm: `hpo confirm {name}`.")
    return "\n\n".join(lines[:3]) + "\n\n" + "\n".join(lines[3:])


def trial_note(study: str, row: TrialRow) -> str:
    """Write a summary of a trial as Markdown."""
    what = row.label or "proposed by the search"
    lines = [
        f"## Trial {row.number}: {what}",
        f"**{row.state}**, AUC **{with_error(row.auc, row.standard_error)}** after {row.epochs} epochs"
        + (f", {duration(row.seconds)}" if row.seconds else "")
        + (f", {memory(row.peak_memory)}" if row.peak_memory else "")
        + (f"; {row.reason}" if row.reason else ""),
    ]
    if row.auc is not None and row.standard_error is not None:
        lines.append(f"95 % interval: {bounds(*clipped_interval(row.auc, row.standard_error))}")
    if row.warning:
        lines.append(f"It {row.warning}.")
    if row.params:
        active = {name: value for name, value in row.params.items() if applies(name, row.params)}
        cells = "\n".join(f"| `{name}` | {setting(value, 4)} |" for name, value in active.items())
        lines.append(f"| setting | value |\n|---|---|\n{cells}")
    lines.append(f"Record: `hpo trials {study} {row.number}`. Reproduce: `hpo replay {study} {row.number}`.")
    return "\n\n".join(lines)


def _attributes(prefix: str, note: str) -> Attributes:
    """Return a note in the form of optuna-dashboard 0.21: a version, and the text in one piece."""
    return {f"dashboard:{prefix}note_ver": 1, f"dashboard:{prefix}note_str:0": note}
