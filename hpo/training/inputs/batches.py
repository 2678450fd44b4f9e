"""Which rows make up each batch of an epoch."""

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
    """The batches of one epoch: (steps, B) int64 row numbers on the CPU, all batches full.

    rows: (n,) training rows. labels: (n, L) of these rows. random: a CPU generator of this epoch alone, so that a
    resumed run draws the same.
    B is `batch_size`, or n where that is less, so that BatchNorm never meets a last batch of one row. Rows come in
    random order and each once before any comes again, a class at a time with `fixed_share`, whose batches hold
    round(positive_share * B) positives, within 1 and B - 1.
    Raises ValueError if there are fewer than 2 rows or, with `fixed_share`, other than one label or one class missing.
    """
    if len(rows) < 2:
        raise ValueError(f"{len(rows)} training rows; a batch needs 2")
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
    return torch.cat([positives, negatives], dim=1)


def _cycle(rows: NDArray[np.int64], count: int, random: torch.Generator) -> Tensor:
    """`count` rows: one random order after the other."""
    orders = [torch.randperm(len(rows), generator=random) for _ in range(-(-count // len(rows)))]
    return torch.from_numpy(rows)[torch.cat(orders)[:count]]
