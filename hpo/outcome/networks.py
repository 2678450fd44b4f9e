"""Train the final networks: winner and baselines, with new seeds on the development set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hpo.data.development import Development
from hpo.data.others import Others, others_of
from hpo.errors import DataError, first_line
from hpo.search.strategy.seeds import trial_seed
from hpo.statistics.threshold import choose_threshold
from hpo.study.config import TrainConfig
from hpo.study.record import NetworkRecord
from hpo.study.stored import parse_json

if TYPE_CHECKING:
    from hpo.training.loop.refit import Refit

TrainingSamples = Literal["development", "training"]


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
        return trial_seed(self.study_seed, number, "final")


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


def train_networks(
    entries: Sequence[Entry],
    protocol: Protocol,
    development: Development,
    folder: Path,
    device: str = "auto",
    progress: Callable[[str, float], None] = lambda _name, _share: None,
    others: Others | None = None,
) -> list[Network]:
    """Train the networks of every entry, seed by seed, and skip those that the folder already holds.

    Can be interrupted at any time; a repeated call resumes.

    Args:
        progress: called with a network's name and the fraction of its training that is done.
        others: the datasets that an entry's `co_training` names.

    Raises:
        TrainingFailure, DataError, DeviceError, OutputError.
    """
    from hpo.training.loop.checkpoint import Checkpoint
    from hpo.training.loop.model_file import load_model
    from hpo.training.loop.refit import refit

    networks = []
    under_way = folder / "under-way"
    for number in range(protocol.seeds):
        for place, entry in enumerate(entries):
            name = f"{_file_name(entry.name)}-{number}"
            path = folder / "models" / f"{name}.safetensors"
            together = others_of(entry.config, development.dataset, others or {})
            identity = _identity(entry, protocol, number, development, together)
            if not path.exists() or load_model(path).about.get("identity") != identity:
                made = refit(
                    protocol.config(entry),
                    development,
                    protocol.epochs_of(entry),
                    protocol.seed(number),
                    device,
                    lambda share, name=name: progress(name, share),  # type: ignore[misc]
                    Checkpoint(under_way, place * 1000 + number, 1, identity),
                    together,
                )
                _save(made, path, entry, protocol, number, identity, development, device, together)
            networks.append(_read_network(entry, number, path))
    with suppress(OSError):
        under_way.rmdir()
    return networks


def _read_network(entry: Entry, number: int, path: Path) -> Network:
    """Read what a file says about its network. Raises DataError if it says nothing that can be read."""
    from hpo.training.loop.model_file import load_model

    about = load_model(path).about
    try:
        thresholds = np.array(parse_json(about["thresholds"]), dtype=np.float64)
        record = NetworkRecord.model_validate_json(about["record"]) if "record" in about else None
        return Network(entry.name, number, path, thresholds, about["threshold_rows"], record)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is not a final network: {first_line(error)}; remove it to train it again") from None


def _save(
    made: Refit,
    path: Path,
    entry: Entry,
    protocol: Protocol,
    number: int,
    identity: str,
    development: Development,
    device: str,
    together: Sequence[Development],
) -> None:
    """Save a refit's weights with their provenance and score thresholds."""
    from hpo.training.loop.model_file import save_model
    from hpo.training.machine.provenance import provenance

    known = {other.dataset.name: other for other in together}
    record = NetworkRecord(provenance=provenance(device, development.md5, known), usage=made.usage)
    about = {
        "identity": identity,
        "entry": entry.name,
        "rows": protocol.rows,
        "epochs": str(protocol.epochs_of(entry)),
        "seed": str(protocol.seed(number)),
        "record": json.dumps(record.model_dump(mode="json"), sort_keys=True),
        **_thresholds(made, development, device),
    }
    made.model.about.update(about)
    save_model(made.model, path)


def _thresholds(made: Refit, development: Development, device: str) -> dict[str, str]:
    """Return Youden's threshold of each label, on the selection set, or without one on the whole development set."""
    used = made.selection if made.selection is not None else np.arange(len(development))
    samples = "selection samples" if made.selection is not None else "development samples, used in training too"
    scores, labels = made.model.scores(development.images[used], device), development.labels[used]
    found = [
        choose_threshold(scores[:, label], labels[:, label]) if 0 < labels[:, label].sum() < len(labels) else 0.5
        for label in range(labels.shape[1])
    ]
    return {"thresholds": json.dumps(found), "threshold_rows": f"{len(used)} {samples}"}


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
