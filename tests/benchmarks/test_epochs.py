"""The benchmark of what epochs bring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.epochs import read_aucs, table

KEPT = Path(__file__).resolve().parents[2] / "docs" / "results" / "methods" / "studies.sqlite3"


def test_an_epoch_that_ranks_otherwise_is_told_with_what_it_would_lose() -> None:
    aucs = np.array([[0.6, 0.7, 0.8], [0.9, 0.8, 0.7], [0.5, 0.6, 0.9]])
    rows = [[float(cell) for cell in line.split("|")[1:-1]] for line in table(aucs, [1, 2, 3]).splitlines()[2:]]
    assert rows == [
        [1, 0.667, 0.133, -1.0, 0.2],
        [2, 0.7, 0.1, -1.0, 0.2],
        [3, 0.8, 0, 1.0, 0],
    ]


@pytest.mark.slow
def test_the_whole_trials_of_the_committed_methods_are_read() -> None:
    aucs = read_aucs(f"sqlite:///{KEPT}", "breast-methods")
    assert aucs.shape == (97, 45)
    assert ((aucs > 0.3) & (aucs < 1)).all()
