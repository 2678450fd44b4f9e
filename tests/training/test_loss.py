"""AUCM in two versions and cross-entropy, against LibAUC and against the formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from libauc.losses import AUCMLoss as LibAUCMLoss
from torch import Tensor

from hpo.study.config import TrainConfig
from hpo.training.optim.losses.aucm import AUCMLoss
from hpo.training.optim.losses.cross_entropy import CrossEntropyLoss
from hpo.training.optim.losses.factory import make_loss
from hpo.training.optim.losses.minmax import MinMaxLoss


def logits_and_labels(rows: int, labels: int = 1, share: float = 0.3, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, labels, generator=random, dtype=torch.float32)
    targets = (torch.rand(rows, labels, generator=random) < share).float()
    targets[0], targets[1] = 1.0, 0.0
    return logits.requires_grad_(), targets


def with_state(loss: AUCMLoss, a: float = 0.6, b: float = 0.3, alpha: float = 0.4) -> AUCMLoss:
    with torch.no_grad():
        loss.a.fill_(a), loss.b.fill_(b), loss.alpha.fill_(alpha)
    return loss


@pytest.mark.parametrize("margin", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_v1_of_one_label_equals_libauc_in_value_and_all_gradients(margin: float, seed: int) -> None:
    logits, targets = logits_and_labels(32, seed=seed)
    ours = with_state(AUCMLoss(1, margin, "v1"))
    theirs = LibAUCMLoss(margin=margin, device=torch.device("cpu"))
    theirs.load_state_dict({name: value.clone() for name, value in ours.state_dict().items()})
    value = ours(logits, targets)
    value.backward()
    gradients = [logits.grad, ours.a.grad, ours.b.grad, ours.alpha.grad]
    again = logits.detach().clone().requires_grad_()
    expected = theirs(torch.sigmoid(again), targets)
    expected.sum().backward()
    torch.testing.assert_close(value, expected.squeeze())
    for ours_is, theirs_is in zip(
        gradients, [again.grad, theirs.a.grad, theirs.b.grad, theirs.alpha.grad], strict=True
    ):
        torch.testing.assert_close(ours_is, theirs_is, rtol=1e-5, atol=1e-7)


def test_v2_is_the_formula_of_libaucs_docstring() -> None:
    logits, targets = logits_and_labels(40)
    loss = with_state(AUCMLoss(1, 0.8, "v2"))
    s, y = torch.sigmoid(logits.detach()).double().numpy(), targets.numpy() == 1
    a, b, alpha = 0.6, 0.3, 0.4
    expected = (
        ((s[y] - a) ** 2).mean() + ((s[~y] - b) ** 2).mean() + 2 * alpha * (0.8 + s[~y].mean() - s[y].mean()) - alpha**2
    )
    assert loss(logits, targets).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_labels_are_averaged_and_a_and_b_move_as_fast_as_alone(version: str) -> None:
    logits, targets = logits_and_labels(64, labels=3)
    together = with_state(AUCMLoss(3, 1.0, version))
    together(logits, targets).backward()
    values, slopes = [], []
    for label in range(3):
        alone = with_state(AUCMLoss(1, 1.0, version))
        value = alone(logits.detach()[:, label : label + 1], targets[:, label : label + 1])
        value.backward()
        values.append(value.item())
        slopes.append(alone.a.grad.item())
    assert together(logits, targets).item() == pytest.approx(np.mean(values), rel=1e-5)
    np.testing.assert_allclose(together.a.grad.numpy(), slopes, rtol=1e-5)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("only", [0.0, 1.0])
def test_a_batch_without_a_class_gives_finite_values_and_gradients(version: str, only: float) -> None:
    logits, targets = logits_and_labels(16, labels=2)
    targets[:, 0] = only
    loss = with_state(AUCMLoss(2, 1.0, version))
    value = loss(logits, targets)
    value.backward()
    for tensor in (value, logits.grad, loss.a.grad, loss.b.grad):
        assert torch.isfinite(tensor).all()
    absent = loss.a if only == 0 else loss.b
    assert absent.grad[0] == 0


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_soft_label_counts_as_a_positive_and_a_negative_by_its_weight(version: str) -> None:
    """Three rows of one image as positive and one as negative equal four rows of label 0.75."""
    logits = torch.tensor([[0.3], [0.3], [0.3], [0.3], [-1.0], [2.0]])
    hard = torch.tensor([[1.0], [1.0], [1.0], [0.0], [0.0], [1.0]])
    soft = torch.tensor([[0.75], [0.75], [0.75], [0.75], [0.0], [1.0]])
    loss = with_state(AUCMLoss(1, 1.0, version))
    torch.testing.assert_close(loss(logits, soft), loss(logits, hard))


def test_a_b_and_alpha_are_saved() -> None:
    saved = with_state(AUCMLoss(14, 1.0, "v1")).state_dict()
    fresh = AUCMLoss(14, 1.0, "v1")
    fresh.load_state_dict(saved)
    assert {name: value[0].item() for name, value in fresh.state_dict().items()} == pytest.approx(
        {"a": 0.6, "b": 0.3, "alpha": 0.4}
    )


def test_bf16_logits_are_scored_in_float32() -> None:
    logits, targets = logits_and_labels(16)
    assert AUCMLoss(1, 1.0, "v1")(logits.bfloat16(), targets).dtype == torch.float32
    assert CrossEntropyLoss()(logits.bfloat16(), targets).dtype == torch.float32


def test_a_loss_is_found_by_its_name() -> None:
    assert isinstance(make_loss(TrainConfig(loss="cross_entropy"), 1), CrossEntropyLoss)
    for name in ("aucm_v1", "aucm_v2"):
        loss = make_loss(TrainConfig(loss=name, margin=0.5, class_means="running"), 2)
        assert isinstance(loss, AUCMLoss)
        assert (loss.version, loss.labels, loss.margin, loss.class_means) == (name[-2:], 2, 0.5, "running")


def test_a_loss_says_which_variables_an_optimizer_moves() -> None:
    learned, running = (AUCMLoss(1, 0.5, "v1", means) for means in ("learned", "running"))
    assert isinstance(learned, MinMaxLoss)
    assert not isinstance(CrossEntropyLoss(), MinMaxLoss)
    assert running.dual_variables() is None
    dual = learned.dual_variables()
    assert dual is not None
    assert (dual.a, dual.alpha, dual.margin) == (learned.a, learned.alpha, 0.5)


def test_running_class_means_start_as_those_of_the_first_batch() -> None:
    logits, targets = logits_and_labels(64, 3)
    loss = AUCMLoss(3, 0.8, "v2", "running")
    loss(logits, targets)
    scores = torch.sigmoid(logits.detach())
    for label in range(3):
        positive = targets[:, label] == 1
        assert loss.a[label].item() == pytest.approx(scores[positive, label].mean().item(), abs=1e-6)
        assert loss.b[label].item() == pytest.approx(scores[~positive, label].mean().item(), abs=1e-6)
    torch.testing.assert_close(loss.alpha.detach(), (0.8 + loss.b - loss.a).clamp(min=0).detach())


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.0])
def test_with_running_class_means_the_gradient_is_that_of_the_squared_margin(margin: float) -> None:
    """At the best a, b and alpha their own gradients are 0, so that the minimax loss has the gradient of its value."""
    logits, targets = logits_and_labels(64)
    (ours,) = torch.autograd.grad(AUCMLoss(1, margin, "v2", "running")(logits, targets), logits)
    scores = torch.sigmoid(logits)
    positive, negative = scores[targets == 1], scores[targets == 0]
    shortfall = torch.relu(margin + negative.mean() - positive.mean())
    value = positive.var(unbiased=False) + negative.var(unbiased=False) + shortfall**2
    (theirs,) = torch.autograd.grad(value, logits)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-8)


def test_v1_with_running_class_means_is_v2_times_the_shares_of_the_classes() -> None:
    logits, targets = logits_and_labels(64)
    p = targets.mean().item()
    first, second = (AUCMLoss(1, 0.7, version, "running")(logits, targets).item() for version in ("v1", "v2"))
    assert first == pytest.approx(p * (1 - p) * second, rel=1e-4)


def test_running_class_means_follow_and_a_batch_without_a_class_leaves_its_mean() -> None:
    loss = AUCMLoss(1, 1.0, "v2", "running")
    ones, zeros = torch.ones(4, 1), torch.zeros(4, 1)
    loss(torch.full((4, 1), 2.0), ones)
    assert loss.alpha.item() == 0.0  # no negatives seen yet: nothing is known of the gap
    start = loss.a.item()
    loss(torch.full((4, 1), -2.0), zeros)
    assert loss.a.item() == start
    assert loss.b.item() == pytest.approx(torch.sigmoid(torch.tensor(-2.0)).item())
    loss(torch.full((4, 1), -2.0), ones)
    low = torch.sigmoid(torch.tensor(-2.0)).item()
    assert loss.a.item() == pytest.approx(start + 0.1 * (low - start))
    assert loss.alpha.item() == pytest.approx(1 + loss.b.item() - loss.a.item())


def test_running_class_means_are_saved() -> None:
    logits, targets = logits_and_labels(16)
    loss, fresh = (AUCMLoss(1, 1.0, "v1", "running") for _ in range(2))
    loss(logits, targets)
    fresh.load_state_dict(loss.state_dict())
    other = logits.detach() + 1
    assert fresh(other, targets).item() == loss(other, targets).item()
