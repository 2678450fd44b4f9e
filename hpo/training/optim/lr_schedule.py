"""Schedule the learning rate by step, and updates of the regularizer's reference and ends of cycles by epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hpo.study.config import ScheduleName, TrainConfig

DECAY_POINTS = (0.5, 0.75)
"""Shares of the epochs at which `step` decays and the reference is updated; MedMNIST's 50 and 75 of 100."""

DECAY_FACTOR = 0.1

_RISE, _START, _END = 0.3, 25.0, 1e4
"""Of `one_cycle`: share of the steps in which the rate rises, and by how much it is divided at first and at last."""


@dataclass(frozen=True)
class Schedule:
    """Factors of the learning rate in a run of `epochs` epochs of `steps` steps each.

    constant, step, cosine: the same within an epoch, see `learning_rate_factor`.
    cyclic: (1 + cos(pi t)) / 2 in each cycle, with t the share of its steps done (Loshchilov and Hutter 2017, arXiv
        1608.03983; snapshots at the ends: Huang et al. 2017, arXiv 1704.00109). A cycle has whole epochs.
    one_cycle: a rise to 1 and a fall, both by cosine, as torch's OneCycleLR by default, without its momentum (Smith and
        Topin 2018, arXiv 1708.07120).

    Attributes:
        warmup: steps in which the factor is also multiplied by a line up to 1 (Goyal et al. 2017, arXiv 1706.02677).
    """

    kind: ScheduleName
    epochs: int
    steps: int
    cycles: int = 1
    warmup: int = 0

    @classmethod
    def of(cls, config: TrainConfig, epochs: int, steps: int) -> Schedule:
        """Return the schedule of a configuration."""
        share = config.warmup if config.has_effect("warmup") else 0.0
        return cls(config.schedule, epochs, steps, config.cycles, round(share * epochs * steps))

    def factor(self, epoch: int, step: int) -> float:
        """Return the factor of step `step` of `epoch`, both counted from 0."""
        done = epoch * self.steps + step
        rise = min(1.0, (done + 1) / self.warmup) if self.warmup else 1.0
        if self.kind == "one_cycle":
            return rise * _one_cycle(done, self.epochs * self.steps)
        if self.kind == "cyclic":
            ends = cycle_ends(self.kind, self.cycles, self.epochs)
            start = max((end + 1 for end in ends if end < epoch), default=0)
            length = min((end for end in ends if end >= epoch), default=epoch) + 1 - start
            return rise * _half_cosine((done - start * self.steps) / (length * self.steps))
        return rise * learning_rate_factor(self.kind, epoch, self.epochs)


def learning_rate_factor(schedule: ScheduleName, epoch: int, epochs: int) -> float:
    """Return the factor of the learning rate during `epoch`, counted from 0, of `epochs`: constant, step or cosine.

    cosine: (1 + cos(pi epoch / epochs)) / 2, which never reaches 0. Source: Loshchilov and Hutter 2017, arXiv
    1608.03983.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "step":
        return DECAY_FACTOR ** sum(epoch >= share * epochs for share in DECAY_POINTS)
    return _half_cosine(epoch / epochs)


def updates_reference(epoch: int, epochs: int) -> bool:
    """Return whether the reference is updated before `epoch`: the first at or after a decay point, never 0."""
    return any(epoch - 1 < share * epochs <= epoch for share in DECAY_POINTS)


def cycle_ends(schedule: ScheduleName, cycles: int, epochs: int) -> tuple[int, ...]:
    """Return the last epoch of each cycle, counted from 0; a schedule that is not cyclic is one cycle.

    Cycles differ by an epoch at most, and there are no more of them than epochs.
    """
    count = min(cycles, epochs) if schedule == "cyclic" else 1
    return tuple(round(number * epochs / count) - 1 for number in range(1, count + 1))


def _half_cosine(done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2


def _one_cycle(done: int, total: int) -> float:
    top = _RISE * total - 1
    if done <= top:
        return 1 + (1 / _START - 1) * _half_cosine(done / top if top > 0 else 1.0)
    lowest = 1 / (_START * _END)
    return lowest + (1 - lowest) * _half_cosine(min(1.0, (done - top) / (total - 1 - top)))
