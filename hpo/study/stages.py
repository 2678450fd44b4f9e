"""The stages of a trial: in which order its folds and epochs are trained, and where it is compared with others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Stage:
    """A part of a trial: its first `folds` folds are trained up to epoch `epochs`.

    Attributes:
        folds: from 1.
        epochs: from 1.
    """

    folds: int
    epochs: int

    def __str__(self) -> str:
        """Describe the stage: `1 fold, 9 epochs`."""
        folds, epochs = ("" if count == 1 else "s" for count in (self.folds, self.epochs))
        return f"{self.folds} fold{folds}, {self.epochs} epoch{epochs}"

    @property
    def cost(self) -> int:
        """Epochs over single folds that have been trained at its end."""
        return self.folds * self.epochs


def make_stages(rungs: Iterable[Stage], folds: int, epochs: int) -> tuple[Stage, ...]:
    """Return the stages of a trial of `folds` folds and `epochs` epochs that is compared with others at `rungs`.

    Rungs beyond the folds or epochs that there are are moved to the last; each stage needs more folds or epochs than
    the one before, and no fewer of the other; what does not is left out. The last stage is the whole trial.
    """
    whole = Stage(folds, epochs)
    stages: list[Stage] = []
    for rung in (*rungs, whole):
        stage = Stage(min(rung.folds, folds), min(rung.epochs, epochs))
        before = stages[-1] if stages else Stage(0, 0)
        if stage != before and stage.folds >= before.folds and stage.epochs >= before.epochs:
            stages.append(stage)
    return tuple(stages)


def steps(stages: tuple[Stage, ...]) -> list[Stage]:
    """Return what is reported while stages are trained, one entry a report.

    An entry says after which epoch, and for how many folds; folds that lag behind catch up first, together.
    """
    done = [0] * stages[-1].folds
    reports = []
    for stage in stages:
        while (least := min(done[: stage.folds])) < stage.epochs:
            done[: stage.folds] = [max(epochs, least + 1) for epochs in done[: stage.folds]]
            reports.append(Stage(stage.folds, least + 1))
    return reports


def trained(stages: tuple[Stage, ...], reported: Stage) -> int:
    """Return the epochs over single folds that a trial has trained at a report."""
    before = max((stage for stage in stages if stage.folds < reported.folds), default=Stage(0, 0))
    return before.folds * max(before.epochs, reported.epochs) + (reported.folds - before.folds) * reported.epochs


def share_of_next(stages: tuple[Stage, ...], epoch: int, progress: float) -> float:
    """Return which share of the report that comes next has been trained, 0 to 1.

    Args:
        epoch: of the last report, 0 before the first.
        progress: share of the epochs over single folds of the whole trial that has been trained.
    """
    done, shares = progress * stages[-1].cost, []
    last, had = 0, 0
    for step in steps(stages):
        reaches = trained(stages, step)
        # An epoch is reported once more when further folds come to it, so a trial may be at several places.
        if last == epoch:
            shares.append((done - had) / (reaches - had))
        last, had = step.epochs, reaches
    share = min(shares, key=lambda one: abs(one - min(1.0, max(0.0, one))), default=0.0)
    return min(1.0, max(0.0, share))
