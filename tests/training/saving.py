"""A process that writes checkpoints until it is killed."""

from __future__ import annotations

from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from hpo.training.loop.checkpoint import Checkpoint


def save_for_ever(folder: Path, told: Connection) -> None:
    """Save 8 MB of the numbers 1, 2, and so on, and send each that has been saved."""
    checkpoint = Checkpoint(folder, 7, 1, "same")
    for value in map(float, count(1)):
        folds = [{"weights": torch.full((1 << 20,), value)} for _ in "ab"]
        assert checkpoint.save({"value": value}, folds)
        told.send(value)
