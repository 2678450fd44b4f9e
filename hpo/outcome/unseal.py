"""Give the only access to the test set: record the access, then read."""

from __future__ import annotations

from pathlib import Path

from hpo.data.sealed import Ledger, TestSet, Unsealing
from hpo.study.catalogue import Dataset
from hpo.study.stored import JsonObject

__all__ = ["Ledger", "TestSet", "Unsealing", "open_test_set"]


def open_test_set(
    ledger: Ledger,
    study: str,
    configuration: JsonObject,
    code_version: str,
    dataset: Dataset,
    folder: Path,
    reason: str = "",
) -> TestSet:
    """Write the access to the log `ledger`, then read the test set.

    An error of the log is passed on and leaves the file unread.

    Args:
        configuration: the chosen one, as plain values.
        reason: the user's reason for another access; "" for the first.

    Raises:
        DataError: if the file is missing or invalid.
    """
    unsealing = Unsealing.written_to(ledger, study, configuration, code_version, reason)
    return TestSet.open(unsealing, dataset, folder)
