"""AUCM: the AUC-margin loss in two versions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hpo.study.config import AUCMVersion, ClassMeans, TrainConfig
from hpo.training.optim.losses.minmax import ALPHA_MAX, DualVariables
from hpo.training.optim.losses.scores import Scores, make_scores

_SHARE_OF_BATCH = 0.1
"""Step size of running class means towards a batch's; the first batch of a class initialises them."""


def aucm_v1(config: TrainConfig, labels: int) -> AUCMLoss:
    """Make AUCM as LibAUC's code computes it."""
    return make_aucm(config, labels, "v1")


def aucm_v2(config: TrainConfig, labels: int) -> AUCMLoss:
    """Make AUCM by the formula of LibAUC's docstring."""
    return make_aucm(config, labels, "v2")


def make_aucm(config: TrainConfig, labels: int, version: AUCMVersion) -> AUCMLoss:
    """Make one version of AUCM for a configuration."""
    return AUCMLoss(labels, config.margin, version, config.class_means, make_scores(config, labels))


class AUCMLoss(nn.Module):
    """AUC-margin loss of scores (see `Scores`): min over weights, a, b and max over alpha >= 0, one each per label.

    With s = score, y in [0, 1] a sample's weight as positive and 1 - y as negative (y is soft after mixup),
    p = mean(y) of the batch, m = margin, E1 and E0 means over positives and negatives:

    v1: (1-p) mean(y (s-a)^2) + p mean((1-y) (s-b)^2) + 2 alpha (p(1-p) m + mean(p (1-y) s - (1-p) y s))
        - p(1-p) alpha^2
    v2: E1 (s-a)^2 + E0 (s-b)^2 + 2 alpha (m + E0 s - E1 s) - alpha^2

    For given weights the optimal a, b and alpha are E1 s, E0 s and m + b - a. With class_means = learned they are
    initialised to 0 and updated by the optimizer, as in LibAUC; at a small learning rate they lag behind the network
    for thousands of steps, in which the squared terms shrink all scores towards 0. With class_means = running they
    follow the batches here, before each loss in training mode, without a gradient; the loss is then the squared margin
    loss on expected scores, var1 + var0 + max(0, m + b - a)^2.

    v1 equals LibAUC 2.0.1 (`auto=True`); v2 is the formula of its docstring; its code misplaces a parenthesis.
    The value is the mean over labels. The gradients of a and b are multiplied by the number of labels, so that they
    follow their label's scores as fast as with a loss for that label alone. If a batch lacks a class of a label, the
    terms of that class vanish (v1: all terms). No synchronisation with the device.
    Source: Yuan et al. 2021, arXiv 2012.03173; LibAUC's docstring of AUCMLoss.
    """

    seen: Tensor

    def __init__(
        self,
        labels: int,
        margin: float,
        version: AUCMVersion,
        class_means: ClassMeans = "learned",
        scores: Scores | None = None,
    ) -> None:
        super().__init__()
        self.class_means = class_means
        learned = class_means == "learned"
        self.margin = margin
        self.version = version
        self.labels = labels
        self.scores = scores or Scores()
        self.a, self.b, self.alpha = (nn.Parameter(torch.zeros(labels), requires_grad=learned) for _ in range(3))
        if not learned:
            self.register_buffer("seen", torch.zeros(2, labels))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Map (B, L) logits of any float type and (B, L) targets in [0, 1] to a float32 scalar."""
        scores = self.scores(logits)
        positive = targets.float()
        negative = 1 - positive
        if self.class_means == "running" and self.training:
            self._follow(scores, positive, negative)
        a, b = self._full_gradient(self.a), self._full_gradient(self.b)
        terms = self._v1 if self.version == "v1" else self._v2
        return terms(scores, positive, negative, a, b).mean()

    def dual_variables(self) -> DualVariables | None:
        """Return a, b and alpha if the optimizer updates them."""
        return DualVariables(self.a, self.b, self.alpha, self.margin) if self.class_means == "learned" else None

    def _v1(self, scores: Tensor, positive: Tensor, negative: Tensor, a: Tensor, b: Tensor) -> Tensor:
        p = positive.mean(0)
        q = 1 - p
        squares = q * ((scores - a) ** 2 * positive).mean(0) + p * ((scores - b) ** 2 * negative).mean(0)
        gap = p * q * self.margin + (p * scores * negative - q * scores * positive).mean(0)
        return squares + 2 * self.alpha * gap - p * q * self.alpha**2

    def _v2(self, scores: Tensor, positive: Tensor, negative: Tensor, a: Tensor, b: Tensor) -> Tensor:
        positive = positive / _one_if_zero(positive.sum(0))
        negative = negative / _one_if_zero(negative.sum(0))
        squares = ((scores - a) ** 2 * positive + (scores - b) ** 2 * negative).sum(0)
        gap = self.margin + (scores * (negative - positive)).sum(0)
        return squares + 2 * self.alpha * gap - self.alpha**2

    @torch.no_grad()
    def _follow(self, scores: Tensor, positive: Tensor, negative: Tensor) -> None:
        """Move a and b towards a batch's class means, each if the batch has samples of its class, and set alpha."""
        for mean, seen, weights in zip((self.a, self.b), self.seen, (positive, negative), strict=True):
            total = weights.sum(0)
            there = (total > 0).float()
            share = there * torch.where(seen > 0, _SHARE_OF_BATCH, 1.0)
            mean.add_(share * ((scores * weights).sum(0) / _one_if_zero(total) - mean))
            seen.copy_(torch.maximum(seen, there))
        self.alpha.copy_((self.margin + self.b - self.a).clamp(0, ALPHA_MAX) * self.seen.prod(0))

    def _full_gradient(self, parameter: Tensor) -> Tensor:
        return parameter if self.labels == 1 else self.labels * parameter - (self.labels - 1) * parameter.detach()


def _one_if_zero(total: Tensor) -> Tensor:
    return torch.where(total > 0, total, torch.ones_like(total))
