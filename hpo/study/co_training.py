"""The setting `co_training`: which other datasets a configuration trains on besides its own."""

from __future__ import annotations

from collections.abc import Iterable

from hpo.errors import UsageError, did_you_mean
from hpo.registry import Entry, Registry
from hpo.study.catalogue import DATASETS, Dataset

NONE, ALL = "none", "all"

AND = "+"
"""Joins the names of several datasets."""

_MEDMNIST = ("breast", "pneumonia", "chest", "nodule3d", "adrenal3d", "vessel3d", "synapse3d")
"""What `all` is taken from, whatever plug-ins are installed and files are there: it means the same everywhere."""

_USES = ("co_training_share", "co_training_epochs")


class _SetsOfDatasets(Registry[str]):
    """Legal values of the setting: none, all, a dataset, or several joined by +."""

    def names(self) -> tuple[str, ...]:
        """Return none, all, and each dataset alone; any of these datasets may be joined."""
        return (NONE, ALL, *DATASETS.names())

    def entry(self, name: str) -> Entry[str]:
        """Return what is known of a value; see `Registry.entry`."""
        if name not in self:
            raise UsageError(f"unknown {self.kind} {name!r}{did_you_mean(name, self.names())}")
        return Entry(name, name, uses=() if name == NONE else _USES)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        parts = name.split(AND)
        return name in (NONE, ALL) or (len(set(parts)) == len(parts) and all(part in DATASETS for part in parts))


CO_TRAINING: Registry[str] = _SetsOfDatasets("dataset to train on together")


def other_datasets(value: str, target: Dataset) -> tuple[Dataset, ...]:
    """Return the datasets that a value of `co_training` adds to those of a study, in the order of their names.

    `all` are those of MedMNIST whose images have the shape of the target's.

    Raises:
        UsageError: if one is the target, or its images have another shape.
    """
    if value == NONE:
        return ()
    if value == ALL:
        known = (DATASETS.find(name) for name in _MEDMNIST)
        found = [one for one in known if one.image_shape == target.image_shape and one.name != target.name]
        if not found:
            raise UsageError(f"co_training = {ALL}: no other dataset has images of the shape of {target.name}")
        return tuple(sorted(found, key=lambda one: one.name))
    named = [DATASETS.find(name) for name in sorted(value.split(AND))]
    for one in named:
        if one.name == target.name:
            raise UsageError(f"co_training = {value}: {one.name} is the dataset of the study; name others")
        if one.image_shape != target.image_shape:
            shapes = f"{one.image_shape}, those of {target.name} {target.image_shape}"
            raise UsageError(f"co_training = {value}: images of {one.name} are {shapes}; name datasets of one format")
    return tuple(named)


def datasets_of(values: Iterable[str], target: Dataset) -> tuple[Dataset, ...]:
    """Return the datasets that any of the values adds, each once, by name; raises UsageError as `other_datasets`."""
    found = {one.name: one for value in values for one in other_datasets(value, target)}
    return tuple(found[name] for name in sorted(found))


def names_of_others(value: object, target: Dataset) -> str:
    """Return a stored value of `co_training` for readers, such as `ChestMNIST and PneumoniaMNIST`; "" for none.

    A dataset that is not registered in this process has the name that was stored.
    """
    if value in (None, NONE):
        return ""
    try:
        names = [dataset.official_name for dataset in other_datasets(str(value), target)]
    except UsageError:
        names = str(value).split(AND)
    return " and ".join(names)
