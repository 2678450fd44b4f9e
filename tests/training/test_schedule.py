"""Learning rates and updates of the reference by epoch."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from hpo.study.config import TrainConfig
from hpo.training.optim.lr_schedule import Schedule, cycle_ends, learning_rate_factor, updates_reference


@pytest.mark.parametrize(("epochs", "first", "second"), [(100, 50, 75), (30, 15, 23), (4, 2, 3), (3, 2, 3), (2, 1, 2)])
def test_step_decays_tenfold_at_half_and_three_quarters(epochs: int, first: int, second: int) -> None:
    factors = [learning_rate_factor("step", epoch, epochs) for epoch in range(epochs)]
    expected = [1.0] * first + [0.1] * (second - first) + [0.01] * (epochs - second)
    assert factors == pytest.approx(expected)


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 30, 100])
def test_the_reference_moves_where_step_decays_and_never_at_the_start(epochs: int) -> None:
    factors = [learning_rate_factor("step", epoch, epochs) for epoch in range(epochs)]
    decays = [epoch for epoch in range(1, epochs) if factors[epoch] < factors[epoch - 1]]
    assert [epoch for epoch in range(epochs) if updates_reference(epoch, epochs)] == decays


def test_cosine_falls_from_one_and_stays_above_zero() -> None:
    factors = [learning_rate_factor("cosine", epoch, 10) for epoch in range(10)]
    assert factors[0] == 1.0
    assert factors[5] == pytest.approx(0.5)
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] > 0


def test_constant_is_constant() -> None:
    assert {learning_rate_factor("constant", epoch, 7) for epoch in range(7)} == {1.0}


def factors_of(schedule: Schedule) -> list[float]:
    return [schedule.factor(epoch, step) for epoch in range(schedule.epochs) for step in range(schedule.steps)]


def factors_of_torch(kind: type[lr_scheduler.LRScheduler], count: int, **options: object) -> list[float]:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), 1.0)
    scheduler = kind(optimizer, **options)
    found = []
    for number in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if number + 1 < count:
            scheduler.step()
    return found


@pytest.mark.parametrize(("epochs", "steps"), [(10, 7), (1, 30), (30, 1), (3, 5), (4, 1)])
def test_one_cycle_is_torchs(epochs: int, steps: int) -> None:
    options = {"max_lr": 1.0, "total_steps": epochs * steps, "cycle_momentum": False}
    expected = factors_of_torch(lr_scheduler.OneCycleLR, epochs * steps, **options)
    assert factors_of(Schedule("one_cycle", epochs, steps)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_cycle_has_positive_rates_in_the_shortest_runs(count: int) -> None:
    assert all(0 < factor <= 1 for factor in factors_of(Schedule("one_cycle", count, 1)))


@pytest.mark.parametrize(("epochs", "steps", "cycles"), [(8, 5, 4), (6, 3, 1), (10, 2, 5), (3, 4, 3)])
def test_cyclic_is_torchs_cosine_with_warm_restarts(epochs: int, steps: int, cycles: int) -> None:
    expected = factors_of_torch(
        lr_scheduler.CosineAnnealingWarmRestarts, epochs * steps, T_0=epochs * steps // cycles, eta_min=0.0
    )
    assert factors_of(Schedule("cyclic", epochs, steps, cycles)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("cycles", "epochs", "ends"), [(4, 8, (1, 3, 5, 7)), (3, 10, (2, 6, 9)), (4, 2, (0, 1)), (1, 5, (4,))]
)
def test_cycles_have_whole_epochs_and_end_with_the_run(cycles: int, epochs: int, ends: tuple[int, ...]) -> None:
    assert cycle_ends("cyclic", cycles, epochs) == ends
    starts = [epoch for epoch in range(epochs) if Schedule("cyclic", epochs, 3, cycles).factor(epoch, 0) == 1.0]
    assert starts == [0, *(end + 1 for end in ends[:-1])]
    assert cycle_ends("step", cycles, epochs) == (epochs - 1,)


@pytest.mark.parametrize("kind", ["constant", "step", "cosine", "cyclic"])
def test_warmup_multiplies_by_a_line_up_to_one(kind: str) -> None:
    with_it, without = (factors_of(Schedule.of(TrainConfig(schedule=kind, warmup=share), 5, 4)) for share in (0.5, 0.0))
    line = factors_of_torch(lr_scheduler.LinearLR, 20, start_factor=1 / 10, total_iters=9)
    assert with_it == pytest.approx([one * other for one, other in zip(line, without, strict=True)])
    assert with_it[10:] == without[10:]


@pytest.mark.parametrize("kind", ["constant", "step", "cosine"])
def test_without_warmup_the_factor_is_the_epochs_bit_for_bit(kind: str) -> None:
    schedule = Schedule.of(TrainConfig(schedule=kind), 7, 3)
    assert factors_of(schedule) == [learning_rate_factor(kind, epoch, 7) for epoch in range(7) for _ in range(3)]


def test_one_cycle_has_no_other_warmup() -> None:
    one, other = (Schedule.of(TrainConfig(schedule="one_cycle", warmup=share), 5, 4) for share in (0.5, 0.0))
    assert factors_of(one) == factors_of(other)
