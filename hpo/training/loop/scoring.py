"""Score images by a network: the one way in which validation, test and exported networks do."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hpo.training.inputs.preprocessing import Inputs
from hpo.training.inputs.views import average_views
from hpo.training.machine.failure import TrainingFailure

SCORING_BATCH = {2: 512, 3: 32}
"""Images scored at a time, of edges up to 28; of larger ones as many as have the same number of pixels."""

_EDGE = 28


def scoring_rows(dimensions: int, edge: int) -> int:
    """Return the number of images scored at a time."""
    return max(1, int(SCORING_BATCH[dimensions] * min(1.0, (_EDGE / edge) ** dimensions)))


def score_images(
    network: nn.Module, images: Tensor, inputs: Inputs, autocast: Callable[[], AbstractContextManager[object]]
) -> Generator[None, None, NDArray[np.float32]]:
    """Return the logits, (N, L), of (N, C, ...) uint8 images on the network's device, in evaluation mode.

    Raises TrainingFailure if one is not finite.
    """
    network.eval()
    parts = []
    for part in torch.split(images, scoring_rows(images.dim() - 2, max(images.shape[2:]))):
        parts.append((yield from score_batch(network, part, inputs, autocast)))
    scores: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
    if not np.isfinite(scores).all():
        raise TrainingFailure("diverged", f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores not finite")
    return scores


def logits_of(
    network: nn.Module, batches: Iterable[Tensor], labels: int, autocast: Callable[[], AbstractContextManager[object]]
) -> Generator[None, None, NDArray[np.float32]]:
    """Return the logits, (N, labels), of batches of a network's input, in evaluation mode; there may be none."""
    parts = [np.empty((0, labels), dtype=np.float32)]
    for batch in batches:
        network.eval()
        with torch.inference_mode(), autocast():
            parts.append(network(batch).float().cpu().numpy())
        yield
    return np.concatenate(parts)


def score_batch(
    network: nn.Module, images: Tensor, inputs: Inputs, autocast: Callable[[], AbstractContextManager[object]]
) -> Generator[None, None, Tensor]:
    """Return the float32 logits, (B, L), of a batch, averaged over its views; yields after each.

    One view is in memory at a time, so that more of them take time and no memory.

    Args:
        network: in evaluation mode.
        images: (B, C, ...) uint8 on the network's device.
        autocast: the context of each forward pass.
    """
    logits = []
    for view in inputs.views:
        with torch.inference_mode(), autocast():
            logits.append(network(inputs.for_scoring(view(images))).float())
        yield
    with torch.inference_mode():
        return average_views(logits, inputs.tta_average)
