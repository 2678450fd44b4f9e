"""The one door to the test rows: an opening is written down, then the rows are read."""

from __future__ import annotations

from pathlib import Path

from hpo.data.sealed import Ledger, TestRows, Unsealing
from hpo.study.catalogue import Dataset
from hpo.study.stored import JsonObject

__all__ = ["Ledger", "TestRows", "Unsealing", "open_test_rows"]


def open_test_rows(
    ledger: Ledger,
    study: str,
    configuration: JsonObject,
    code_version: str,
    dataset: Dataset,
    folder: Path,
    reason: str = "",
) -> TestRows:
    """Write the opening to `ledger`, then read the test rows.

    configuration: the one chosen, as plain values. reason: the user's word for another opening, "" for the first.
    What the ledger raises passes through and leaves the file unread. Raises DataError if the file is no good.
    """
    unsealing = Unsealing.written_to(ledger, study, configuration, code_version, reason)
    return TestRows.open(unsealing, dataset, folder)
