"""Test rows open for a row of a ledger only, and that row is there before the file is touched."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hpo.data.sealed import TestSet, Unsealing
from hpo.errors import DataError, UsageError
from hpo.outcome.unseal import open_test_set
from hpo.study.catalogue import Dataset, find_dataset
from tests.arrays import FEW_ROWS, made_arrays, made_npz

CONFIGURATION = {"margin": 0.5}


class ListLedger:
    """A ledger in memory that refuses a second opening without a reason."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, Any], str, str]] = []

    def write(self, study: str, configuration: dict[str, Any], code_version: str, reason: str) -> int:
        if self.rows and not reason:
            raise UsageError("opened before; give a reason")
        self.rows.append((study, configuration, code_version, reason))
        return len(self.rows)


@pytest.fixture
def made(tmp_path: Path) -> Dataset:
    return made_npz(find_dataset("breast"), tmp_path)


def opened(ledger: ListLedger, dataset: Dataset, folder: Path, reason: str = "") -> TestSet:
    return open_test_set(ledger, "study", CONFIGURATION, "abc123", dataset, folder, reason)


def test_test_samples_are_those_of_the_file_and_carry_their_ledger_row(made: Dataset, tmp_path: Path) -> None:
    ledger = ListLedger()
    rows = opened(ledger, made, tmp_path)
    arrays = made_arrays(find_dataset("breast"))
    np.testing.assert_array_equal(rows.images, arrays["test_images"])
    np.testing.assert_array_equal(rows.labels, arrays["test_labels"])
    assert len(rows) == FEW_ROWS[2]
    assert rows.unsealing.ledger_row == 1
    assert ledger.rows == [("study", CONFIGURATION, "abc123", "")]


class LedgerThatBringsTheFile(ListLedger):
    """Puts the file into place when an opening is written: who reads before that finds nothing."""

    def __init__(self, hidden: Path, place: Path) -> None:
        super().__init__()
        self.hidden, self.place = hidden, place

    def write(self, study: str, configuration: dict[str, Any], code_version: str, reason: str) -> int:
        self.hidden.rename(self.place)
        return super().write(study, configuration, code_version, reason)


def test_the_ledger_row_is_written_before_the_file_is_read(made: Dataset, tmp_path: Path) -> None:
    place = tmp_path / made.file_name
    hidden = place.rename(tmp_path / "hidden")
    assert len(opened(LedgerThatBringsTheFile(hidden, place), made, tmp_path)) == FEW_ROWS[2]


def test_a_ledger_that_raises_leaves_the_file_unread(made: Dataset, tmp_path: Path) -> None:
    ledger = ListLedger()
    opened(ledger, made, tmp_path)
    (tmp_path / made.file_name).unlink()
    with pytest.raises(UsageError):
        opened(ledger, made, tmp_path)


def test_a_missing_file_is_noticed_after_the_opening_was_written(made: Dataset, tmp_path: Path) -> None:
    ledger = ListLedger()
    with pytest.raises(DataError, match="nowhere"):
        opened(ledger, made, tmp_path / "nowhere")
    assert len(ledger.rows) == 1


def test_a_second_opening_carries_its_reason(made: Dataset, tmp_path: Path) -> None:
    ledger = ListLedger()
    opened(ledger, made, tmp_path)
    assert opened(ledger, made, tmp_path, "wrong weights").unsealing.reason == "wrong weights"


def test_an_unsealing_cannot_be_made_without_a_ledger() -> None:
    with pytest.raises(TypeError, match=r"Unsealing\.written_to"):
        Unsealing(object(), 1, "study", "")


def test_an_unsealing_cannot_be_copied_with_other_values(made: Dataset, tmp_path: Path) -> None:
    unsealing = opened(ListLedger(), made, tmp_path).unsealing
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(unsealing, ledger_row=2)  # type: ignore[call-arg]  # what is tested


def test_test_sets_cannot_be_made_from_arrays(made: Dataset, tmp_path: Path) -> None:
    rows = opened(ListLedger(), made, tmp_path)
    with pytest.raises(TypeError, match=r"TestSet\.open"):
        TestSet(object(), rows.unsealing, made, rows.images, rows.labels)


def test_test_sets_do_not_open_for_something_that_is_no_unsealing(made: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="SimpleNamespace"):
        TestSet.open(SimpleNamespace(ledger_row=1), made, tmp_path)


def test_test_sets_cannot_be_written_to(made: Dataset, tmp_path: Path) -> None:
    rows = opened(ListLedger(), made, tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        rows.labels[0] = 1


@pytest.mark.parametrize(("name", "rows"), [("digits", 360), ("digits-hard", 142)])
def test_the_test_sets_of_digits_open_the_same_way(name: str, rows: int) -> None:
    assert len(opened(ListLedger(), find_dataset(name), Path("/nowhere"))) == rows
