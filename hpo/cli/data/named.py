"""Look up the datasets named in a command line."""

from __future__ import annotations

from hpo.study.catalogue import DATASETS, Dataset, find_dataset


def named(names: tuple[str, ...]) -> list[Dataset]:
    """Return the datasets of these names; without names, all that can be downloaded."""
    return [find_dataset(name) for name in names] or [dataset for dataset in DATASETS if dataset.development is None]
