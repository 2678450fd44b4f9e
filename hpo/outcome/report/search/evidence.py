"""What a report rests on, gathered from the database once."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.search.queries.status import StudyStatus, read_status
from hpo.search.queries.trials import TrialRow, read_curve, read_record, read_trials
from hpo.search.study import Study
from hpo.study.config import ConfigValues
from hpo.study.record import TrialRecord
from hpo.study.spec import StudySpec
from hpo.training.report import EpochReport


@dataclass(frozen=True)
class TrialEvidence:
    """One finished trial: how it ended, its curve and its record, None if it ended before it was trained."""

    row: TrialRow
    curve: list[EpochReport]
    record: TrialRecord | None

    @property
    def config(self) -> ConfigValues:
        """The configuration that it trained, as stored; empty without a record."""
        return {} if self.record is None else self.record.config

    @property
    def label(self) -> str:
        """What it is called in tables and figures."""
        return self.row.reference or f"trial {self.row.number}"

    @property
    def roc(self) -> list[float]:
        """True positive rates of its last scoring at `ROC_GRID`; empty before it ended, and of trials from before."""
        return [] if self.record is None else list(self.record.roc or ())

    def auc_at(self, epoch: int) -> float | None:
        """Its scoring AUC after that epoch, from 1, or None if it was stopped before."""
        return next((point.auc for point in self.curve if point.epoch == epoch), None)


@dataclass(frozen=True)
class SearchEvidence:
    """A search as it stands.

    shared_epoch: the last epoch, from 1, that every finished trial reached but those that failed; 0 if there is none.
    """

    name: str
    spec: StudySpec
    status: StudyStatus
    trials: list[TrialEvidence]
    shared_epoch: int

    @property
    def complete(self) -> list[TrialEvidence]:
        """Trials that trained all their epochs, best first; references are among them."""
        done = [trial for trial in self.trials if trial.row.state == "complete"]
        return sorted(done, key=lambda trial: (-(trial.row.auc or 0.0), trial.row.number))

    @property
    def references(self) -> list[TrialEvidence]:
        """The references that are complete, in the order of their numbers."""
        return [trial for trial in self.trials if trial.row.reference and trial.row.state == "complete"]

    @property
    def best(self) -> TrialEvidence | None:
        """The best complete trial that the search proposed, or None."""
        return next((trial for trial in self.complete if not trial.row.reference), None)

    @property
    def named(self) -> list[TrialEvidence]:
        """The references that are complete, and the best."""
        return [*self.references, *([self.best] if self.best else [])]

    def at_shared_epoch(self) -> list[tuple[TrialEvidence, float]]:
        """The trials that can be compared with each other: those with a value at the shared epoch, and it."""
        found = [(trial, trial.auc_at(self.shared_epoch)) for trial in self.trials]
        return [(trial, value) for trial, value in found if value is not None]


def gather_trial(study: Study, row: TrialRow) -> TrialEvidence:
    """Everything about one trial. Raises StorageError."""
    return TrialEvidence(row, read_curve(study, row.number), read_record(study, row.number))


def gather_search(study: Study) -> SearchEvidence:
    """Everything about the search in `study`. Raises StudyNotFoundError, StorageError."""
    rows = [row for row in read_trials(study) if row.state in ("complete", "pruned", "failed")]
    trials = [gather_trial(study, row) for row in rows]
    lasts = [trial.curve[-1].epoch for trial in trials if trial.curve and trial.row.state != "failed"]
    return SearchEvidence(study.name, study.spec, read_status(study), trials, min(lasts, default=0))
