"""The final result of a study: networks of the winner and of the references, on test rows that are opened once."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpo.data.development import Development
from hpo.errors import DataError, OutputError, UsageError
from hpo.outcome.unseal import open_test_rows
from hpo.search.ledger import Opening, StudyLedger, read_openings
from hpo.search.seeds import trial_seed
from hpo.search.study import Study
from hpo.statistics.threshold import choose_threshold
from hpo.study.config import TrainConfig

Rows = Literal["development", "training"]

RESULT, SCORES = "final.json", "scores.npz"


@dataclass(frozen=True)
class Entry:
    """A configuration that is trained for the final result. chosen: how, in words, for the ledger and the report."""

    name: str
    config: TrainConfig
    is_reference: bool
    chosen: str


@dataclass(frozen=True)
class Protocol:
    """How the final networks are trained.

    rows: development: on all development rows, as each configuration divides them; training: MedMNIST's own protocol,
    on the official training rows, the epoch chosen on the official validation rows, whatever the configuration says.
    """

    rows: Rows
    epochs: int
    seeds: int
    study_seed: int

    def config(self, entry: Entry) -> TrainConfig:
        """What an entry is trained with."""
        if self.rows == "training":
            return entry.config.model_copy(update={"resplit": "official"})
        return entry.config

    def seed(self, number: int) -> int:
        """Seed of the networks number `number`, the same for every entry."""
        return trial_seed(self.study_seed, number, "final")


@dataclass(frozen=True, eq=False)
class Network:
    """A final network: its file, and the thresholds on its scores, (L,), that were chosen on development rows."""

    entry: str
    number: int
    path: Path
    thresholds: NDArray[np.float64]
    threshold_rows: str


@dataclass(frozen=True, eq=False)
class Final:
    """A final result as it is stored. scores: by entry, (seeds, N, L) on the test rows; labels: (N, L), 0 or 1.

    about: everything else, plain values: see `final.json`.
    """

    about: dict[str, Any]
    scores: dict[str, NDArray[np.float32]]
    labels: NDArray[np.uint8]


def train_networks(
    entries: Sequence[Entry],
    protocol: Protocol,
    development: Development,
    folder: Path,
    device: str = "auto",
    beat: Callable[[str, float], None] = lambda _name, _share: None,
    tell: Callable[[str], None] = lambda _line: None,
) -> list[Network]:
    """The networks of every entry, trained where the folder does not hold them yet, seed by seed.

    Left at any moment and called again it goes on. beat: name of the network and the share of its training.
    Raises TrainingFailure, DataError, DeviceError, OutputError.
    """
    from hpo.training.checkpoint import Checkpoint
    from hpo.training.model import load_model
    from hpo.training.refit import refit

    networks = []
    under_way = folder / "under-way"
    for number in range(protocol.seeds):
        for place, entry in enumerate(entries):
            name = f"{_file_name(entry.name)}-{number}"
            path = folder / "models" / f"{name}.safetensors"
            identity = _identity(entry, protocol, number, development.md5)
            if not path.exists() or load_model(path).about.get("identity") != identity:
                made = refit(
                    protocol.config(entry),
                    development,
                    protocol.epochs,
                    protocol.seed(number),
                    device,
                    lambda share, name=name: beat(name, share),  # type: ignore[misc]
                    Checkpoint(under_way, place * 1000 + number, 1, identity),
                    tell,
                )
                _save(made, path, entry, protocol, number, identity, development, device)
            about = load_model(path).about
            thresholds = np.array(json.loads(about["thresholds"]))
            networks.append(Network(entry.name, number, path, thresholds, about["threshold_rows"]))
    with suppress(OSError):
        under_way.rmdir()
    return networks


def _save(
    made: Any,
    path: Path,
    entry: Entry,
    protocol: Protocol,
    number: int,
    identity: str,
    development: Development,
    device: str,
) -> None:
    """Writes a refit's weights with where they come from and the thresholds on their scores."""
    from hpo.training.model import save_model
    from hpo.training.provenance import code_version, environment

    commit, dirty = code_version()
    about = {
        "identity": identity,
        "entry": entry.name,
        "rows": protocol.rows,
        "epochs": str(protocol.epochs),
        "seed": str(protocol.seed(number)),
        "data_md5": development.md5,
        "code_version": f"{commit}{' with uncommitted changes' if dirty else ''}",
        **{f"environment {key}": value for key, value in environment(device).items()},
        **_thresholds(made, development, device),
    }
    made.model.about.update(about)
    save_model(made.model, path)


