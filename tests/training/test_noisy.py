"""Samples that training disagrees with are left out of later epochs."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hpo.data.development import Development
from hpo.study.config import TrainConfig
from hpo.training.loop.noisy import NoisySamples
from hpo.training.loop.scoring import logits_of as score
from tests.arrays import made_development
from tests.training.test_run import FIT, make_run, train

SAMPLES = np.array([3, 5, 6, 9, 10, 12, 20, 21, 30, 31])
LABELS = np.array([1, 0, 0, 0, 0, 0, 0, 0, 1, 1], dtype=np.uint8)[:, None]


def noisy(rule: str, share: float = 0.4, start: float = 0.0, epochs: int = 4) -> NoisySamples:
    config = TrainConfig(noisy_samples=rule, noisy_share=share, noisy_start=start)
    return NoisySamples(config, SAMPLES, LABELS, epochs)


def logits_of(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None]


def test_none_keeps_every_sample_and_no_statistics() -> None:
    off = noisy("none")
    off.observe(SAMPLES, np.zeros((10, 1), dtype=np.float32))
    assert (off.is_off, off.state_dict(), off.kept(3).tolist()) == (True, {}, SAMPLES.tolist())


def test_nothing_is_left_out_before_the_share_of_the_epochs_and_never_in_the_first() -> None:
    for start, first in ((0.0, 1), (0.5, 2), (0.9, 4)):
        one = noisy("loss", start=start)
        one.observe(SAMPLES, np.linspace(-1, 1, 10, dtype=np.float32)[:, None])
        assert [one.left_out(epoch).size > 0 for epoch in range(5)] == [epoch >= first for epoch in range(5)]


@pytest.mark.parametrize("rule", ["loss", "margin"])
def test_the_share_is_left_out_of_each_class(rule: str) -> None:
    one = noisy(rule, share=0.4)
    # Every positive is scored worse than every negative, yet one of three is left out, and two of seven negatives.
    one.observe(SAMPLES, logits_of(-9, 1, -1, 2, -2, 0, -3, -4, -8, -7))
    assert one.left_out(1).tolist() == [3, 5, 9]
    assert one.kept(1).tolist() == [6, 10, 12, 20, 21, 30, 31]


def test_the_loss_is_a_running_mean_of_the_cross_entropy() -> None:
    one = noisy("loss")
    rounds = [np.random.default_rng(number).normal(size=(10, 1)).astype(np.float32) for number in range(3)]
    for logits in rounds:
        one.observe(SAMPLES, logits)
    targets = torch.from_numpy(LABELS).double()
    losses = [
        F.binary_cross_entropy_with_logits(torch.from_numpy(logits).double(), targets, reduction="none")
        for logits in rounds
    ]
    expected = (losses[0] / 2 + losses[1] / 2) / 2 + losses[2] / 2
    assert np.allclose(one.state_dict()["badness"], expected[:, 0])


def test_the_margin_is_the_mean_over_epochs_of_the_logit_towards_the_own_label() -> None:
    one = noisy("margin")
    rounds = [np.random.default_rng(number).normal(size=(10, 1)).astype(np.float32) for number in range(3)]
    for logits in rounds:
        one.observe(SAMPLES, logits)
    margins = np.mean(rounds, axis=0)[:, 0] * np.where(LABELS[:, 0] == 1, 1, -1)
    assert np.allclose(one.state_dict()["badness"], -margins)


def test_a_sample_that_occurs_twice_in_an_epoch_counts_with_its_mean_and_a_missing_one_stays() -> None:
    one = noisy("margin", share=0.15)
    one.observe(np.array([5, 5, 6]), logits_of(1, 3, -1))
    assert one.state_dict()["badness"].tolist()[1:3] == [2.0, -1.0]
    assert one.left_out(1).tolist() == [5]


def test_several_labels_are_divided_into_samples_with_and_without_a_positive_one() -> None:
    labels = np.array([[1, 0], [0, 1], [0, 0], [0, 0], [0, 0]], dtype=np.uint8)
    config = TrainConfig(noisy_samples="margin", noisy_share=0.4, noisy_start=0.0)
    one = NoisySamples(config, np.arange(5), labels, 4)
    one.observe(np.arange(5), np.array([[5, 5], [5, 5], [1, 1], [0, 3], [-9, 9]], dtype=np.float32))
    assert one.left_out(1).tolist() == [3]


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("rule", ["loss", "margin"])
def test_samples_with_a_wrong_label_are_left_out_of_batches(rule: str) -> None:
    clean = made_development(rows=(160, 8), seed=4)
    wrong = np.array([10, 30, 50, 70, 90, 110])
    labels = clean.labels.copy()
    labels[wrong] = 1 - labels[wrong]
    development = Development(clean.dataset, clean.images, labels, clean.is_validation, clean.md5)
    run = make_run(
        development,
        epochs=8,
        loss="cross_entropy",
        optimizer="adam",
        learning_rate=0.003,
        clip=0.0,
        noisy_samples=rule,
        noisy_share=0.15,
        noisy_start=0.5,
        samples=np.arange(160),
    )
    train(run)
    left = run.noisy.left_out(7)
    assert left.size == int(0.15 * labels[:160].sum()) + int(0.15 * (1 - labels[:160].astype(int)).sum())
    assert np.isin(wrong, left).mean() >= 0.8
    assert not np.isin(run._draw_batches("batches", 7, run.steps).numpy(), left).any()


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize(
    "settings",
    [
        {"progressive": 0.5, "weight_average": "ema"},
        {"augmentation": "cutmix", "loss": "compositional", "tta": "flips"},
        {"batch_size": 64, "noisy_share": 0.4},
        {"weight_average": "swa", "swa_start": 0.0, "duplicates": "remove", "resplit": "grouped"},
    ],
)
def test_samples_are_left_out_with_whatever_else_is_set(development: Development, settings: dict[str, Any]) -> None:
    run = make_run(development, **({"noisy_samples": "loss", "noisy_start": 0.0} | settings))
    reports = train(run)
    assert len(reports) == 3
    assert run.noisy.left_out(2).size > 0


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("rule", ["loss", "margin"])
def test_a_run_resumed_within_an_epoch_leaves_the_same_samples_out_bit_equal(
    development: Development, rule: str
) -> None:
    settings: dict[str, Any] = {
        "noisy_samples": rule,
        "noisy_share": 0.3,
        "noisy_start": 0.0,
        "augmentation": "full",
        "batch_size": 12,
    }
    whole_run = make_run(development, **settings)
    whole = train(whole_run)
    first = make_run(development, **settings)
    before = train(first, 1)
    for _ in zip(range(2), work := first.work(1, np.arange(8)), strict=False):
        pass
    state = deepcopy(first.state_dict())
    work.close()
    resumed = make_run(development, **settings)
    resumed.load_state_dict(state)
    assert before + train(resumed) == whole
    assert resumed.noisy.left_out(3).tolist() == whole_run.noisy.left_out(3).tolist() != []


@pytest.mark.usefixtures("thin")
def test_what_was_left_out_is_scored_again_and_can_come_back(development: Development) -> None:
    run = make_run(development, noisy_samples="loss", noisy_share=0.3, noisy_start=0.0)
    train(run, 1)
    left = np.searchsorted(FIT, run.noisy.left_out(1))
    before = run.noisy.state_dict()["badness"].clone()
    train(run, 1)
    assert (run.noisy.state_dict()["badness"][left] != before[left]).all()
    assert run.steps == -(-len(FIT) // 16)


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize(("average", "edge"), [("ema", 2), ("none", 4)])
def test_the_left_out_are_scored_at_the_size_that_the_network_has_statistics_of(
    development: Development, monkeypatch: pytest.MonkeyPatch, average: str, edge: int
) -> None:
    edges = []

    def logits(network: torch.nn.Module, parts: Iterable[torch.Tensor], *others: Any) -> Any:
        images = list(parts)
        edges.extend(part.shape[-1] for part in images)
        return score(network, images, *others)

    monkeypatch.setattr("hpo.training.loop.fold.logits_of", logits)
    run = make_run(
        development,
        noisy_samples="loss",
        noisy_start=0.0,
        progressive=0.5,
        progressive_growth="staged",
        progressive_share=0.9,
        weight_average=average,
    )
    train(run, 2)
    assert edges == [edge]
