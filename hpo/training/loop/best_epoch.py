"""Hold what counts of a run: the scores of its best epoch so far, and its weights."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hpo.training.state import StateDict


class BestEpoch:
    """The epoch with the best selection AUC so far, the earliest if equal; without a selection set the last one.

    Args:
        keeps_weights: whether to keep the weights of that epoch, too.

    Attributes:
        selection_auc: of that epoch, -inf before the first and without a selection set.
        scores: (N, L) of the validation part; None before the first epoch.
        weights: of the network that was scored, on its device.
    """

    def __init__(self, keeps_weights: bool) -> None:
        self._keeps_weights = keeps_weights
        self.selection_auc = -math.inf
        self.scores: NDArray[np.float32] | None = None
        self.weights: dict[str, Tensor] = {}

    def is_beaten_by(self, selection_auc: float) -> bool:
        """Return whether an epoch is better; infinity, an epoch without a selection set, always is."""
        return selection_auc > self.selection_auc or self.scores is None

    def replace(self, selection_auc: float, scores: NDArray[np.float32], scored: nn.Module) -> None:
        """Take an epoch in its place."""
        self.selection_auc = selection_auc if selection_auc < math.inf else -math.inf
        self.scores = scores
        if self._keeps_weights:
            self.weights = {name: tensor.clone() for name, tensor in scored.state_dict().items()}

    def state_dict(self) -> StateDict:
        """Return its parts, which are those of the run's state."""
        return {
            "best_selection": self.selection_auc,
            "kept": None if self.scores is None else torch.from_numpy(self.scores),
            "best_weights": self.weights,
        }

    def load_state_dict(self, state: StateDict, device: torch.device) -> None:
        """Copy the parts out of a run's state."""
        self.selection_auc = state["best_selection"]
        self.scores = None if state["kept"] is None else state["kept"].numpy().copy()
        self.weights = {name: tensor.clone().to(device) for name, tensor in state["best_weights"].items()}
