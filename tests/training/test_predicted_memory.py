"""The memory of a worker, predicted before it trains on a CPU, and measured on a GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpo.data.development import Development
from hpo.data.folds import scoring_folds
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring
from hpo.training.loop.scoring import SCORING_BATCH
from hpo.training.model.resnet import resnet18
from hpo.training.probe.memory import peak_of, predicted_peak
from tests.arrays import made_development


@pytest.mark.slow
def test_each_fold_adds_its_network_and_what_the_optimizer_keeps(development: Development) -> None:
    """Weights, reference, their sum and one buffer of PESG with momentum."""
    network = 4 * sum(parameter.numel() for parameter in resnet18(2, 1, seed=0).parameters())
    one, three = (predicted_peak(TrainConfig(resplit="none"), development, folds) for folds in (1, 3))
    assert (three - one) / 2 == pytest.approx(4 * network, rel=0.02)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adam"},
        {"optimizer": "adamw"},
        {"loss": "compositional"},
        {"sam": 0.05},
        {"weight_average": "ema"},
        {"weight_average": "cycles"},
        {"resplit": "holdout"},
        {"batch_size": 256},
    ],
)
def test_what_keeps_more_or_computes_more_at_a_time_needs_more(
    development: Development, settings: dict[str, object]
) -> None:
    plain = TrainConfig(resplit="none", batch_size=64)
    assert predicted_peak(plain.model_copy(update=settings), development, 2) > predicted_peak(plain, development, 2)


@pytest.mark.slow
def test_groups_of_samples_do_not_matter(development: Development) -> None:
    grouped = replace(development, groups=np.arange(len(development)) // 2)
    assert predicted_peak(TrainConfig(), grouped, 2) == predicted_peak(TrainConfig(), development, 2)


@pytest.mark.slow
def test_no_step_is_predicted_below_the_memory_of_scoring(development: Development) -> None:
    small, smaller = (predicted_peak(TrainConfig(batch_size=size), development, 1) for size in (16, 8))
    assert small == smaller


@pytest.mark.slow
def test_other_datasets_add_their_images_as_they_are_read_and_trained_on() -> None:
    """Twice 5,232 images of 28 pixels; of 14 pixels a quarter as trained on."""
    breast = made_development(rows=(30, 10), size=28)
    for edge, times in ((28, 2.0), (14, 1.25)):
        plain, together = (
            predicted_peak(TrainConfig(input_size=edge, batch_size=8, co_training=value), breast, 1)
            for value in ("none", "pneumonia")
        )
        assert together - plain == times * 5232 * 28 * 28


def test_volumes_so_large_that_they_are_scored_one_by_one_are_measured(
    development_3d: Development, thin: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The epoch that is measured ends with an AUC, which needs a sample of each class."""
    monkeypatch.setitem(SCORING_BATCH, 3, 1)
    folds = scoring_folds(development_3d, Scoring(folds=2), 0)
    assert peak_of(TrainConfig(batch_size=4, input_size=4), development_3d, folds, "cpu").main > 0
