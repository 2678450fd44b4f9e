"""The final networks: which ones are trained, with which seeds, and the files that hold them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.data.development import Development
from hpo.data.others import Others, others_of
from hpo.errors import DataError, OutputError, first_line
from hpo.files import make_folder, move_into_place
from hpo.search.strategy.seeds import network_seed
from hpo.study.config import TrainConfig
from hpo.study.plan import TrainingSamples
from hpo.study.record import NetworkRecord
from hpo.study.stored import parse_json

__all__ = ["Entry", "Network", "Protocol", "TrainingSamples", "WantedNetwork", "collect", "wanted_networks"]

MODELS, UNDER_WAY = "models", "under-way"
"""Folders within a results folder: of the networks, and of what workers write until a network is one of them."""


@dataclass(frozen=True)
class Entry:
    """A configuration that is trained for the final result.

    Attributes:
        chosen: how, in words, for access log and report.
        epochs: of its networks, if not those of the `Protocol`: a baseline is trained as long as its authors train it.
    """

    name: str
    config: TrainConfig
    is_reference: bool
    chosen: str
    epochs: int | None = None


@dataclass(frozen=True)
class Protocol:
    """How the final networks are trained.

    Attributes:
        epochs: of every entry that has none of its own.
        rows: "development" trains on the whole development set, divided as each configuration says; "training" is
            MedMNIST's own protocol, whatever the configuration says: train on the official training set and choose the
            epoch on the official validation set.
    """

    rows: TrainingSamples
    epochs: int
    seeds: int
    study_seed: int

    def config(self, entry: Entry) -> TrainConfig:
        """Return the configuration that an entry is trained with."""
        if self.rows == "training":
            return entry.config.model_copy(update={"resplit": "official"})
        return entry.config

    def epochs_of(self, entry: Entry) -> int:
        """Return the number of epochs that an entry is trained for."""
        return self.epochs if entry.epochs is None else entry.epochs

    def seed(self, number: int) -> int:
        """Return the seed of network `number`, the same for every entry."""
        return network_seed(self.study_seed, number)


@dataclass(frozen=True, eq=False)
class Network:
    """A final network: its file, and its score thresholds, (L,), chosen on the development set.

    Attributes:
        record: how it was trained and what that cost; None for networks from before records were stored.
    """

    entry: str
    number: int
    path: Path
    thresholds: NDArray[np.float64]
    threshold_rows: str
    record: NetworkRecord | None


@dataclass(frozen=True)
class WantedNetwork:
    """A network that the final result needs.

    Attributes:
        entry: name of its entry.
        number: among the networks of its entry, from 0.
        config: that it is trained with.
        rows: what it is trained on, see `Protocol`.
        place: of its entry among all.
        identity: hash of everything that it is trained with. A file with another one is not this network.
    """

    entry: str
    number: int
    config: TrainConfig
    rows: TrainingSamples
    epochs: int
    seed: int
    place: int
    identity: str

    @property
    def name(self) -> str:
        """Name of its file, without the suffix, unless another network has it."""
        return f"{_file_name(self.entry)}-{self.number}"

    @property
    def checkpoint(self) -> int:
        """Number in the names of its checkpoints."""
        return self.place * 1000 + self.number

    def path(self, folder: Path) -> Path:
        """Return its file in a results folder.

        Where the name is that of another network, one of other options that a result may rest on, its own is longer.
        """
        from hpo.training.loop.model_file import read_about

        plain = folder / MODELS / f"{self.name}.safetensors"
        found = read_about(plain).get("identity", self.identity)
        return plain if found == self.identity else plain.with_stem(f"{self.name}-{self.identity[:12]}")

    def path_of(self, folder: Path, study: str, fence: int) -> Path:
        """Return the file that the worker with a fencing token writes, which no other worker writes.

        Args:
            study: folder name of the study of the networks, `Study.folder`.
        """
        return folder / UNDER_WAY / study / f"{self.name}.f{fence}.safetensors"

    def is_trained(self, folder: Path) -> bool:
        """Return whether a results folder has the network: in place, or written by a worker and not yet in place."""
        # Its place once more at the end: a file may be put there after its place was looked at.
        paths = (self.path(folder), *self.unplaced(folder), self.path(folder))
        written = (_about(path, self.identity) for path in paths)
        return any(about is not None for about in written)

    def unplaced(self, folder: Path) -> list[Path]:
        """Return the files of the network that workers of any study have written, whole or not, newest token first."""
        found = [path for path in _listed(folder / UNDER_WAY, "*/*.safetensors") if _fence(path, self.name)]
        return sorted(found, key=lambda path: _fence(path, self.name), reverse=True)


def wanted_networks(
    entries: Sequence[Entry], protocol: Protocol, development: Development, others: Others | None = None
) -> list[WantedNetwork]:
    """Return the networks of every entry, seed by seed: the order of the slots of their study.

    Args:
        others: the datasets that an entry's `co_training` names.
    """
    return [
        wanted_network(entry, place, number, protocol, development, others or {})
        for number in range(protocol.seeds)
        for place, entry in enumerate(entries)
    ]


def wanted_network(
    entry: Entry, place: int, number: int, protocol: Protocol, development: Development, others: Others
) -> WantedNetwork:
    """Return one network of an entry, whose place among the entries is `place`."""
    together = others_of(entry.config, development.dataset, others)
    return WantedNetwork(
        entry=entry.name,
        number=number,
        config=protocol.config(entry),
        rows=protocol.rows,
        epochs=protocol.epochs_of(entry),
        seed=protocol.seed(number),
        place=place,
        identity=_identity(entry, protocol, number, development, together),
    )


def collect(wanted: Sequence[WantedNetwork], folder: Path) -> list[Network]:
    """Put networks that workers have written into their places, and read all that are there.

    Raises:
        OutputError: if the results folder cannot be written.
        DataError: if the file in the place of a network cannot be read.
    """
    return [_read_network(one, folder, about) for one in wanted if (about := _put_in_place(one, folder)) is not None]


def _put_in_place(wanted: WantedNetwork, folder: Path) -> dict[str, str] | None:
    """Move a network into its place if a worker has written it; return what its file says, None if there is none."""
    from hpo.training.loop.model_file import load_model

    path = wanted.path(folder)
    if path.exists() and (about := load_model(path).about).get("identity") == wanted.identity:
        return about
    for written in wanted.unplaced(folder):
        found = _about(written, wanted.identity)
        if found is None:
            continue
        try:
            make_folder(path.parent)
            move_into_place(written, path)
        except FileNotFoundError:
            # Another `hpo finalize` was faster.
            return _about(path, wanted.identity)
        except OSError as error:
            raise OutputError(f"{path} cannot be written ({error.strerror}); give another --results") from None
        return found
    # Another `hpo finalize` may have put it there since.
    return _about(path, wanted.identity)


def clean_up(wanted: Sequence[WantedNetwork], folder: Path, study: str | None) -> None:
    """Remove what workers have left of these networks, all of which are in their places.

    Another `hpo finalize` may have its workers train into this folder at the same time, or its jobs after it has ended.
    What they have under way can have the names and numbers of these networks; it is told by its identity, and stays.

    Args:
        study: folder name of the study of these networks, `Study.folder`, if it is to train no others; else None.
    """
    from hpo.training.loop.checkpoint import remove_checkpoints, remove_checkpoints_of
    from hpo.training.loop.model_file import read_about

    under_way = folder / UNDER_WAY
    # What lies in `under-way` itself is of an earlier version.
    own = [under_way, *([under_way / study] if study is not None else [])]
    for one in wanted:
        for place in own:
            remove_checkpoints(place, one.checkpoint)
        for place in _listed(under_way, "*/"):
            remove_checkpoints_of(place, one.checkpoint, one.identity)
        for path in one.unplaced(folder):
            if path.parent in own or read_about(path).get("identity") == one.identity:
                path.unlink(missing_ok=True)
    for empty in reversed(own):
        with suppress(OSError):
            empty.rmdir()


def _listed(folder: Path, pattern: str) -> list[Path]:
    """Return what matches below a folder, whose folders may be removed by another process while it is listed."""
    while True:
        try:
            return list(folder.glob(pattern))
        except FileNotFoundError:
            continue


def _about(path: Path, identity: str) -> dict[str, str] | None:
    """Return what a file says about its network; None unless it is a whole network with this identity."""
    from hpo.training.loop.model_file import load_model

    try:
        about = load_model(path).about
    except DataError:
        return None
    return about if about.get("identity") == identity else None


def _read_network(wanted: WantedNetwork, folder: Path, about: dict[str, str]) -> Network:
    """Return a network by what its file says. Raises DataError if that cannot be read."""
    path = wanted.path(folder)
    try:
        thresholds = np.array(parse_json(about["thresholds"]), dtype=np.float64)
        record = NetworkRecord.model_validate_json(about["record"]) if "record" in about else None
        return Network(wanted.entry, wanted.number, path, thresholds, about["threshold_rows"], record)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is not a final network: {first_line(error)}; remove it to train it again") from None


def _identity(
    entry: Entry, protocol: Protocol, number: int, development: Development, together: Sequence[Development]
) -> str:
    shared = [protocol.config(entry).identity(), protocol.epochs_of(entry), protocol.seed(number), development.md5]
    # Networks from before there were groups stay those of studies without.
    if development.groups is not None:
        shared.append(hashlib.sha256(development.groups.tobytes()).hexdigest())
    shared += [other.md5 for other in together]
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()


def _file_name(entry: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in entry)


def _fence(path: Path, name: str) -> int:
    """Return the fencing token in the file name of a worker's network; 0 if it is another network's."""
    found = re.fullmatch(re.escape(name) + r"\.f([1-9]\d{0,8})\.safetensors", path.name)
    return int(found[1]) if found else 0
