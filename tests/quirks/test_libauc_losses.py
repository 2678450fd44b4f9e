"""What LibAUC 2.0.1's losses do that `hpo.training.optim.losses` does not.

A test that fails here is a work-around to drop.
"""

from __future__ import annotations

import warnings

import pytest
import torch
from libauc.losses import AUCMLoss as LibAUCMLoss
from libauc.losses import MultiLabelAUCMLoss

from hpo.training.optim.losses.aucm import AUCMLoss

CPU = torch.device("cpu")
SCORES = torch.tensor([[0.9], [0.6], [0.4], [0.2]])
LABELS = torch.tensor([[1.0], [1.0], [0.0], [0.0]])


def test_v2_halves_the_negative_term_in_a_balanced_batch_by_a_misplaced_parenthesis() -> None:
    """mean(s0 - mean(s1)) over the non-zero entries of 4, instead of mean(s0) - mean(s1).

    E1 = 0.75, E0 = 0.3. Docstring: 2 alpha (1 + 0.3 - 0.75) = 1.1 alpha. Code: entries 0 - .75, 0 - .75, .4 - .75,
    .2 - .75, sum -2.4, over 4: -0.6; 2 alpha (1 - 0.6) = 0.8 alpha.
    """
    theirs = LibAUCMLoss(version="v2", device=CPU)
    ours = AUCMLoss(1, 1.0, "v2")
    slopes = []
    for loss, scores in ((theirs, SCORES), (ours, torch.logit(SCORES))):
        loss(scores, LABELS).sum().backward()
        slopes.append(loss.alpha.grad.item())
    assert slopes == pytest.approx([0.8, 1.1])


def test_v2_is_nan_in_a_batch_without_positives() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.isnan(LibAUCMLoss(version="v2", device=CPU)(SCORES, torch.zeros(4, 1))).all()


def test_v1_overwrites_a_given_imratio_by_the_batchs_unless_auto_is_false() -> None:
    loss = LibAUCMLoss(imratio=0.1, device=CPU)
    loss(SCORES, LABELS, auto=False)
    assert loss.p == 0.1
    loss(SCORES, LABELS)
    assert float(loss.p) == 0.5


def test_labels_between_zero_and_one_count_for_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert LibAUCMLoss(device=CPU)(SCORES, torch.full((4, 1), 0.5)).item() == 0.0


def test_two_columns_of_scores_are_accepted_without_a_word() -> None:
    assert torch.isfinite(LibAUCMLoss(device=CPU)(torch.cat([SCORES, 1 - SCORES], 1), LABELS)).all()


def test_margin_has_no_gradient_to_the_weights() -> None:
    gradients = []
    for margin in (0.1, 1.0):
        scores = SCORES.clone().requires_grad_()
        loss = LibAUCMLoss(margin=margin, device=CPU)
        torch.nn.init.constant_(loss.alpha, 0.5)
        loss(scores, LABELS).sum().backward()
        gradients.append(scores.grad)
    assert torch.equal(*gradients)


def test_the_multi_label_loss_saves_nothing() -> None:
    assert dict(MultiLabelAUCMLoss(num_labels=3, device=CPU).state_dict()) == {}


def test_the_multi_label_v2_is_nan_for_a_label_without_positives() -> None:
    labels = torch.cat([LABELS, torch.zeros(4, 1)], 1)
    loss = MultiLabelAUCMLoss(num_labels=2, version="v2", device=CPU)
    assert torch.isnan(loss(torch.cat([SCORES, SCORES], 1), labels)).all()
    logits = torch.logit(torch.cat([SCORES, SCORES], 1))
    assert torch.isfinite(AUCMLoss(2, 1.0, "v2")(logits, labels)).all()
