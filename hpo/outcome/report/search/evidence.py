"""Read from the database, once, what a report on a search needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from hpo.search.queries.smoothing import read_smoothed
from hpo.search.queries.status import StudyStatus, read_status
from hpo.search.queries.trial_rows import TrialRow
from hpo.search.queries.trials import read_curve, read_curves, read_record, read_records, read_trials
from hpo.search.strategy.smoothing import Smoothed
from hpo.search.study import Study
from hpo.study.baselines import shown_name
from hpo.study.config import ConfigValues, applies
from hpo.study.record import TrialRecord
from hpo.study.spec import StudySpec
from hpo.training.report import EpochReport


@dataclass(frozen=True)
class TrialEvidence:
    """A finished trial: outcome, curve and record; the record is None if it ended before training."""

    row: TrialRow
    curve: list[EpochReport]
    record: TrialRecord | None

    @property
    def config(self) -> ConfigValues:
        """Return its configuration as stored; empty without a record."""
        return {} if self.record is None else self.record.config

    @property
    def name(self) -> str:
        """Return its name in confirmations and final results."""
        return self.row.reference or f"trial {self.row.number}"

    @property
    def label(self) -> str:
        """Return its name in tables and figures."""
        name = shown_name(self.name)
        if self.row.start is not None:
            return f"{name} (start {self.row.start})"
        return f"{name} ({self.row.cut_short})" if self.row.cut_short else name

    @property
    def roc(self) -> list[float]:
        """Return true positive rates at `ROC_GRID` after its last epoch; empty if it has not ended or stored none."""
        return [] if self.record is None else list(self.record.roc or ())

    def at(self, epoch: int) -> EpochReport | None:
        """Return its report of that epoch, from 1; None if it was stopped earlier."""
        return next((point for point in self.curve if point.epoch == epoch), None)


@dataclass(frozen=True)
class SearchEvidence:
    """The current state of a search.

    shared_epoch: the last epoch, from 1, that every finished and not failed trial reached; 0 if there is none.
        Trials compare by their AUCs after it, over as many folds as all of them were trained on.
    smoothed: the smoothed AUCs by which the study ranks its trials; None if it ranks them by their own.
    """

    name: str
    spec: StudySpec
    status: StudyStatus
    trials: list[TrialEvidence]
    shared_epoch: int
    smoothed: Smoothed | None = None

    @cached_property
    def complete(self) -> list[TrialEvidence]:
        """Return the trials that trained all their epochs, best first by the study's ranking, baselines included."""
        done = [trial for trial in self.trials if trial.row.state == "complete"]
        smoothed = self.smoothed_aucs

        def key(trial: TrialEvidence) -> tuple[float, int]:
            return -smoothed.get(trial.row.number, trial.row.auc or 0.0), trial.row.number

        return sorted(done, key=key)

    @cached_property
    def smoothed_aucs(self) -> dict[int, float]:
        """Return the smoothed AUC by number of the trial; empty if the study ranks trials by their own AUCs."""
        return {} if self.smoothed is None else self.smoothed.aucs

    @cached_property
    def baselines(self) -> list[TrialEvidence]:
        """Return the complete baselines, in the order of their numbers."""
        return [trial for trial in self.trials if trial.row.reference and trial.row.state == "complete"]

    @property
    def best(self) -> TrialEvidence | None:
        """Return the best complete trial that the sampler proposed, or None."""
        return next((trial for trial in self.complete if not trial.row.reference), None)

    @property
    def named(self) -> list[TrialEvidence]:
        """Return the complete baselines and the best trial."""
        return [*self.baselines, *([self.best] if self.best else [])]

    @cached_property
    def shared_folds(self) -> int:
        """Return the number of first folds on which every finished and not failed trial has reached the shared epoch.

        0 if no report has the AUCs of its folds.
        """
        reports = [trial.at(self.shared_epoch) for trial in self.trials if trial.row.state != "failed"]
        return min((len(found.fold_aucs) for found in reports if found is not None and found.fold_aucs), default=0)

    @cached_property
    def comparable(self) -> list[tuple[TrialEvidence, float]]:
        """Return the trials that reached the shared epoch on the shared folds, with their AUC over these."""
        found = [(trial, trial.at(self.shared_epoch)) for trial in self.trials]
        values = [(trial, None if report is None else _auc_over(report, self.shared_folds)) for trial, report in found]
        return [(trial, value) for trial, value in values if value is not None]

    @cached_property
    def points(self) -> dict[str, list[tuple[Any, float]]]:
        """Return (value, AUC as in `comparable`) of the trials in which a setting has an effect, without baselines.

        By searched setting.
        """
        sampled = [(trial.config, auc) for trial, auc in self.comparable if not trial.row.reference]
        return {
            name: [(config[name], auc) for config, auc in sampled if applies(name, config)] for name in self.spec.space
        }


def _auc_over(report: EpochReport, folds: int) -> float | None:
    """Return the mean AUC over the first folds; over all in a report without the AUCs of its folds."""
    own = report.fold_aucs
    if not own or len(own) == folds:
        return report.auc
    return fmean(own[:folds]) if len(own) > folds else None


def gather_trial(study: Study, row: TrialRow) -> TrialEvidence:
    """Read everything about one trial. Raises StorageError."""
    return TrialEvidence(row, read_curve(study, row.number), read_record(study, row.number))


def gather_search(study: Study) -> SearchEvidence:
    """Read everything about the search in `study`. Raises StudyNotFoundError, StorageError."""
    rows = [row for row in read_trials(study) if row.state in ("complete", "pruned", "failed")]
    curves, records = read_curves(study), read_records(study)
    trials = [TrialEvidence(row, curves.get(row.number, []), records.get(row.number)) for row in rows]
    lasts = [trial.curve[-1].epoch for trial in trials if trial.curve and trial.row.state != "failed"]
    shared = min(lasts, default=0)
    return SearchEvidence(study.name, study.spec, read_status(study), trials, shared, read_smoothed(study))
