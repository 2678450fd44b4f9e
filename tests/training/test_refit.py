"""One configuration trained once for its weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpo.data.development import Development
from hpo.statistics.auc import auc
from hpo.study.config import TrainConfig
from hpo.training.loop.checkpoint import Checkpoint
from tests.refitting import refitted

pytestmark = pytest.mark.usefixtures("thin")

QUICK = {"loss": "cross_entropy", "optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 0.0, "batch_size": 16}


class Left(Exception):  # noqa: N818
    """Somebody pressed Ctrl-C."""


@pytest.mark.slow
def test_without_a_selection_set_the_last_weights_are_kept(development: Development) -> None:
    made = refitted(TrainConfig(**QUICK | {"learning_rate": 3e-3}), development, 8, seed=1, device="cpu")
    assert made.selection is None
    scores = made.model.scores(development.images, "cpu")[:, 0]
    assert auc(scores, development.labels[:, 0]) > 0.8


def test_without_a_selection_set_and_official_validation_samples_the_same_weights_are_kept(
    development: Development,
) -> None:
    """As in a data file without val: which samples are scored in between chooses nothing."""
    without = dataclasses.replace(development, is_validation=np.zeros(len(development), dtype=np.bool_))
    made, official = (refitted(TrainConfig(**QUICK), one, 2, seed=1, device="cpu") for one in (without, development))
    images = development.images[:8]
    np.testing.assert_array_equal(made.model.scores(images, "cpu"), official.model.scores(images, "cpu"))


def test_official_validation_samples_of_one_class_do_not_end_the_training(development: Development) -> None:
    """A registered loader may have such samples, and a study of folds that are drawn does not mind."""
    labels = development.labels.copy()
    labels[development.is_validation] = 0
    of_one_class = dataclasses.replace(development, labels=labels)
    assert refitted(TrainConfig(**QUICK), of_one_class, 1, seed=1, device="cpu").selection is None


def test_with_a_selection_set_its_indices_are_returned(development: Development) -> None:
    made = refitted(TrainConfig(**QUICK, resplit="official"), development, 2, seed=1, device="cpu")
    np.testing.assert_array_equal(made.selection, np.flatnonzero(development.is_validation))


def test_equal_seeds_give_equal_networks_and_others_do_not(development: Development) -> None:
    first, again, other = (refitted(TrainConfig(**QUICK), development, 1, seed, "cpu").model for seed in (1, 1, 2))
    images = development.images[:8]
    np.testing.assert_array_equal(first.scores(images, "cpu"), again.scores(images, "cpu"))
    assert np.abs(first.scores(images, "cpu") - other.scores(images, "cpu")).max() > 0


def _of_another_machine(content: dict[str, Any]) -> None:
    content["trial"]["machine"] = "cuda in torch.bfloat16"


def _with_random_numbers_of_a_gpu(content: dict[str, Any]) -> None:
    content["folds"][0]["under_way"]["random"] = torch.zeros(16, dtype=torch.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("change", [_of_another_machine, _with_random_numbers_of_a_gpu])
def test_one_that_does_not_fit_restarts(
    development: Development,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[dict[str, Any]], None],
) -> None:
    config, steps = TrainConfig(**QUICK), []

    def leave(share: float) -> None:
        steps.append(share)
        if len(steps) == 3:
            raise Left

    checkpoint = Checkpoint(tmp_path, 0, 1, "same")
    with pytest.raises(Left):
        refitted(config, development, 2, 5, "cpu", leave, checkpoint)
    content = torch.load(checkpoint.path, weights_only=True)
    change(content)
    torch.save(content, checkpoint.path)
    made = refitted(config, development, 2, 5, "cpu", steps.append, checkpoint)
    assert steps[3] == steps[0]
    assert "trial 0 restarts" in caplog.text
    assert made.usage.seconds is not None
    assert made.usage.seconds > content["trial"]["usage"]["seconds"]


@pytest.mark.slow
@pytest.mark.parametrize("resplit", ["none", "holdout"])
def test_one_that_was_left_goes_on_and_ends_as_if_it_had_not_been(
    development: Development, tmp_path: Path, resplit: str
) -> None:
    config = TrainConfig(**QUICK, resplit=resplit, resplit_share=0.3, weight_average="ema")
    whole = refitted(config, development, 3, seed=5, device="cpu").model.scores(development.images, "cpu")

    def leave(share: float) -> None:
        if share > 0.5:
            raise Left

    checkpoint = Checkpoint(tmp_path, 0, 1, "same")
    with pytest.raises(Left):
        refitted(config, development, 3, 5, "cpu", leave, checkpoint)
    assert checkpoint.exists()
    kept = checkpoint.load()
    assert kept is not None
    before = kept[0]["usage"]["seconds"]
    assert before > 0
    shares: list[float] = []
    made = refitted(config, development, 3, 5, "cpu", shares.append, checkpoint)
    assert shares[0] > 0.5
    np.testing.assert_array_equal(made.model.scores(development.images, "cpu"), whole)
    assert not checkpoint.exists()
    assert made.usage.seconds is not None
    assert made.usage.seconds > before
    assert made.usage.peak_memory is not None
    assert made.usage.peak_memory > 0