def open_and_score(
    study: Study,
    entries: Sequence[Entry],
    protocol: Protocol,
    networks: Sequence[Network],
    data_folder: Path,
    folder: Path,
    code_version: str,
    reopen: str = "",
    device: str = "auto",
) -> Final:
    """Writes the opening down, reads the test rows, scores every network once, and stores the result in `folder`.

    entries: the winner first.
    The networks are named in the ledger by digests of their weights: with the same ones a result that was interrupted
    is made again without another opening. Raises UsageError if the test rows of this dataset were opened before, for
    other networks, and no reason is given; DataError, StorageError, OutputError.
    """
    from hpo.training.model import load_model

    dataset = study.spec.data
    configuration = _what_is_opened_for(dataset.name, entries, protocol, networks)
    openings = read_openings(study.database, dataset.name)
    again = next((opening for opening in openings if opening.configuration == configuration), None)
    if again is None and openings and not reopen:
        last = openings[-1]
        raise UsageError(
            f"the test rows of {dataset.name} were opened before, for study {last.study} at {last.when}; another look "
            'makes every result on them weaker. To open them again say why: --reopen "why"; every report will show it'
        )
    ledger: Any = StudyLedger(study.database) if again is None else _AlreadyWritten(again)
    test = open_test_rows(ledger, study.name, configuration, code_version, dataset, data_folder, reopen)
    scores = {
        entry.name: np.stack(
            [load_model(n.path).scores(test.images, device) for n in networks if n.entry == entry.name]
        )
        for entry in entries
    }
    about = {
        "study": study.name,
        "dataset": dataset.name,
        "winner": entries[0].name,
        "protocol": asdict(protocol),
        "entries": [
            {**asdict(entry), "config": protocol.config(entry).model_dump(), "networks": _named(networks, entry.name)}
            for entry in entries
        ],
        "ledger_row": test.unsealing.ledger_row,
        "code_version": code_version,
        "time": time.time(),
    }
    final = Final(about, scores, np.array(test.labels))
    store(final, folder)
    return final


def store(final: Final, folder: Path) -> None:
    """Writes final.json and scores.npz. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = list(final.scores)
        arrays: dict[str, Any] = {f"scores_{number}": final.scores[name] for number, name in enumerate(names)}
        np.savez_compressed(folder / SCORES, labels=final.labels, **arrays)
        (folder / RESULT).write_text(json.dumps(final.about, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); give --out with another folder") from None


def load(folder: Path) -> Final | None:
    """The final result in a folder, or None if there is none yet. Raises DataError if it cannot be read."""
    if not (folder / RESULT).exists():
        return None
    try:
        about = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        with np.load(folder / SCORES, allow_pickle=False) as arrays:
            names = [entry["name"] for entry in about["entries"]]
            scores = {name: arrays[f"scores_{number}"] for number, name in enumerate(names)}
            return Final(about, scores, arrays["labels"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder} holds a final result that cannot be read: {error}") from None


class _AlreadyWritten:
    """A ledger that holds the opening already."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    def write(self, study: str, configuration: dict[str, Any], code_version: str, reason: str) -> int:  # noqa: ARG002
        """The row that was written before the result was interrupted."""
        return self._opening.row


def _thresholds(made: Any, development: Development, device: str) -> dict[str, str]:
    """Youden's threshold for each label, on the rows that chose the epoch or, without such, on all development rows."""
    rows = made.selection if made.selection is not None else np.arange(len(development))
    said = "selection rows" if made.selection is not None else "development rows, which the network was trained on"
    scores, labels = made.model.scores(development.images[rows], device), development.labels[rows]
    found = [
        choose_threshold(scores[:, label], labels[:, label]) if 0 < labels[:, label].sum() < len(labels) else 0.5
        for label in range(labels.shape[1])
    ]
    return {"thresholds": json.dumps(found), "threshold_rows": f"{len(rows)} {said}"}


def _identity(entry: Entry, protocol: Protocol, number: int, data_md5: str) -> str:
    shared = [protocol.config(entry).model_dump(), protocol.epochs, protocol.seed(number), data_md5]
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()


def _what_is_opened_for(
    dataset: str, entries: Sequence[Entry], protocol: Protocol, networks: Sequence[Network]
) -> dict[str, Any]:
    from hpo.training.model import load_model, weights_digest

    return {
        "dataset": dataset,
        "protocol": asdict(protocol),
        "entries": {entry.name: entry.chosen for entry in entries},
        "networks": {
            f"{network.entry} {network.number}": weights_digest(load_model(network.path)) for network in networks
        },
    }


def _named(networks: Sequence[Network], entry: str) -> list[dict[str, Any]]:
    return [
        {
            "file": network.path.name,
            "thresholds": [float(value) for value in network.thresholds],
            "threshold_rows": network.threshold_rows,
        }
        for network in networks
        if network.entry == entry
    ]


def _file_name(entry: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in entry)
