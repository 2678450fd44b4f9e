"""Label smoothing, focal loss, and cross-entropy together with AUCM."""

from __future__ import annotations

import pytest
import torch
from libauc.losses import FocalLoss as LibAUCFocalLoss
from torch import Tensor
from torch.nn import functional as F

from hpo.study.config import TrainConfig
from hpo.training.optim.losses.aucm import AUCMLoss
from hpo.training.optim.losses.cross_entropy import CrossEntropyLoss, FocalLoss
from hpo.training.optim.losses.factory import make_loss
from hpo.training.optim.losses.joint import JointLoss


def batch(labels: int = 1) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    targets = (torch.rand(32, labels, generator=random) < 0.3).float()
    return torch.randn(32, labels, generator=random).requires_grad_(), targets


def gradient(loss: Tensor, of: Tensor) -> Tensor:
    return torch.autograd.grad(loss, of, retain_graph=True)[0]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_label_smoothing_is_pytorchs_for_two_classes(smoothing: float) -> None:
    logits, targets = batch()
    two = torch.cat([torch.zeros_like(logits), logits], dim=1)
    expected = F.cross_entropy(two, targets[:, 0].long(), label_smoothing=smoothing)
    torch.testing.assert_close(CrossEntropyLoss(smoothing)(logits, targets), expected)


def test_without_smoothing_the_targets_are_passed_on_as_they_are() -> None:
    logits, targets = batch(3)
    assert torch.equal(CrossEntropyLoss()(logits, targets), F.binary_cross_entropy_with_logits(logits, targets))


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_loss_is_libaucs_without_its_balance(gamma: float) -> None:
    logits, targets = batch()
    ours, theirs = FocalLoss(gamma)(logits, targets), LibAUCFocalLoss(0.5, gamma, torch.device("cpu"))(logits, targets)
    torch.testing.assert_close(ours, 2 * theirs, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(gradient(ours, logits), 2 * gradient(theirs, logits), rtol=1e-4, atol=1e-7)


def test_focal_loss_with_gamma_0_is_cross_entropy_also_of_soft_targets() -> None:
    logits, targets = batch(2)
    soft = 0.8 * targets + 0.2 * targets.roll(1, 0)
    torch.testing.assert_close(FocalLoss(0.0, 0.1)(logits, soft), CrossEntropyLoss(0.1)(logits, soft))


@pytest.mark.parametrize("gamma", [0.3, 2.0])
def test_focal_loss_has_a_finite_gradient_at_any_logit(gamma: float) -> None:
    logits = torch.tensor([[-200.0], [200.0], [-200.0], [200.0]], requires_grad=True)
    targets = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    assert torch.isfinite(gradient(FocalLoss(gamma)(logits, targets), logits)).all()


@pytest.mark.parametrize("means", ["learned", "running"])
@pytest.mark.parametrize("weight", [0.0, 0.3, 0.9])
def test_joint_is_the_weighted_sum_of_both_in_value_and_gradient(weight: float, means: str) -> None:
    logits, targets = batch(3)
    config = TrainConfig(loss="joint", cross_entropy_weight=weight, class_means=means, margin=0.7, label_smoothing=0.1)
    loss = make_loss(config, 3)
    aucm, entropy = AUCMLoss(3, 0.7, "v2", means), CrossEntropyLoss(0.1)
    assert isinstance(loss, JointLoss)
    with torch.no_grad():
        loss.aucm.alpha.fill_(0.4), aucm.alpha.fill_(0.4)
    value, parts = loss(logits, targets), (aucm(logits, targets), entropy(logits, targets))
    torch.testing.assert_close(value, (1 - weight) * parts[0] + weight * parts[1])
    torch.testing.assert_close(
        gradient(value, logits), (1 - weight) * gradient(parts[0], logits) + weight * gradient(parts[1], logits)
    )


@pytest.mark.parametrize("weight", [0.0, 0.9])
def test_joint_moves_a_and_b_as_fast_as_aucm_alone(weight: float) -> None:
    logits, targets = batch(3)
    loss = make_loss(TrainConfig(loss="joint", cross_entropy_weight=weight, margin=0.7), 3)
    alone = AUCMLoss(3, 0.7, "v2")
    assert isinstance(loss, JointLoss)
    value, expected = loss(logits, targets), alone(logits, targets)
    own, of_aucm = loss.dual_variables(), loss.aucm.dual_variables()
    # Not `==` of both, which from Python 3.13 on compares the elements of tensors even where both are the same tensor.
    assert own.a is of_aucm.a
    assert own.b is of_aucm.b
    assert own.alpha is of_aucm.alpha
    assert own.margin == of_aucm.margin
    torch.testing.assert_close(gradient(value, loss.aucm.a), gradient(expected, alone.a))
    torch.testing.assert_close(gradient(value, loss.aucm.b), gradient(expected, alone.b))


def test_settings_of_cross_entropy_reach_the_losses_that_have_it() -> None:
    for name in ("cross_entropy", "focal", "joint", "compositional"):
        assert TrainConfig(loss=name).has_effect("label_smoothing")
    assert not TrainConfig(loss="aucm_v1").has_effect("label_smoothing")
    focal = make_loss(TrainConfig(loss="focal", focal_gamma=3.0, label_smoothing=0.2), 1)
    assert isinstance(focal, FocalLoss)
    assert (focal.gamma, focal.smoothing) == (3.0, 0.2)
