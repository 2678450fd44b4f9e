"""Tell what was meant by a name that is no dataset's: a file, a folder, or a set that hpo cannot train on."""

from __future__ import annotations

from pathlib import Path

from hpo.errors import UsageError
from hpo.study.own import SUFFIX
from hpo.text import brief

_MANY_CLASSES = (
    *("pathmnist", "dermamnist", "octmnist", "retinamnist", "bloodmnist", "tissuemnist", "organamnist", "organcmnist"),
    *("organsmnist", "organmnist3d", "fracturemnist3d"),
)
"""MedMNIST's datasets whose labels are one of several classes."""

_KINDS = {SUFFIX: "data", ".toml": "study"}
"""Endings of a user's files, and what they are."""


def refuse_what_is_something_else(name: str) -> None:
    """Raise UsageError, with what to do, if a name is that of a folder, another file, or a set hpo cannot train on."""
    lowered = name.lower()
    if files := files_meant(name):
        raise UsageError(f"unknown dataset {brief(name)}; did you mean {files}?")
    if _is_folder(name):
        raise UsageError(
            f"{brief(name)} is a folder; give a data file FILE.npz, which `hpo data import` makes of a folder of images"
        )
    if lowered.endswith(SUFFIX):
        raise UsageError(f"{brief(name)}: the name of a data file ends in {SUFFIX}, in small letters; rename it")
    if lowered.endswith(".toml"):
        raise UsageError(f"{brief(name)} is a study file, which `hpo launch` takes; give a data file FILE.npz")
    # No dataset has a dot in its name.
    if Path(name).suffix or _is_file(name):
        raise UsageError(
            f"{brief(name)} is neither a data file, which ends in {SUFFIX}, nor a study file, which ends in .toml; "
            "`hpo data import` makes a data file of a folder of images and a table of labels"
        )
    if lowered in _MANY_CLASSES:
        raise UsageError(
            f"{lowered} has several classes, and hpo trains on labels of 0 and 1: take one class against the rest from "
            f"MedMNIST's file, --dataset {lowered}.npz:0"
        )


def files_meant(name: str) -> str:
    """Return the user's files that have this name before their ending, for a question; "" if none is there."""
    found = [f"the {kind} file {name}{suffix}" for suffix, kind in _KINDS.items() if _is_file(f"{name}{suffix}")]
    return " or ".join(found)


def _is_folder(name: str) -> bool:
    try:
        return bool(name) and Path(name).is_dir()
    except OSError:
        # Too long for a path, for example.
        return False


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:
        return False
