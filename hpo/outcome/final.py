"""Store and load a final result: how it was chosen and trained, and the test scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, ValidationError, field_validator, model_validator

from hpo.data.npz import NpzError, open_npz
from hpo.errors import DataError, OutputError
from hpo.files import atomic_write, fitting, make_folder, read_text
from hpo.outcome.networks import Protocol
from hpo.study.config import ConfigValues
from hpo.study.record import NetworkRecord
from hpo.study.stored import StoredModel, faults, is_newer, parse_object
from hpo.text import brief

RESULT, SCORES = "final.json", "scores.npz"

_ACCESS = "access"
"""Array of `scores.npz` with the key of that name of `final.json`; results from before it was kept are without."""

DEFAULT_RESULTS = Path("hpo-results")
"""Default parent folder of final results, relative to the current directory."""

MOST_BYTES = 2**26
"""Largest size of `final.json`."""

RESULT_VERSION = 1
"""Format version of `final.json` that this hpo writes."""


_OFTEN_EMPTY = ("access", "reason", "former_names")
"""Keys that `final.json` is without where they say nothing."""


class FinalNetwork(StoredModel):
    """A network of a final result.

    Attributes:
        file: file name in `models/`.
        thresholds: score threshold of each label, length L.
        threshold_rows: the samples that they were chosen on, in words.
        record: how it was trained and what that cost; None for networks from before records were stored.
        weights: digest of its weights; None for results from before digests were stored.
    """

    model_config = ConfigDict(extra="ignore")

    file: str
    thresholds: tuple[float, ...]
    threshold_rows: str
    record: NetworkRecord | None = None
    weights: str | None = None

    @field_validator("record", mode="before")
    @classmethod
    def _none_if_empty(cls, stored: object) -> object:
        return stored or None


class FinalEntry(StoredModel):
    """A configuration with its networks.

    Attributes:
        config: as stored.
        chosen: how it was chosen, in words.
        epochs: of its networks; None for those of the protocol.
    """

    model_config = ConfigDict(extra="ignore")

    name: str
    is_reference: bool
    chosen: str
    config: ConfigValues
    networks: tuple[FinalNetwork, ...]
    epochs: int | None = None


class FinalResult(StoredModel):
    """The content of `final.json`. Unknown keys are ignored.

    Attributes:
        study: the study that was finalized.
        dataset: name of its dataset.
        winner: name of the entry that was chosen.
        protocol: how the networks were trained.
        entries: the winner, the best of each other loss family, and the baselines.
        ledger_row: entry of the test-set access log that records this access.
        code_version: of the code that read them.
        time: when, in seconds since 1970.
        twin_threshold: correlation from which a test sample is a near-duplicate of one of the development set; None in
            results from before this was looked for, and where the dataset declares none.
        access: digest of the networks that the test set was opened for; "" in results from before this key existed.
        reason: of another access to a test set that had been read before; "" for the first, and in results that were
            stored before this key existed.
        former_names: of the study before it was renamed, one of which its folder may have; none in results from before
            this key existed.
        version: format version, see `RESULT_VERSION`.
    """

    model_config = ConfigDict(extra="ignore")

    study: str
    dataset: str
    winner: str
    protocol: Protocol
    entries: tuple[FinalEntry, ...]
    ledger_row: int
    code_version: str
    time: float
    twin_threshold: float | None = None
    reason: str = ""
    access: str = ""
    former_names: tuple[str, ...] = ()
    version: int = RESULT_VERSION

    @model_validator(mode="after")
    def _hangs_together(self) -> FinalResult:
        names = [entry.name for entry in self.entries]
        if self.winner not in names or len(set(names)) != len(names):
            raise ValueError(f"its winner {brief(self.winner)} is not one of its entries {brief(names)}")
        if any(type(entry.config.get("input_size", 1)) is not int for entry in self.entries):
            raise ValueError("an entry has an input_size that is no whole number")
        for network in (network for entry in self.entries for network in entry.networks):
            if Path(network.file).name != network.file:
                raise ValueError(f"{brief(network.file)} is not the name of a file in its folder models")
        return self

    def entry(self, name: str) -> FinalEntry:
        """Return the entry of that name."""
        return next(entry for entry in self.entries if entry.name == name)

    def is_in(self, folder: Path) -> bool:
        """Return whether a folder, relative to the results of all studies, is that of the study by default."""
        return any(folder == Path(_inside(name)) for name in (self.study, *self.former_names))

    def epochs(self, name: str) -> int:
        """Return the number of epochs that the networks of an entry were trained for."""
        own = self.entry(name).epochs
        return self.protocol.epochs if own is None else own

    @classmethod
    def from_json(cls, text: str) -> FinalResult:
        """Parse the text of `final.json`. Raises ValueError if it is invalid or of a newer version."""
        stored = parse_object(text)
        if is_newer(stored, RESULT_VERSION):
            raise ValueError(f"written by a newer hpo (version {stored['version']}, this one reads {RESULT_VERSION})")
        try:
            return cls.model_validate(stored)
        except ValidationError as error:
            raise ValueError(faults(error)) from None

    def to_json(self) -> str:
        """Return the text of `final.json`."""
        values = self.model_dump(mode="json", exclude={key for key in _OFTEN_EMPTY if not getattr(self, key)})
        return json.dumps(values, indent=2, sort_keys=True) + "\n"


@dataclass(frozen=True, eq=False)
class Final:
    """A final result as stored.

    Attributes:
        result: everything but the arrays.
        scores: entry name to (seeds, N, L) scores on the test set; in single precision in older results.
        labels: (N, L), 0 or 1.
        has_twin: (N,), whether the development set has a near-duplicate of the test sample or a sample of its group;
            None if that was not looked for.
    """

    result: FinalResult
    scores: dict[str, NDArray[np.floating]]
    labels: NDArray[np.uint8]
    has_twin: NDArray[np.bool_] | None = None


def results_folder(study: str, option: Path | None = None, former_names: Sequence[str] = ()) -> Path:
    """Return the folder of a study's final result: `option`, else hpo-results/STUDY.

    Args:
        former_names: names of the study before it was renamed; the folder that has one of these is used if there is
            none under its present name.
    """
    if option is not None:
        return option
    folders = [DEFAULT_RESULTS / _inside(name) for name in (study, *reversed(former_names))]
    return next((folder for folder in folders if folder.exists()), folders[0])


def results_root(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the folder that holds the results of all studies, if `folder` is named after a study; else None."""
    ends = [Path(_inside(name)).parts for name in names]
    # The folder of a study with a `/` in its name lies that much deeper.
    depths = [len(end) for end in ends if folder.parts[-len(end) :] == end]
    return folder.parents[max(depths) - 1] if depths else None


