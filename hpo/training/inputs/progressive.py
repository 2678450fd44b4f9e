"""Choose the size of the images that an epoch trains on, for training that begins with small ones."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.study.config import TrainConfig

_PARTS = 8
"""Edges are multiples of this part of the full edge, so that few sizes are compiled, and recorded as CUDA graphs."""


@dataclass(frozen=True)
class TrainingSizes:
    """The edges of the images of each epoch of a run; `full` is that of scoring."""

    config: TrainConfig
    full: int
    epochs: int

    def edge(self, epoch: int) -> int:
        """Return the edge of the images that `epoch`, from 0, trains on.

        The first `progressive_share` of the epochs train on smaller images, the last epoch never does: linear growth
        begins at the share `progressive` of the edge and would reach the full edge at the end of them, staged keeps
        that share.
        """
        config = self.config
        growing = min(round(config.progressive_share * self.epochs), self.epochs - 1)
        if config.progressive == 1 or epoch >= growing:
            return self.full
        share = config.progressive
        if config.progressive_growth == "linear":
            share += (1 - share) * epoch / growing
        return max(1, round(self.full * round(_PARTS * share) / _PARTS))

    def are_small(self, epoch: int) -> bool:
        """Return whether an epoch trains on smaller images than are scored."""
        return self.edge(epoch) < self.full
