"""Sealed test rows: they open for an `Unsealing` only, and that exists only as a row of a ledger.

Only `hpo.outcome.unseal` imports this module; import-linter checks it.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpo.data.files import _load
from hpo.data.loaders import load_by
from hpo.study.catalogue import Dataset
from hpo.study.sealed_loaders import TEST_LOADERS
from hpo.study.stored import JsonObject

_SEAL = object()


class Ledger(Protocol):
    """Where openings of test rows are written down, for good."""

    def write(self, study: str, configuration: JsonObject, code_version: str, reason: str) -> int:
        """Write an opening, durably, and return the number of its row; raises if it may not be."""
        ...


@dataclass(frozen=True)
class Unsealing:
    """The right to open test rows: row `ledger_row` of a ledger. Made by `written_to` only."""

    seal: InitVar[object]
    ledger_row: int
    study: str
    reason: str

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("an Unsealing exists only as a row of a ledger; use Unsealing.written_to")

    @classmethod
    def written_to(
        cls, ledger: Ledger, study: str, configuration: JsonObject, code_version: str, reason: str = ""
    ) -> Unsealing:
        """Write the opening to `ledger`, then return the right to open; what the ledger raises passes through."""
        return cls(_SEAL, ledger.write(study, configuration, code_version, reason), study, reason)


@dataclass(frozen=True, eq=False)
class TestRows:
    """The official test rows, read-only. Made by `open` only.

    images: uint8, (N, H, W) or (N, D, H, W). labels: uint8, (N, L), 0 or 1. unsealing: what they were opened with.
    """

    __test__ = False

    seal: InitVar[object]
    unsealing: Unsealing
    dataset: Dataset
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("TestRows are made from an Unsealing only; use TestRows.open")
        self.images.setflags(write=False)
        self.labels.setflags(write=False)

    @classmethod
    def open(cls, unsealing: Unsealing, dataset: Dataset, folder: Path) -> TestRows:
        """Read the test rows of a dataset. Raises TypeError without an Unsealing, DataError as for development rows."""
        if not isinstance(unsealing, Unsealing):
            raise TypeError(f"TestRows are opened with an Unsealing, not with {type(unsealing).__name__}")
        if dataset.development is None:
            arrays = _load(dataset, folder, ("test",))
        else:
            arrays = load_by(TEST_LOADERS.find(dataset.name), dataset, folder, ("test",))
        return cls(_SEAL, unsealing, dataset, arrays["test_images"], arrays["test_labels"])

    def __len__(self) -> int:
        return len(self.labels)
