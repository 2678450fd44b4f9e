"""The same trial on a CUDA device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hpo.data.development import Development
from hpo.data.folds import scoring_folds
from hpo.study.choices import AUGMENTATIONS
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop import cuda_graph
from hpo.training.loop.fold import Run, complete
from hpo.training.loop.fold_parallel import OnStreams, own_stream
from hpo.training.loop.trial import train_trial
from hpo.training.machine.device import choose_machine

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("loss", ["aucm_v1", "aucm_v2", "cross_entropy"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_trial_trains_on_cuda(development: Development, loss: str, optimizer: str) -> None:
    folds = scoring_folds(development, Scoring(rows="kfold", folds=2), 0)
    config = TrainConfig(loss=loss, optimizer=optimizer, augmentation="full", weight_average="ema", batch_size=16)
    assert len(list(train_trial(config, development, folds, 2, 0, "cuda"))) == 2


DEVICE = torch.device("cuda", 0)
SETTINGS = {"augmentation": "full", "weight_average": "ema", "batch_size": 16, "input_size": 8}


def train(run: Run, epochs: int) -> list[float]:
    """Losses of the epochs, on a stream of its own, as a graph needs it."""
    losses = []
    with own_stream(DEVICE):
        for epoch in list(run.remaining_epochs())[:epochs]:
            losses.append(complete(run.work(epoch, np.arange(40, 52))).training_loss)
    return losses


def make_run(development: Development, **settings: Any) -> Run:
    config = TrainConfig(**(SETTINGS | settings))
    machine = choose_machine(DEVICE, 2, config.precision)
    resident = make_device_dataset(development, config.input_size, DEVICE)
    return Run(config, development, resident, np.arange(40), 12, 0, machine)


@pytest.fixture
def no_verdicts(monkeypatch: pytest.MonkeyPatch) -> dict[Any, bool]:
    verdicts: dict[Any, bool] = {}
    monkeypatch.setattr(cuda_graph, "_VERDICTS", verdicts)
    return verdicts


def test_an_epoch_does_not_wait_for_the_device(development: Development) -> None:
    """Warmed up, all of an epoch's steps are given out without a wait; losses and scores are read after the last."""
    run = make_run(development)
    train(run, 4)
    with own_stream(DEVICE):
        work = run.work(4, np.arange(40, 52))
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(run.steps):
                next(work)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        complete(work)


@pytest.mark.parametrize("loss", ["aucm_v1", "aucm_v2", "cross_entropy"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_graph_can_be_recorded_and_computes_what_the_step_does(
    development: Development, no_verdicts: dict[Any, bool], loss: str, optimizer: str, log: list[str]
) -> None:
    train(make_run(development, loss=loss, optimizer=optimizer), 3)
    assert len(log) == 1
    assert "ms" in log[0], log


@pytest.mark.parametrize("augmentation", AUGMENTATIONS.names())
def test_a_step_with_any_augmentation_can_be_recorded(
    development: Development, no_verdicts: dict[Any, bool], augmentation: str, log: list[str]
) -> None:
    train(make_run(development, augmentation=augmentation), 3)
    assert len(log) == 1
    assert "ms" in log[0], log


def test_each_size_of_small_images_is_recorded_by_itself(
    development: Development, no_verdicts: dict[Any, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"progressive": 0.5, "progressive_growth": "staged", "precision": "fp32", "learning_rate": 0.01}
    monkeypatch.setattr(cuda_graph.StepGraph, "_is_worth_it", lambda *_: True)
    replayed = train(make_run(development, **settings), 12)
    assert list(no_verdicts.values()) == [True, True]
    no_verdicts.update(dict.fromkeys(no_verdicts, False))
    assert replayed == pytest.approx(train(make_run(development, **settings), 12), rel=0.05)


@pytest.fixture
def deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same algorithms in every run, of full float32 precision; else small differences grow from step to step."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


def test_training_goes_on_as_before_after_a_step_that_cannot_be_recorded(
    development: Development, no_verdicts: dict[Any, bool], monkeypatch: pytest.MonkeyPatch, deterministic: None
) -> None:
    settings = {"precision": "fp32", "learning_rate": 0.01}
    eager = train(make_run(development, **settings), 3)
    compute = Run._compute

    def unrecordable(run: Run, batch: Any) -> Any:
        found = compute(run, batch)
        found[0].item()
        return found

    monkeypatch.setattr(Run, "_compute", unrecordable)
    no_verdicts.clear()
    refused = train(make_run(development, **settings), 3)
    assert list(no_verdicts.values()) == [False]
    assert refused == pytest.approx(eager, rel=1e-4)


@pytest.mark.parametrize("class_means", ["learned", "running"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_replayed_epochs_follow_those_done_as_they_are(
    development: Development,
    no_verdicts: dict[Any, bool],
    monkeypatch: pytest.MonkeyPatch,
    deterministic: None,
    class_means: str,
    optimizer: str,
) -> None:
    """Across the switch from cross-entropy to AUCM, with other rows, draws and learning rates in each epoch."""
    settings = {
        "precision": "fp32",
        "cross_entropy_share": 0.5,
        "optimizer": optimizer,
        "learning_rate": 0.01 if optimizer == "sgd" else 1e-4,
        "class_means": class_means,
    }
    monkeypatch.setattr(cuda_graph.StepGraph, "_is_worth_it", lambda *_: True)
    replayed = train(make_run(development, **settings), 12)
    assert list(no_verdicts.values()) == [True, True]
    no_verdicts.update(dict.fromkeys(no_verdicts, False))
    eager, again = (train(make_run(development, **settings), 12) for _ in range(2))
    assert again == pytest.approx(eager, rel=1e-6), "a run is not repeatable, so there is nothing to compare with"
    assert replayed == pytest.approx(eager, rel=0.01)


def test_folds_on_streams_are_equal_to_one_after_the_other(
    development: Development, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = scoring_folds(development, Scoring(rows="kfold", folds=2), 0)
    config = TrainConfig(**(SETTINGS | {"precision": "fp32", "learning_rate": 0.01}))
    reports = []
    for size in (2, 1):
        monkeypatch.setattr(
            "hpo.training.loop.trial.choose_fold_executor", lambda *_, size=size: OnStreams(2, size, DEVICE)
        )
        reports.append(list(train_trial(config, development, folds, 3, 0, "cuda")))
    for together, apart in zip(*reports, strict=True):
        assert together.training_loss == pytest.approx(apart.training_loss, rel=0.05)
