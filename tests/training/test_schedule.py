"""Learning rates and updates of the reference by epoch."""

from __future__ import annotations

import pytest

from hpo.training.optim.lr_schedule import learning_rate_factor, updates_reference


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
