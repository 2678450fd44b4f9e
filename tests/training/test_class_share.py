"""The share of positives in batches changes over the epochs."""

from __future__ import annotations

import pytest

from hpo.data.development import Development
from hpo.study.config import TrainConfig
from hpo.training.loop.class_share import in_epoch, positive_share
from tests.training.test_run import make_run


def shares(schedule: str, end: float, epochs: int) -> list[float]:
    config = TrainConfig(
        batching="fixed_share", positive_share=0.5, positive_share_schedule=schedule, positive_share_end=end
    )
    return [positive_share(config, 0.1, epoch, epochs) for epoch in range(epochs)]


def test_constant_is_the_start_value_whatever_the_end() -> None:
    assert shares("constant", 0.9, 3) == [0.5, 0.5, 0.5]


def test_linear_goes_from_the_first_to_the_last_epoch() -> None:
    assert shares("linear", 0.9, 5) == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9])
    assert shares("linear", 0.9, 1) == [0.5]


def test_step_goes_half_of_the_way_at_half_and_all_of_it_at_three_quarters() -> None:
    assert shares("step", 0.9, 8) == pytest.approx([0.5] * 4 + [0.7] * 2 + [0.9] * 2)


def test_an_end_of_0_is_the_share_of_the_training_set() -> None:
    assert shares("linear", 0.0, 3) == pytest.approx([0.5, 0.3, 0.1])


def test_the_configuration_stays_the_same_without_a_schedule(development: Development) -> None:
    for settings in ({"batching": "fixed_share"}, {"positive_share_schedule": "linear"}):
        config = TrainConfig(**settings)
        assert in_epoch(config, development.labels, 2, 4) is config


@pytest.mark.usefixtures("thin")
def test_batches_of_a_run_follow_the_schedule(development: Development) -> None:
    run = make_run(
        development,
        epochs=4,
        batching="fixed_share",
        positive_share=0.75,
        positive_share_schedule="step",
        positive_share_end=0.25,
    )
    labels = development.labels[:, 0]
    counts = [
        {int(n) for n in labels[run._draw_batches("batches", epoch, run.steps).numpy()].sum(axis=1)}
        for epoch in range(4)
    ]
    assert counts == [{12}, {12}, {8}, {4}]
