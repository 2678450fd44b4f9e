"""Hold the state of the epoch in progress."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.statistics.auc import OneClassError, mean_auc_with_error
from hpo.training.machine.failure import TrainingFailure
from hpo.training.state import StateDict


@dataclass(eq=False)
class Epoch:
    """The epoch in progress.

    Attributes:
        number: from 0.
        rows: (steps, B) sample numbers of its batches, on the CPU.
        random: the generator of augmentation.
        losses, logits: of the steps taken, scalars and (B, L), on the device.
    """

    number: int
    rows: Tensor
    random: torch.Generator
    losses: list[Tensor] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)

    @property
    def steps_done(self) -> int:
        """Steps taken."""
        return len(self.losses)

    def mean_loss(self) -> float:
        """Return the mean over the steps taken. Raises TrainingFailure if a loss is not finite."""
        losses = torch.stack(self.losses).double().cpu().numpy()
        if not np.isfinite(losses).all():
            step = int(np.flatnonzero(~np.isfinite(losses))[0])
            raise TrainingFailure("diverged", f"loss {losses[step]} at step {step + 1} of epoch {self.number + 1}")
        return float(losses.mean())

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
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Copy the state of the same epoch."""
        self.random.set_state(state["random"].clone())
        self.losses, self.logits = (_taken_apart(state[name], self.random.device) for name in ("losses", "logits"))


def _taken_apart(values: Tensor | None, device: torch.device) -> list[Tensor]:
    return [] if values is None else list(values.clone().to(device).unbind())
