"""Draw the batches of an epoch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.study.config import TrainConfig


def epoch_batches(
    config: TrainConfig,
    rows: NDArray[np.int64],
    labels: NDArray[np.uint8],
    steps: int,
    random: torch.Generator,
) -> Tensor:
    """Draw the batches of one epoch: (steps, B) int64 sample numbers on the CPU, all batches full.

    B is `batch_size`, or n if that is less, so that BatchNorm never gets a last batch of one sample. Samples are
    shuffled and none repeats before all were drawn. With `fixed_share` this holds for each class, and each batch has
    round(positive_share * B) positives, clipped to [1, B - 1]. They come before the negatives; with `ghost_batch` both
    are in random order.

    Args:
        rows: (n,) sample numbers to train on.
        labels: (n, L) of these samples.
        random: a CPU generator seeded for this epoch, so that a resumed run draws the same.

    Raises:
        ValueError: if there are fewer than 2 samples or, with `fixed_share`, several labels or a missing class.
    """
    if len(rows) < 2:
        raise ValueError(f"{len(rows)} training samples; a batch needs at least 2")
    size = min(config.batch_size, len(rows))
    if config.batching == "random":
        return _cycle(rows, steps * size, random).view(steps, size)
    if labels.shape[1] != 1:
        raise ValueError(f"batching = fixed_share needs one label, not {labels.shape[1]}")
    is_positive = labels[:, 0] == 1
    if is_positive.all() or not is_positive.any():
        raise ValueError(f"batching = fixed_share needs both classes; {int(is_positive.sum())} of {len(rows)} positive")
    count = min(max(round(config.positive_share * size), 1), size - 1)
    positives = _cycle(rows[is_positive], steps * count, random).view(steps, count)
    negatives = _cycle(rows[~is_positive], steps * (size - count), random).view(steps, size - count)
    batches = torch.cat([positives, negatives], dim=1)
    if not config.ghost_batch:
        return batches
    # BatchNorm over parts of a batch would otherwise normalise each class by itself.
    return batches.gather(1, torch.rand(batches.shape, generator=random).argsort(dim=1))


def _cycle(rows: NDArray[np.int64], count: int, random: torch.Generator) -> Tensor:
    """Return `count` sample numbers from concatenated random permutations."""
    orders = [torch.randperm(len(rows), generator=random) for _ in range(-(-count // len(rows)))]
    return torch.from_numpy(rows)[torch.cat(orders)[:count]]
