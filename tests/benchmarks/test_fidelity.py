"""What the benchmark of smaller inputs trains, in which order, and what it makes of the results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from benchmarks.fidelity import (
    Cell,
    Protocol,
    agreement,
    cells,
    configurations,
    figures,
    kendall,
    make_fold,
    read,
    spearman,
    write,
)
from hpo.data.development import Development
from tests.arrays import made_development
from tests.mention import unmentioned

PROTOCOL = Protocol("adrenal3d", rows=20, scoring_rows=24, epochs=2, batch_size=16, draw_seed=3)


def line(number: int, size: int, seed: int, auc: float) -> dict[str, object]:
    return {
        "cell": [number, size, seed],
        "auc": auc,
        "failure": "",
        "training_seconds": float(size),
        "scoring_seconds": 1.0,
        "samples_per_second": 100.0 / size,
        "protocol": {"dataset": "adrenal3d"},
        "device": {},
    }


@pytest.fixture
def development() -> Development:
    return made_development(dimensions=3, rows=(40, 12), size=4)


def test_a_stop_at_any_time_leaves_all_sizes_of_all_configurations_but_the_last() -> None:
    order = list(cells(3, [28, 14]))
    assert order[:3] == [Cell(0, 14, 0), Cell(0, 28, 0), Cell(0, 14, 1)]
    for stop in range(len(order)):
        done, last = order[:stop], order[stop].configuration
        assert all(Cell(number, size, 0) in done for number in range(last) for size in (14, 28))


def test_a_longer_list_of_configurations_begins_with_a_shorter_one() -> None:
    shorter, longer = configurations(PROTOCOL, 2), configurations(PROTOCOL, 5)
    assert longer[:2] == shorter
    assert {config.batch_size for config in longer} == {16}
    assert {config.resplit for config in longer} == {"none"}
    assert len({config.learning_rate for config in longer}) == 5


def test_scoring_rows_are_the_validation_rows_and_training_rows_that_nobody_trains_on(development: Development) -> None:
    fold = make_fold(development, PROTOCOL)
    assert (len(fold.training), len(fold.validation)) == (20, 24)
    assert not set(fold.training) & set(fold.validation)
    assert set(np.flatnonzero(development.is_validation)) <= set(fold.validation)
    assert not development.is_validation[fold.training].any()


def test_more_rows_than_there_are_are_refused_with_both_numbers(development: Development) -> None:
    with pytest.raises(SystemExit) as caught:
        make_fold(development, Protocol("adrenal3d", 38, 24, 2, 16, 3))
    assert unmentioned(caught.value.code, development.dataset.name, 38, 24 - 12, 40) == []


def test_equal_orders_agree_fully_and_reversed_ones_not_at_all() -> None:
    some = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    same, reverse = agreement(some, some**2), agreement(some, -some)
    assert (same["spearman"], same["kendall"]) == pytest.approx((1, 1))
    assert (reverse["spearman"], reverse["kendall"]) == pytest.approx((-1, -1))
    assert same["spearman_95"] == pytest.approx([1, 1])


def test_rank_correlations_are_those_derived_by_hand() -> None:
    # Ranks 1 2 3 4 against 2 1 3 4: sum of squared differences 2, rho = 1 - 6*2/(4*15) = 0.8; 5 of 6 pairs agree, tau
    # = (5 - 1) / 6.
    found = agreement(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.6, 0.5, 0.7, 0.8]))
    assert (found["spearman"], found["kendall"]) == pytest.approx((0.8, 4 / 6))


def test_only_configurations_with_both_sizes_are_compared() -> None:
    lines = [
        line(n, size, 0, 0.5 + n / 10 * (size == 14) - n / 20 * (size == 28)) for n in range(4) for size in (14, 28)
    ]
    lines += [line(4, 14, 0, 0.99)]
    found = figures(lines)
    assert found["agreement"]["14 and 28"]["configurations"] == 4
    assert found["agreement"]["14 and 28"]["spearman"] == pytest.approx(-1)
    assert found["lost_at_full_size_by_the_best_at_the_small"] == pytest.approx(0.15)
    assert found["sizes"][14]["runs"] == 5
    assert found["sizes"][28]["seconds_per_run"] == pytest.approx(29)


def test_a_half_written_line_and_lines_of_another_protocol_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    other = {**line(1, 14, 0, 0.5), "protocol": {"dataset": "breast"}}
    write(file, line(0, 14, 0, 0.5))
    write(file, other)
    file.write_text(file.read_text() + json.dumps(line(2, 14, 0, 0.5))[:-40])
    write(file, line(3, 14, 0, 0.5))
    assert [found["cell"] for found in read(file, None)] == [[0, 14, 0], [3, 14, 0]]


def test_rank_correlations_equal_scipys_with_ties() -> None:
    random = np.random.default_rng(2)
    some, others = random.integers(0, 5, (2, 7, 12)).astype(float)
    for number in range(7):
        assert spearman(some, others)[number] == pytest.approx(spearmanr(some[number], others[number]).statistic)
        assert kendall(some, others)[number] == pytest.approx(kendalltau(some[number], others[number]).statistic)
