"""Losses over pairs, against their formulas and LibAUC's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from libauc.losses import PairwiseAUCLoss, pAUC_CVaR_Loss, pAUC_DRO_Loss
from torch import Tensor

from hpo.study.config import TrainConfig
from hpo.training.optim.losses.factory import make_loss
from hpo.training.optim.losses.pairs import PairLoss, PartialAUCLoss

CPU = torch.device("cpu")


def batch(positives: int = 9, negatives: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    targets = torch.cat([torch.ones(positives, 1), torch.zeros(negatives, 1)])
    return (torch.randn(len(targets), 1, generator=random) + targets).requires_grad_(), targets


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("margin", [0.0, 0.4, 1.0])
def test_pairwise_is_libaucs_squared_hinge(margin: float) -> None:
    logits, targets = batch()
    ours = PairLoss(margin)(logits, targets)
    theirs = PairwiseAUCLoss("squared_hinge", margin)(torch.sigmoid(logits), targets)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, logits), gradient(theirs, logits))


def test_a_pair_of_soft_targets_counts_by_the_product_of_its_weights() -> None:
    logits, _ = batch(4, 4)
    targets = torch.tensor([[1.0], [0.8], [0.3], [0.0], [0.5], [0.1], [0.9], [0.0]])
    s, y = torch.sigmoid(logits.detach()).double().numpy()[:, 0], targets.double().numpy()[:, 0]
    weights = np.outer(y, 1 - y)
    expected = (weights * np.maximum(0, 0.8 - (s[:, None] - s[None])) ** 2).sum() / weights.sum()
    assert PairLoss(0.8)(logits, targets).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.33, 0.7])
def test_cvar_is_the_least_value_over_its_threshold(share: float) -> None:
    """As the source defines it: min over t_i of t_i + mean_j max(0, l_ij - t_i) / share, here on a grid of every l."""
    logits, targets = batch()
    s = torch.sigmoid(logits.detach()).double().numpy()[:, 0]
    losses = np.maximum(0, 0.9 - (s[:9, None] - s[None, 9:])) ** 2
    thresholds = np.concatenate([losses, np.zeros((9, 1))], axis=1)
    values = thresholds + np.maximum(0, losses[:, None] - thresholds[:, :, None]).mean(2) / share
    loss = PartialAUCLoss(0.9, "cvar", share)(logits, targets).item()
    assert loss == pytest.approx(values.min(1).mean(), rel=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_cvar_has_libaucs_gradient_where_its_thresholds_are_the_quantiles(share: float) -> None:
    logits, targets = batch()
    theirs = pAUC_CVaR_Loss(len(logits), 9, margin=0.9, beta=share, eta=0.0, device=CPU)
    with torch.no_grad():
        s = torch.sigmoid(logits)[:, 0]
        losses = (0.9 - (s[:9, None] - s[None, 9:])).clamp(min=0) ** 2
        theirs.u_pos[:9, 0] = losses.sort(1, descending=True).values[:, round(share * 20)]
    expected = gradient(theirs(torch.sigmoid(logits), targets, torch.arange(len(logits))), logits)
    torch.testing.assert_close(gradient(PartialAUCLoss(0.9, "cvar", share)(logits, targets), logits), expected)


def test_cvar_over_all_negatives_is_pairwise() -> None:
    logits, targets = batch()
    ours, pairwise = PartialAUCLoss(0.9, "cvar", 1.0)(logits, targets), PairLoss(0.9)(logits, targets)
    torch.testing.assert_close(ours, pairwise)
    torch.testing.assert_close(gradient(ours, logits), gradient(pairwise, logits))


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_dro_is_its_formula_and_has_libaucs_gradient_where_its_averages_are_those_of_the_batch(
    temperature: float,
) -> None:
    logits, targets = batch()
    ours = PartialAUCLoss(0.9, "dro", temperature)(logits, targets)
    s = torch.sigmoid(logits.detach()).double().numpy()[:, 0]
    losses = np.maximum(0, 0.9 - (s[:9, None] - s[None, 9:])) ** 2
    expected = (temperature * np.log(np.exp(losses / temperature).mean(1))).mean()
    assert ours.item() == pytest.approx(expected, rel=1e-5)
    theirs = pAUC_DRO_Loss(len(logits), gamma=1.0, margin=0.9, Lambda=temperature, device=CPU)
    value = theirs(torch.sigmoid(logits), targets, torch.arange(len(logits)))
    torch.testing.assert_close(gradient(ours, logits), gradient(value, logits), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("form", "amount"), [("cvar", 0.3), ("dro", 0.5)])
def test_a_soft_negative_counts_as_two_halves(form: str, amount: float) -> None:
    logits = torch.tensor([[0.3], [0.9], [-1.0], [-1.0], [2.0]])
    hard = torch.tensor([[1.0], [0.0], [1.0], [0.0], [0.0]])
    soft = torch.tensor([[1.0], [0.0], [0.5], [0.5], [0.0]])
    loss = PartialAUCLoss(0.9, form, amount)
    torch.testing.assert_close(loss(logits, soft), loss(logits, hard))


def test_settings_choose_form_share_and_temperature() -> None:
    cvar = make_loss(TrainConfig(loss="pauc", pauc_share=0.4, margin=0.5), 1)
    dro = make_loss(TrainConfig(loss="pauc", pauc_form="dro", pauc_temperature=3.0), 1)
    assert isinstance(cvar, PartialAUCLoss)
    assert isinstance(dro, PartialAUCLoss)
    assert (cvar.form, cvar.amount, cvar.margin) == ("cvar", 0.4, 0.5)
    assert (dro.form, dro.amount) == ("dro", 3.0)
    assert TrainConfig(loss="pauc").has_effect("pauc_share")
    assert not TrainConfig(loss="pauc").has_effect("pauc_temperature")
    assert not TrainConfig(loss="pairwise").has_effect("pauc_share")
