"""Cut parameters and their optimizer state into blocks that fit into a CPU's cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

BLOCK = 1 << 19
"""Elements per block on a CPU: a block's data in a step (about five times 2 MB) stays in the cache between operations.
On a GPU one block holds everything."""


@dataclass(frozen=True, eq=False)
class Source:
    """A parameter, its number, its optimizer state, and with epoch decay its reference and the sum of its values."""

    index: int
    parameter: Tensor
    state: list[Tensor]
    reference: Tensor | None = None
    summed: Tensor | None = None


@dataclass
class Block:
    """Views of the same slices of parameters, reference, weight sum and optimizer state; gradients come per step."""

    where: list[tuple[int, int, int]] = field(default_factory=list)
    size: int = 0
    parameters: list[Tensor] = field(default_factory=list)
    reference: list[Tensor] = field(default_factory=list)
    summed: list[Tensor] = field(default_factory=list)
    first: list[Tensor] = field(default_factory=list)
    second: list[Tensor] = field(default_factory=list)

    def add(self, source: Source, low: int, high: int) -> None:
        """Add elements low to high of a parameter and of what belongs to it."""
        self.where.append((source.index, low, high))
        self.size += source.parameter[low:high].numel()
        self.parameters.append(source.parameter.detach()[low:high])
        for views, values in zip((self.first, self.second), source.state, strict=False):
            views.append(values[low:high])
        if source.reference is not None and source.summed is not None:
            self.reference.append(source.reference[low:high])
            self.summed.append(source.summed[low:high])


def cut_blocks(sources: Sequence[Source]) -> list[Block]:
    """Cut parameters along their first dimension into blocks of at most `BLOCK` elements; on a GPU into one."""
    blocks = [Block()]
    limit = BLOCK if sources[0].parameter.device.type == "cpu" else math.inf
    for source in sources:
        p = source.parameter
        row = p[0].numel()
        rows = len(p) if limit == math.inf else max(1, int(limit) // row)
        for low in range(0, len(p), rows):
            high = min(low + rows, len(p))
            if blocks[-1].size and blocks[-1].size + (high - low) * row > limit:
                blocks.append(Block())
            blocks[-1].add(source, low, high)
    return blocks
