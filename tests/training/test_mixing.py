"""Mixtures of images: labels follow pixels, and every loss takes a soft label as shares of both classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hpo.study.choices import LOSSES
from hpo.study.config import TrainConfig
from hpo.training.inputs.augmentation import Policy, augment
from hpo.training.optim.losses.aucm import AUCMLoss
from hpo.training.optim.losses.factory import make_loss
from hpo.training.seeds import generator

PARTS = 4
SOFT = torch.tensor([[0.25], [1.0], [0.0], [0.75], [0.5]])
LOGITS = torch.tensor([[0.3], [1.2], [-0.7], [0.1], [-1.5]])
CASES: list[dict[str, Any]] = [
    *({"loss": loss} for loss in LOSSES.names()),
    *({"loss": loss, "class_means": "running"} for loss in ("aucm_v1", "aucm_v2")),
]


def hard_copies() -> tuple[Tensor, Tensor]:
    """Each sample four times, with as many positive labels as its soft label has quarters."""
    hard = (torch.arange(PARTS) < PARTS * SOFT).float().view(-1, 1)
    return LOGITS.repeat_interleave(PARTS, dim=0), hard


@pytest.mark.parametrize("settings", CASES, ids=lambda settings: "-".join(settings.values()))
def test_a_soft_label_counts_as_copies_with_hard_labels_in_those_shares(settings: dict[str, Any]) -> None:
    config = TrainConfig(**settings)
    values, gradients, means = [], [], []
    for logits, targets in ((LOGITS, SOFT), hard_copies()):
        loss = make_loss(config, 1)
        if isinstance(loss, AUCMLoss) and config.class_means == "learned":
            with torch.no_grad():
                for parameter, value in zip((loss.a, loss.b, loss.alpha), (0.6, 0.4, 0.5), strict=True):
                    parameter.fill_(value)
        known = logits.clone().requires_grad_()
        value = loss(known, targets)
        value.backward()
        assert known.grad is not None
        values.append(value.detach())
        gradients.append(known.grad.view(len(LOGITS), -1).sum(1))
        if isinstance(loss, AUCMLoss):
            learned = config.class_means == "learned"
            means.append(torch.stack([p.grad if learned else p.detach() for p in (loss.a, loss.b, loss.alpha)]))  # type: ignore[misc]
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(gradients[0], gradients[1])
    if means:
        torch.testing.assert_close(means[0], means[1])


def test_running_class_means_are_weighted_by_soft_labels() -> None:
    loss = make_loss(TrainConfig(loss="aucm_v2", class_means="running"), 1)
    assert isinstance(loss, AUCMLoss)
    loss(LOGITS, SOFT)
    scores = torch.sigmoid(LOGITS)
    torch.testing.assert_close(loss.a.detach(), (scores * SOFT).sum(0) / SOFT.sum())
    torch.testing.assert_close(loss.b.detach(), (scores * (1 - SOFT)).sum(0) / (1 - SOFT).sum())


@pytest.mark.parametrize("shape", [(40, 1, 12, 12), (40, 1, 6, 6, 6)], ids=["2d", "3d"])
@pytest.mark.parametrize("labels", [1, 3])
def test_cutmix_mixes_labels_by_the_share_of_pixels_that_come_from_the_other_image(
    shape: tuple[int, ...], labels: int
) -> None:
    values = torch.rand(40, labels, generator=generator(0))
    for label in range(labels):
        painted = values[:, label].view(-1, *(1,) * (len(shape) - 1)).expand(shape)
        mixed, targets = augment(painted, values, Policy(cutmix=1.0), generator(1))
        torch.testing.assert_close(mixed.flatten(1).mean(1), targets[:, label], rtol=1e-5, atol=1e-6)


def test_cutmix_pastes_one_rectangle_of_one_other_image() -> None:
    numbers = torch.arange(60.0).view(60, 1, 1, 1).expand(60, 1, 16, 16)
    mixed, _ = augment(numbers, torch.zeros(60, 1), Policy(cutmix=1.0), generator(0))
    for number, image in enumerate(mixed[:, 0]):
        pasted = image != number
        rows, columns = pasted.any(1), pasted.any(0)
        assert int(pasted.sum()) == int(rows.sum()) * int(columns.sum())
        assert len(image[pasted].unique()) <= 1


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_area_of_cutmix_is_uniform_up_to_its_size(dimensions: int) -> None:
    count, edge = 4000, 40 if dimensions == 2 else 14
    images = torch.arange(float(count)).view(-1, 1, *(1,) * dimensions).expand(count, 1, *(edge,) * dimensions)
    mixed, _ = augment(images, torch.zeros(count, 1), Policy(cutmix=0.3), generator(0))
    covered = (mixed != images).flatten(1).float().mean(1)
    # An edge e whose centre is uniform in the image lies in it by e - e^2 / 4 on average.
    share = torch.linspace(0, 0.3, 10_001, dtype=torch.float64)
    edges = share ** (1 / dimensions)
    expected = (edges * (1 - edges / 4)) ** dimensions
    assert abs(float(covered.mean()) - float(expected.mean())) < 0.01
    assert covered.max() < 0.3 + 0.1
