"""Hold the state of the epoch in progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.statistics.auc import OneClassError, mean_auc_with_error
from hpo.training.loop.co_training import TARGET, OtherBatch, Turns
from hpo.training.machine.failure import TrainingFailure
from hpo.training.state import StateDict


@dataclass(eq=False)
class Epoch:
    """The epoch in progress.

    Attributes:
        number: from 0.
        rows: (steps, B) sample numbers of its batches, on the CPU.
        random: the generator of augmentation.
        turns: whose turn each step is, with the batches of other datasets; None if all steps are of `rows`.
        losses, logits: of the steps taken, scalars and (B, L), on the device.
        other_losses: of the steps taken on other datasets.
    """

    number: int
    rows: Tensor
    random: torch.Generator
    turns: Turns | None = None
    losses: list[Tensor] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)
    other_losses: list[Tensor] = field(default_factory=list)

    @property
    def steps_done(self) -> int:
        """Steps taken, on whatever dataset."""
        return len(self.losses) + len(self.other_losses)

    def batches(self, send: Callable[[Tensor], Tensor]) -> Iterator[Tensor | OtherBatch]:
        """Yield the batches of the steps that are left, (B,) sample numbers, in their order.

        Args:
            send: copies sample numbers to the device.
        """
        own = iter(send(self.rows[len(self.losses) :]))
        if self.turns is None:
            yield from own
            return
        done, left = self.turns.order[: self.steps_done], self.turns.order[self.steps_done :]
        others = [iter(send(rows[done.count(place) :])) for place, rows in enumerate(self.turns.rows)]
        for place in left:
            yield next(own) if place == TARGET else OtherBatch(place, next(others[place]))

    def mean_loss(self) -> float:
        """Return the mean over the steps taken on the study's dataset. Raises TrainingFailure if one is not finite."""
        others = [torch.stack(self.other_losses)] if self.other_losses else []
        for losses, of in zip([torch.stack(self.losses), *others], ("", " on other datasets"), strict=False):
            values = losses.double().cpu().numpy()
            if not np.isfinite(values).all():
                step = int(np.flatnonzero(~np.isfinite(values))[0])
                where = f"step {step + 1}{of} of epoch {self.number + 1}"
                raise TrainingFailure("diverged", f"loss {values[step]} at {where}")
        return float(torch.stack(self.losses).double().cpu().numpy().mean())

    def training_auc(self, labels: NDArray[np.uint8]) -> float:
        """Return the AUC of the batches as they were scored in training, nan if a class is missing.

        Args:
            labels: (N, L) of the samples that `rows` indexes.

        Raises:
            TrainingFailure: if a score is not finite.
        """
        rows, scores = self.trained()
        if not np.isfinite(scores).all():
            raise TrainingFailure("diverged", "scores of training batches not finite")
        try:
            return mean_auc_with_error(scores, labels[rows])[0]
        except OneClassError:
            return math.nan

    def trained(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the sample numbers of its batches, (steps * B,), and their logits in training, (steps * B, L)."""
        return self.rows.flatten().numpy(), torch.cat(self.logits).cpu().numpy()

    def state_dict(self) -> StateDict:
        """Return its position, generator, losses and logits; the batches are redrawn from the seed."""
        return {
            "number": self.number,
            "random": self.random.get_state(),
            "losses": torch.stack(self.losses) if self.losses else None,
            "logits": torch.stack(self.logits) if self.logits else None,
            "other_losses": torch.stack(self.other_losses) if self.other_losses else None,
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Copy the state of the same epoch."""
        self.random.set_state(state["random"].clone())
        names, device = ("losses", "logits", "other_losses"), self.random.device
        # A final network that an earlier version left half-trained has no losses of other datasets.
        self.losses, self.logits, self.other_losses = (_taken_apart(state.get(name), device) for name in names)


def _taken_apart(values: Tensor | None, device: torch.device) -> list[Tensor]:
    return [] if values is None else list(values.clone().to(device).unbind())
