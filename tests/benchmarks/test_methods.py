"""The costs of methods of training: each can be trained, and is compared with the default in pairs of steps."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.beside.job import Job, official_fold
from benchmarks.beside.methods import METHODS, _measure, _steps
from hpo.study.choices import LOSSES
from hpo.study.config import TrainConfig, settings
from tests.arrays import made_development

pytestmark = pytest.mark.usefixtures("thin_networks")


@pytest.fixture
def thin_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.training.model.resnet._WIDTHS", (16, 16))


@pytest.fixture
def job() -> Job:
    development = made_development(rows=(40, 12))
    return Job(development, (official_fold(development, np.arange(40)),), 1, 16, "fp32", "cpu")


def test_every_loss_and_optimizer_is_among_them() -> None:
    configs = [TrainConfig(**{"loss": "aucm_v1"} | method) for method in METHODS.values()]
    assert {config.loss for config in configs} == set(LOSSES.names()) - {"aucm_v2"}
    assert {config.optimizer for config in configs} == set(settings()["optimizer"].choices or ())
    for config, method in zip(configs, METHODS.values(), strict=True):
        assert all(config.has_effect(name) for name in method)


@pytest.mark.parametrize("name", list(METHODS))
def test_each_can_be_trained_over_the_end_of_an_epoch(job: Job, name: str) -> None:
    steps = _steps(job, METHODS[name])
    assert all(next(steps) > 0 for _ in range(job.steps + 1))


def test_its_ratio_lies_between_its_quartiles(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.beside.methods.set_up_process", lambda: None)
    found = _measure(job, METHODS["sam"], 5)
    assert 0 < found["low"] <= found["ratio"] <= found["high"]
    assert found["images_per_second"] > 0
