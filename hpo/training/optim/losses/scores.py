"""Map logits to the scores in whose units a margin is given."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hpo.study.config import ScoreScale, TrainConfig

_SHARE_OF_BATCH = 0.1
"""Step size of running mean and deviation towards a batch's; the first batch initialises them."""

_LEAST_VARIANCE = 1e-6


def make_scores(config: TrainConfig, labels: int) -> Scores:
    """Make the map of a configuration for `labels` columns."""
    return Scores(config.score_scale, config.score_temperature, labels)


class Scores(nn.Module):
    """Scores of logits z at temperature t: sigmoid(z / t), tanh(z / t), or (z - mean) / (t deviation).

    A sigmoid's scores lie in [0, 1], so that a margin of 1 cannot be reached, and how far a given one is depends on the
    scale of the logits. tanh has the range [-1, 1]. Standardised scores have no bound, and a margin is so many standard
    deviations, whatever the scale of the logits: mean and deviation are those of each label's logits over the last
    batches, all classes together, and carry no gradient, which is 1 / (t deviation).

    They follow the batches in training mode only; no synchronisation with the device.
    """

    mean: Tensor
    square: Tensor
    seen: Tensor

    def __init__(self, scale: ScoreScale = "sigmoid", temperature: float = 1.0, labels: int = 1) -> None:
        super().__init__()
        self.scale, self.temperature = scale, temperature
        if scale == "standardised":
            for name in ("mean", "square", "seen"):
                self.register_buffer(name, torch.zeros(labels))

    def forward(self, logits: Tensor) -> Tensor:
        """Map (B, L) logits of any float type to (B, L) float32 scores."""
        logits = logits.float()
        if self.scale == "standardised":
            if self.training:
                self._follow(logits.detach())
            logits = (logits - self.mean) / self.deviation()
        if self.temperature != 1:
            logits = logits / self.temperature
        if self.scale == "standardised":
            return logits
        return torch.sigmoid(logits) if self.scale == "sigmoid" else torch.tanh(logits)

    def deviation(self) -> Tensor:
        """Return the running standard deviation of each label's logits, (L,)."""
        return (self.square - self.mean**2).clamp(min=_LEAST_VARIANCE).sqrt()

    @torch.no_grad()
    def _follow(self, logits: Tensor) -> None:
        share = torch.where(self.seen > 0, _SHARE_OF_BATCH, 1.0)
        self.mean.add_(share * (logits.mean(0) - self.mean))
        self.square.add_(share * ((logits**2).mean(0) - self.square))
        self.seen.fill_(1)
