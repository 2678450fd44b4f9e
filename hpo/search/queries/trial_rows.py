"""What queries of trials return: rows of trials, the ranked ones, and what the best is worth."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.search.queries.reported import warning_of
from hpo.study.baselines import shown_name
from hpo.study.config import ConfigValues


@dataclass(frozen=True)
class Value:
    """The validation AUC of one trial.

    Attributes:
        low: lower end of the 95 % confidence interval, clipped to [0, 1].
        high: upper end, likewise.
        reference: name of the baseline, None if it is not one.
        cut_short: of a baseline, at how many of its own epochs it ended, in words; else "".
    """

    number: int
    auc: float
    standard_error: float | None
    low: float | None
    high: float | None
    reference: str | None
    cut_short: str = ""

    @property
    def baseline(self) -> str:
        """Name of the baseline, marked if it was cut short; "" if it is not one."""
        return _marked(shown_name(self.reference or ""), self.cut_short)


@dataclass(frozen=True)
class TrialRow:
    """One trial.

    Attributes:
        state: running, free, complete, pruned or failed.
        auc: of its last report.
        reference: name of the baseline, None if it is not one.
        seconds: training time.
        started: in seconds since 1970.
        ended: in seconds since 1970.
        candidate: in a confirmation, the name of the candidate; of a final network, that of its configuration.
        repeat: in a confirmation, the number of the repeat, from 1.
        peak_memory: in bytes; None until an attempt has ended.
        training_auc: of the training batches of its last report, as `auc`; None if unknown.
        highest_training_auc: over its epochs, None if unknown.
        cut_short: as in `Value`.
        start: name of its start point, None if it has none.
        folds: on which the report of its last epoch rests; 0 without a report.
        all_folds: of a whole trial.
        network: of a final network, its number among those of its configuration, from 0.
    """

    number: int
    state: str
    auc: float | None
    standard_error: float | None
    epochs: int
    params: ConfigValues
    reference: str | None
    reason: str | None
    worker: str | None
    seconds: float | None
    started: float
    ended: float | None
    candidate: str | None = None
    repeat: int | None = None
    peak_memory: int | None = None
    training_auc: float | None = None
    highest_training_auc: float | None = None
    cut_short: str = ""
    start: str | None = None
    folds: int = 0
    all_folds: int = 0
    network: int | None = None

    @property
    def extent(self) -> str:
        """How far it was trained, in words: `9 epochs`, or `9 epochs of 2 of 5 folds`."""
        some = f" of {self.folds} of {self.all_folds} folds" if 0 < self.folds < self.all_folds else ""
        return f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}{some}"

    @property
    def short_extent(self) -> str:
        """How far it was trained, in figures: `9`, or `9 (2/5)` of 2 of 5 folds."""
        return f"{self.epochs} ({self.folds}/{self.all_folds})" if 0 < self.folds < self.all_folds else str(self.epochs)

    @property
    def label(self) -> str:
        """Name of the baseline, of the start point, or of the candidate with its repeat; "" if it has none."""
        name = _label(self.candidate or self.reference, self.cut_short, self.repeat, self.start)
        return name if self.network is None else f"{name}, network {self.network}"

    @property
    def warning(self) -> str:
        """Warning that its AUC is due to chance, if at its end it does not even rank its training set; else ""."""
        return warning_of(self.highest_training_auc, self.training_auc)


@dataclass(frozen=True)
class BestTrial:
    """A complete trial with its rank and its configuration as stored.

    Attributes:
        candidate: as in `TrialRow`; `repeat`, `training_auc`, `highest_training_auc` and `start` likewise.
        smoothed: AUC smoothed over similar configurations, by which it is ranked, see `hpo.search.queries.smoothing`;
            None where trials are ranked by their own AUC, and for baselines, which were not chosen from many.
    """

    rank: int
    value: Value
    config: ConfigValues
    params: ConfigValues
    candidate: str | None = None
    repeat: int | None = None
    training_auc: float | None = None
    highest_training_auc: float | None = None
    start: str | None = None
    smoothed: float | None = None

    @property
    def label(self) -> str:
        """As in `TrialRow`."""
        return _label(self.candidate or self.value.reference, self.value.cut_short, self.repeat, self.start)

    @property
    def warning(self) -> str:
        """As in `TrialRow`."""
        return warning_of(self.highest_training_auc, self.training_auc)


@dataclass(frozen=True)
class CorrectedDifference:
    """The best trial minus a baseline, corrected for the selection of the best.

    Attributes:
        difference: on the samples on which it was selected.
        corrected, low, high: on samples left out, with a 95 % interval.
    """

    baseline: str
    difference: float
    corrected: float
    low: float
    high: float


@dataclass(frozen=True)
class CorrectedBest:
    """What the best trial is worth, corrected for its selection on these samples (BBC-CV, see `hpo.outcome.selection`).

    Attributes:
        number: of the best trial that the sampler proposed, by its out-of-fold scores.
        chosen_from: number of such trials.
        missing: number of complete trials whose scores are not kept; they are not among these.
        auc: from the scores that are kept; in half precision, and of large validation parts of a subset.
        corrected: mean AUC on samples left out of the selection.
        low, high: 95 % interval, conservative.
        optimism: auc minus corrected.
        resamples: of the bootstrap.
    """

    number: int
    chosen_from: int
    missing: int
    auc: float
    corrected: float
    low: float
    high: float
    optimism: float
    differences: list[CorrectedDifference]
    resamples: int


@dataclass(frozen=True)
class Ranking:
    """The best complete trials.

    Attributes:
        chosen_from: number of complete trials that they are the best of.
        note: why the value of the first is optimistically biased, and why it is not `corrected` if a fold has a single
            sample of a class.
        corrected: what the best is worth; None where fewer than two trials have scores, where a fold has a single
            sample of a class, or it was not asked for.
    """

    trials: list[BestTrial]
    chosen_from: int
    note: str
    corrected: CorrectedBest | None = None


def _label(name: str | None, short: str, repeat: int | None, start: str | None) -> str:
    shown = f"start {start}" if start is not None else _marked(shown_name(name or ""), short)
    return f"{shown}, repeat {repeat}" if repeat is not None else shown


def _marked(name: str, short: str) -> str:
    return f"{name} ({short})" if short else name
