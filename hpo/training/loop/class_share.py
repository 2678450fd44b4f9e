"""Change the share of positives in batches over the epochs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo.study.config import TrainConfig
from hpo.training.optim.lr_schedule import DECAY_POINTS


def positive_share(config: TrainConfig, natural: float, epoch: int, epochs: int) -> float:
    """Return the share of positives in each batch of `epoch`, counted from 0, of `epochs`.

    - constant: p0 = `positive_share`.
    - linear: p0 + (p1 - p0) epoch / (epochs - 1).
    - step: p0, their mean from half of the epochs on, p1 from three quarters on.

    Args:
        natural: share of positives in the training set, which is p1 if `positive_share_end` is 0.
    """
    start = config.positive_share
    if config.positive_share_schedule == "constant":
        return start
    if config.positive_share_schedule == "linear":
        done = epoch / max(1, epochs - 1)
    else:
        done = sum(epoch >= share * epochs for share in DECAY_POINTS) / len(DECAY_POINTS)
    end = config.positive_share_end or natural
    return start + (end - start) * done


def in_epoch(config: TrainConfig, labels: NDArray[np.uint8], epoch: int, epochs: int) -> TrainConfig:
    """Return the configuration with the share of positives of one epoch.

    Args:
        labels: (n, L) of the samples to train on.
    """
    if config.batching != "fixed_share" or config.positive_share_schedule == "constant":
        return config
    share = positive_share(config, float(labels[:, 0].mean()), epoch, epochs)
    return config.model_copy(update={"positive_share": share})
