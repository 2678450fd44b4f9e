"""Squared hinge over the pairs of a batch: of all negatives, or of the hardest ones (partial AUC)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hpo.study.config import PartialAUC, TrainConfig
from hpo.training.optim.losses.scores import Scores, make_scores


def pairwise(config: TrainConfig, labels: int) -> PairLoss:
    """Make the loss over all pairs."""
    return PairLoss(config.margin, make_scores(config, labels))


def pauc(config: TrainConfig, labels: int) -> PartialAUCLoss:
    """Make the loss over the hardest negatives."""
    amount = config.pauc_share if config.pauc_form == "cvar" else config.pauc_temperature
    return PartialAUCLoss(config.margin, config.pauc_form, amount, make_scores(config, labels))


class PairLoss(nn.Module):
    """Mean over pairs of max(0, m - (s_i - s_j))^2, with m the margin and s the scores of positive i and negative j.

    Targets y may be soft: a pair counts by y_i (1 - y_j). The value is the mean over labels; a label without a pair in
    the batch adds 0. Takes (B, B, L) floats of memory a few times, and does not synchronise with the device.

    Source: Gao and Zhou 2015, arXiv 1208.0645; LibAUC's PairwiseAUCLoss.
    """

    def __init__(self, margin: float, scores: Scores | None = None) -> None:
        super().__init__()
        self.margin = margin
        self.scores = scores or Scores()

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Map (B, L) logits of any float type and (B, L) targets in [0, 1] to a float32 scalar."""
        scores, positive = self.scores(logits), targets.float()
        return self._mean(scores, positive, 1 - positive).mean()

    def _mean(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the weighted mean over pairs of each label, (L,)."""
        total = torch.einsum("ijl,il,jl->l", self._losses(scores), positive, negative)
        weight = positive.sum(0) * negative.sum(0)
        return total / torch.where(weight > 0, weight, 1.0)

    def _losses(self, scores: Tensor) -> Tensor:
        """Return the loss of each pair, (B, B, L)."""
        return (self.margin - (scores[:, None] - scores[None])).clamp(min=0) ** 2


class PartialAUCLoss(PairLoss):
    """Squared hinge over pairs in which a positive's hardest negatives count more: the AUC at few false positives.

    cvar: the mean over the share `amount` of the negatives with the highest scores, which are the hardest of every
        positive; the last of them in part. It is min over t of t + mean_j max(0, l_ij - t) / amount for each positive
        i, with l_ij the loss of a pair.
    dro: amount * log mean_j exp(l_ij / amount), the worst case over weights of negatives at a price of `amount` for
        their Kullback-Leibler divergence from equal ones.

    Both are exact in each batch. LibAUC keeps t, or the mean of the exponentials, for each positive sample over the
    batches (SOPA, SOPA-s); that needs the samples' numbers in the loss, has none for a sample that mixup made, and
    changes their meaning with augmentation. The price here: with few negatives in a batch its hardest share is milder
    than that of all negatives, since n of them resolve false-positive rates of 1 / n only.

    Source: Zhu et al. 2022, "When AUC meets DRO", ICML; LibAUC's pAUC_CVaR_Loss and pAUC_DRO_Loss.
    """

    def __init__(self, margin: float, form: PartialAUC, amount: float, scores: Scores | None = None) -> None:
        super().__init__(margin, scores)
        self.form, self.amount = form, amount

    def _mean(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        if self.form == "cvar":
            return super()._mean(scores, positive, _hardest(scores.detach(), negative, self.amount))
        negatives, positives = negative.sum(0), positive.sum(0)
        # Without a negative all logarithms would be infinite, and so the gradient not a number.
        shares = torch.where(negatives > 0, negative / negatives, 1.0)
        worst = self.amount * torch.logsumexp(self._losses(scores) / self.amount + shares.log(), dim=1)
        mean = (worst * positive).sum(0) / torch.where(positives > 0, positives, 1.0)
        return mean * (negatives > 0)


def _hardest(scores: Tensor, weights: Tensor, share: float) -> Tensor:
    """Return (B, L) weights that keep that share of each label's total for the highest scores, and 0 for the others."""
    order = scores.argsort(dim=0, descending=True, stable=True)
    sorted_weights = weights.gather(0, order)
    before = sorted_weights.cumsum(0) - sorted_weights
    kept = torch.minimum((share * weights.sum(0) - before).clamp(min=0), sorted_weights)
    return torch.zeros_like(weights).scatter(0, order, kept)
