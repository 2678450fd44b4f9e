"""Out-of-fold scores with an AUC that is asked for, of samples that are as hard for every trial."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hpo.data.fold_scores import FoldScores

SAMPLES = 60
"""Number of samples of a fold, half of them positive."""

_SHARED = 0.7
"""Share of a score's variance that is the same for all trials."""


def make_scores(auc: float, seed: int, fold: int, samples: int = SAMPLES) -> FoldScores:
    """Make the scores of a fold.

    Args:
        auc: within half a pair of a positive and a negative of this, before scores are rounded.
        seed: of what is the trial's own.
        fold: its samples follow those of the fold before.
        samples: number of samples of each fold.
    """
    labels, noise, edges = _drawn(seed, fold, samples)
    shift = edges[round(min(max(auc, 0.0), 1.0) * (edges.size - 1))]
    logits = (noise + shift * labels).astype(np.float32)
    numbers = fold * samples + np.arange(samples, dtype=np.int64)
    return FoldScores(numbers, labels.astype(np.uint8)[:, None], logits[:, None])


@lru_cache(maxsize=64)
def _drawn(seed: int, fold: int, samples: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Draw what is the same at each epoch of a trial: (N,) labels, (N,) noise, (P + 1,) shifts that rank 0 to P pairs.

    They are shared, so they must not be changed.
    """
    labels = np.arange(samples) % 2
    common = np.random.default_rng(fold).normal(size=samples)
    own = np.random.default_rng([seed, fold]).normal(size=samples)
    noise = math.sqrt(_SHARED) * common + math.sqrt(1 - _SHARED) * own
    # A pair is ranked correctly if positives are moved by more than this.
    needed = np.sort(np.subtract.outer(noise[labels == 0], noise[labels == 1]), axis=None)
    edges = np.concatenate([[needed[0] - 1], (needed[1:] + needed[:-1]) / 2, [needed[-1] + 1]])
    return labels, noise, edges
