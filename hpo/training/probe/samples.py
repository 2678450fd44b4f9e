"""Take a few samples of a development set to probe with, and the settings of a probe."""

from __future__ import annotations

from dataclasses import replace

from hpo.data.development import Development
from hpo.study.config import TrainConfig


def first_samples(development: Development, samples: int) -> Development:
    """Return a copy of the first `samples` samples, at most, without groups."""
    arrays = {name: getattr(development, name)[:samples].copy() for name in ("images", "labels", "is_validation")}
    return replace(development, **arrays, groups=None)


def plain(config: TrainConfig) -> TrainConfig:
    """Return a configuration that trains on all of a few samples, in steps of the same size, and on no other dataset.

    Neighbours in a file may be near-duplicates, of which `duplicates = remove` would leave too few for a batch.
    """
    changes = {
        "resplit": "none",
        "batching": "random",
        "duplicates": "keep",
        "progressive": 1.0,
        "co_training": "none",
    }
    return config.model_copy(update=changes)