def _inside(name: str) -> str:
    """Return a name as a path that does not leave the folder it is put into: names come from a database."""
    path = Path(name)
    leaves = path.is_absolute() or ".." in path.parts or not path.parts
    safe = name.replace("/", "_").replace("..", "_") if leaves else name
    # A name of 200 characters can have 800 bytes.
    return "/".join(map(fitting, safe.split("/")))


def store(final: Final, folder: Path) -> None:
    """Write final.json and scores.npz. Raises OutputError."""
    try:
        make_folder(folder)
        arrays: dict[str, Any] = {f"scores_{number}": scores for number, scores in enumerate(final.scores.values())}
        if final.has_twin is not None:
            arrays["has_twin"] = final.has_twin
        # By this it is seen that both files are of one result, should this process end between them.
        arrays[_ACCESS] = np.array(final.result.access)
        with atomic_write(folder / SCORES) as part, part.open("wb") as file:
            np.savez_compressed(file, labels=final.labels, **arrays)
        with atomic_write(folder / RESULT) as part:
            part.write_text(final.result.to_json(), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); give --out with another folder") from None


def load(folder: Path) -> Final | None:
    """Read the final result in a folder; None if there is none yet. Raises DataError if it cannot be read."""
    if not (folder / RESULT).exists():
        return None
    try:
        result = FinalResult.from_json(read_text(folder / RESULT, MOST_BYTES))
        with open_npz(folder / SCORES) as arrays:
            scores = {entry.name: arrays.read(f"scores_{number}") for number, entry in enumerate(result.entries)}
            labels = arrays.read("labels")
            has_twin = arrays.read("has_twin") if "has_twin" in arrays.names else None
            access = str(arrays.read(_ACCESS)) if _ACCESS in arrays.names else result.access
    except NpzError as error:
        raise DataError(f"{folder} holds a final result that cannot be read: {SCORES} {error}") from None
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder} holds a final result that cannot be read: {error}") from None
    if access != result.access:
        raise DataError(
            f"{folder} holds a final result whose {SCORES} is of other networks than its {RESULT}, as if it had been "
            "interrupted; `hpo finalize` with the same options writes both again"
        )
    _check_shapes(result, scores, labels, has_twin, folder)
    return Final(result, scores, labels, has_twin)


def _check_shapes(
    result: FinalResult,
    scores: dict[str, NDArray[np.floating]],
    labels: NDArray[np.uint8],
    has_twin: NDArray[np.bool_] | None,
    folder: Path,
) -> None:
    """Raise DataError unless the arrays are those of the result."""
    are_scores = all(
        values.shape == (len(entry.networks), *labels.shape) and values.dtype.kind == "f" and np.isfinite(values).all()
        for entry, values in zip(result.entries, scores.values(), strict=False)
    )
    are_labels = labels.ndim == 2 and labels.dtype.kind in "bui" and bool(((labels == 0) | (labels == 1)).all())
    are_twins = has_twin is None or (has_twin.shape == labels.shape[:1] and has_twin.dtype == np.bool_)
    if len(scores) != len(result.entries) or not are_scores or not are_labels or not are_twins:
        raise DataError(f"{folder} holds a final result whose {SCORES} does not fit its {RESULT}")
