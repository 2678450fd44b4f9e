"""Take a few samples of a development set to probe with."""

from __future__ import annotations

from dataclasses import replace

from hpo.data.development import Development


def first_samples(development: Development, samples: int) -> Development:
    """Return a copy of the first `samples` samples, at most, without groups."""
    arrays = {name: getattr(development, name)[:samples].copy() for name in ("images", "labels", "is_validation")}
    return replace(development, **arrays, groups=None)
