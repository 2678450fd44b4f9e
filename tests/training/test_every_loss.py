"""What holds for every built-in loss."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from hpo.study.choices import AUCM, CROSS_ENTROPY, LOSSES, loss_family
from hpo.study.config import TrainConfig
from hpo.training.optim.losses.factory import make_loss
from hpo.training.optim.losses.minmax import MinMaxLoss

NAMES = ("aucm_v1", "aucm_v2", "cross_entropy", "joint", "compositional", "pairwise", "pauc", "focal")
CHANGES = ({}, {"class_means": "running", "score_scale": "standardised", "pauc_form": "dro", "aucm_version": "v1"})
every_loss = pytest.mark.parametrize("name", NAMES)
every_change = pytest.mark.parametrize("change", CHANGES, ids=["defaults", "other forms"])


def batch(labels: int, rows: int = 32, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    targets = (torch.rand(rows, labels, generator=random) < 0.3).float()
    targets[0], targets[1] = 1.0, 0.0
    return torch.randn(rows, labels, generator=random) + targets, targets


def made(name: str, labels: int, change: dict[str, str], alpha: float = 0.7) -> nn.Module:
    """The loss with an alpha above 0, without which AUCM does not order anything."""
    loss = make_loss(TrainConfig(loss=name, **change), labels)
    if isinstance(loss, MinMaxLoss) and (dual := loss.dual_variables()) is not None:
        with torch.no_grad():
            dual.alpha.fill_(alpha)
    return loss


def value_and_gradient(loss: nn.Module, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    logits = logits.detach().clone().requires_grad_()
    value = loss(logits, targets)
    return value.detach(), torch.autograd.grad(value, logits)[0]


def test_these_are_all() -> None:
    assert set(NAMES) == {name for name in LOSSES.names() if LOSSES.entry(name).target.__class__ is str}


def test_those_that_maximise_the_auc_are_one_family_and_focal_loss_is_of_the_other() -> None:
    families = {name: loss_family(name) for name in NAMES}
    assert {name for name, family in families.items() if family == CROSS_ENTROPY} == {"cross_entropy", "focal"}
    assert set(families.values()) == {AUCM, CROSS_ENTROPY}


@every_change
@every_loss
def test_its_value_is_the_mean_over_labels_each_as_if_alone(name: str, change: dict[str, str]) -> None:
    logits, targets = batch(14)
    value, gradient = value_and_gradient(made(name, 14, change), logits, targets)
    assert value.shape == ()
    alone = [
        value_and_gradient(made(name, 1, change), logits[:, label, None], targets[:, label, None])
        for label in range(14)
    ]
    torch.testing.assert_close(value, torch.stack([each for each, _ in alone]).mean(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradient, torch.cat([each for _, each in alone], dim=1) / 14, rtol=1e-4, atol=1e-6)


@every_change
@every_loss
@pytest.mark.parametrize("only", [0.0, 1.0])
def test_a_batch_without_a_class_gives_finite_values_and_gradients(
    name: str, change: dict[str, str], only: float
) -> None:
    logits, targets = batch(2)
    targets[:, 0] = only
    for part in value_and_gradient(made(name, 2, change), logits, targets):
        assert torch.isfinite(part).all()


@every_change
@every_loss
def test_it_takes_soft_targets_and_bf16_logits_and_gives_float32(name: str, change: dict[str, str]) -> None:
    logits, targets = batch(3)
    soft = 0.7 * targets + 0.3 * targets.roll(1, 0)
    value, gradient = value_and_gradient(made(name, 3, change), logits.bfloat16(), soft)
    assert value.dtype == torch.float32
    assert torch.isfinite(gradient).all()


@every_change
@every_loss
def test_a_step_down_its_gradient_raises_positives_and_lowers_negatives(name: str, change: dict[str, str]) -> None:
    """With well separated means a positive at the bottom has to rise, a negative at the top to fall."""
    logits, targets = batch(1, rows=64)
    logits[0], logits[1] = -3.0, 3.0
    _, gradient = value_and_gradient(made(name, 1, change), logits, targets)
    assert gradient[0] < 0 < gradient[1]


@every_change
@every_loss
def test_a_saved_loss_goes_on_equal(name: str, change: dict[str, str]) -> None:
    loss, fresh = made(name, 3, change), make_loss(TrainConfig(loss=name, **change), 3)
    for seed in range(3):
        loss(*batch(3, seed=seed))
    fresh.load_state_dict(deepcopy(loss.state_dict()))
    later = batch(3, seed=9)
    assert torch.equal(loss(*later), fresh(*later))


@every_change
@every_loss
def test_it_learns_nothing_from_batches_in_evaluation_mode(name: str, change: dict[str, str]) -> None:
    """The second pass of a step over the same batch must not count it twice."""
    loss = made(name, 2, change)
    loss(*batch(2))
    before = deepcopy(loss.state_dict())
    loss.eval()(*batch(2, seed=1))
    assert all(torch.equal(before[key], value) for key, value in loss.state_dict().items())
