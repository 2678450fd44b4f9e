"""Two commits side by side: each trains by its own code, and what is said of their figures is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.beside.commits import ROOT, TreeSide, _equality, _ratios, _write_arrays, busy_processes
from benchmarks.beside.job import Job, official_fold
from hpo.study.catalogue import find_dataset
from tests.arrays import made_development


def test_ratios_are_taken_pair_by_pair() -> None:
    found = _ratios({"before": [10.0, 20.0, 10.0], "now": [20.0, 30.0, 30.0]})
    assert (found["ratio_median"], found["ratio_range"], found["pairs"]) == (2.0, [1.5, 3.0], 3)
    assert (found["samples_per_second_before"], found["samples_per_second_now"]) == (10.0, 30.0)


def test_curves_are_equal_to_the_last_bit_or_their_largest_difference_is_told() -> None:
    before, now = {0: [0.5, 0.75]}, {0: [0.5, 0.625], 1: [0.5, 0.5]}
    found = _equality({"before": before, "now": now, "now, busy": now}, alone=[0.5, 0.625])
    assert found["equal_idle_and_busy"]
    assert found["equal_to_before_with_one_thread"]
    assert not found["equal_to_before"]
    assert found["largest_auc_difference_to_before"] == 0.125
    other = _equality({"before": before, "now": now, "now, busy": before}, alone=[0.5, 0.75])
    assert not other["equal_idle_and_busy"]
    assert not other["equal_to_before_with_one_thread"]


@pytest.mark.slow
def test_a_side_trains_by_the_code_of_its_tree(tmp_path: Path) -> None:
    development = replace(made_development(rows=(24, 12)), dataset=find_dataset("digits"))
    job = Job(development, (official_fold(development, np.arange(24)),), 2, 8, "fp32", "cpu")
    _write_arrays(tmp_path, job)
    with TreeSide(ROOT, tmp_path, job, "aucm", 0, 1) as side, busy_processes(1):
        for _ in range(2):
            side.begin()
            side.end_of_epoch()
        assert len(side.curve) == 2
        assert all(0 <= area <= 1 for area in side.curve)
    stranger = tmp_path / "hpo"
    stranger.mkdir()
    (stranger / "__init__.py").write_text("")
    with pytest.raises(SystemExit):
        TreeSide(tmp_path, tmp_path, job, "aucm", 0, 1)
