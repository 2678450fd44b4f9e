"""Scores of logits, and their gradients."""

from __future__ import annotations

import pytest
import torch

from hpo.study.config import TrainConfig
from hpo.training.optim.losses.aucm import AUCMLoss
from hpo.training.optim.losses.factory import make_loss
from hpo.training.optim.losses.scores import Scores


def logits(seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(64, 2, generator=random) + torch.tensor([1.0, -5.0])).requires_grad_()


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_sigmoid_and_tanh_are_those_of_the_logits_over_the_temperature(temperature: float) -> None:
    z = logits()
    for scale, function in (("sigmoid", torch.sigmoid), ("tanh", torch.tanh)):
        torch.testing.assert_close(Scores(scale, temperature)(z), function(z / temperature))


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_their_gradients_are_the_derivatives(temperature: float) -> None:
    z = logits()
    s = torch.sigmoid(z.detach() / temperature)
    t = torch.tanh(z.detach() / temperature)
    for scale, slope in (("sigmoid", s * (1 - s)), ("tanh", 1 - t**2)):
        (gradient,) = torch.autograd.grad(Scores(scale, temperature)(z).sum(), z)
        torch.testing.assert_close(gradient, slope / temperature)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_standardised_scores_have_mean_0_and_a_deviation_of_1_over_the_temperature(temperature: float) -> None:
    z, scores = logits(), Scores("standardised", temperature, 2)
    s = scores(z)
    torch.testing.assert_close(s.mean(0), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(s.std(0, unbiased=False), torch.full((2,), 1 / temperature), rtol=1e-4, atol=0)


def test_no_gradient_goes_through_the_mean_and_the_deviation() -> None:
    """Through them the gradient of the sum would be 0; without, it is 1 / deviation for every logit."""
    z, scores = logits(), Scores("standardised", 1.0, 2)
    (gradient,) = torch.autograd.grad(scores(z).sum(), z)
    torch.testing.assert_close(gradient, (1 / z.detach().std(0, unbiased=False)).expand(64, 2), rtol=1e-4, atol=0)


def test_standardised_scores_do_not_depend_on_the_scale_of_the_logits() -> None:
    one, hundred = (Scores("standardised", 1.0, 2)(factor * logits()) for factor in (1, 100))
    torch.testing.assert_close(one, hundred, rtol=1e-3, atol=1e-4)


def test_mean_and_deviation_follow_the_batches_by_a_tenth() -> None:
    scores = Scores("standardised", 1.0, 2)
    first, second = logits(0).detach(), logits(1).detach()
    scores(first), scores(second)
    mean = 0.9 * first.mean(0) + 0.1 * second.mean(0)
    square = 0.9 * (first**2).mean(0) + 0.1 * (second**2).mean(0)
    torch.testing.assert_close(scores.mean, mean)
    torch.testing.assert_close(scores.deviation(), (square - mean**2).sqrt())


def test_equal_logits_give_finite_scores() -> None:
    assert torch.isfinite(Scores("standardised", 1.0, 1)(torch.full((8, 1), 2.0))).all()


def test_the_default_keeps_no_state_and_is_the_sigmoid_bit_for_bit() -> None:
    z = logits()
    loss = make_loss(TrainConfig(), 2)
    assert isinstance(loss, AUCMLoss)
    assert set(loss.state_dict()) == {"a", "b", "alpha"}
    assert torch.equal(loss.scores(z), torch.sigmoid(z))


def test_with_standardised_scores_the_margin_is_in_standard_deviations() -> None:
    """Class means 2 apart at a deviation of 2 are a gap of 1: nothing is missing at margin 1, half at margin 1.5."""
    z = torch.tensor([[-3.0], [-1.0], [1.0], [3.0]])
    targets = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    gap = 4 / z.std(0, unbiased=False).item()
    loss = AUCMLoss(1, 1.0, "v2", "running", Scores("standardised", gap, 1))
    loss(z, targets)
    assert loss.alpha.item() == pytest.approx(0.0, abs=1e-5)
    wider = AUCMLoss(1, 1.0, "v2", "running", Scores("standardised", 2 * gap, 1))
    wider(z, targets)
    assert wider.alpha.item() == pytest.approx(0.5, rel=1e-5)
