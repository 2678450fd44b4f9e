"""What a worker process is told when it starts, and what both kinds of worker share."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

System = Literal["hpo", "stock"]


@dataclass(frozen=True)
class Orders:
    """Orders to one worker. lease, epoch_seconds, clock_offset: seconds; trials: the budget, for stock.

    clock_file: by how many seconds the clock of the database is ahead, for hpo.
    """

    system: System
    address: str
    study: str
    worker: str
    journals: str
    checkpoints: str
    trials: int
    epochs: int
    epoch_seconds: float
    lease: float
    clock_offset: float = 0.0
    clock_file: str = "/nonexistent"


def stand_in_auc(seed: int, epoch: int) -> float:
    """The AUC of an epoch of stand-in training: a rising curve with noise, the same in every life of a trial."""
    return random.Random(f"{seed}:{epoch}").uniform(0.7, 0.85) + 0.1 * (1 - 1 / epoch)
