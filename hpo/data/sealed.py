"""The sealed test set: loading it requires an `Unsealing`, which exists only as an entry of the test-set access log.

Only `hpo.outcome.unseal` may import this module; import-linter checks it.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpo.data.files import _load
from hpo.data.loaders import load_by
from hpo.study.catalogue import Dataset
from hpo.study.sealed_loaders import TEST_LOADERS
from hpo.study.stored import JsonObject

_SEAL = object()


class Ledger(Protocol):
    """The test-set access log: a permanent record of every access to a test set."""

    def write(self, study: str, configuration: JsonObject, code_version: str, reason: str) -> int:
        """Append an entry durably and return its number; raise if the access is not allowed."""
        ...


@dataclass(frozen=True)
class Unsealing:
    """Permission to load the test set: entry `ledger_row` of the access log. Created by `written_to` only."""

    seal: InitVar[object]
    ledger_row: int
    study: str
    reason: str

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("an Unsealing exists only as an entry of the test-set access log; use Unsealing.written_to")

    @classmethod
    def written_to(
        cls, ledger: Ledger, study: str, configuration: JsonObject, code_version: str, reason: str = ""
    ) -> Unsealing:
        """Log the access in `ledger`, then return the permission; exceptions of the ledger propagate."""
        return cls(_SEAL, ledger.write(study, configuration, code_version, reason), study, reason)


@dataclass(frozen=True, eq=False)
class TestSet:
    """The official test set as read-only arrays. Created by `open` only.

    Attributes:
        unsealing: the permission by which it was loaded.
        images: uint8, (N, H, W), (N, H, W, 3) or (N, D, H, W).
        labels: uint8, (N, L), 0 or 1.
        groups: (N,) integers or text that name the group of each sample; None if the data have none.
    """

    __test__ = False

    seal: InitVar[object]
    unsealing: Unsealing
    dataset: Dataset
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    groups: NDArray[Any] | None = None

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("a TestSet is created from an Unsealing only; use TestSet.open")
        self.images.setflags(write=False)
        self.labels.setflags(write=False)

    @classmethod
    def open(cls, unsealing: Unsealing, dataset: Dataset, folder: Path) -> TestSet:
        """Load the test set of a dataset.

        Raises:
            TypeError: without an Unsealing.
            DataError: as `load_development`.
        """
        if not isinstance(unsealing, Unsealing):
            raise TypeError(f"TestSet.open needs an Unsealing, not {type(unsealing).__name__}")
        if dataset.development is None:
            arrays = _load(dataset, folder, ("test",))
        else:
            arrays = load_by(TEST_LOADERS.find(dataset.name), dataset, folder, ("test",))
        return cls(_SEAL, unsealing, dataset, arrays["test_images"], arrays["test_labels"], arrays.get("test_groups"))

    def __len__(self) -> int:
        return len(self.labels)
