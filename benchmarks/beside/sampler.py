"""LibAUC's DualSampler, which does not import without torchvision, written again for one label."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


class DualSampler(Sampler[int]):
    """Row numbers so that each run of `batch` of them holds int(share * batch) positives, then the negatives.

    Each class is gone through in a random order, shuffled anew when it is used up, and its place is kept from epoch to
    epoch. labels: (n,) 0 or 1. batches: in an epoch; None is LibAUC's own, as many as go through one class whole.
    Source: libauc 2.0.1, sampler/sampler.py, with a generator of its own instead of numpy's global one.
    """

    def __init__(
        self, labels: NDArray[np.uint8], batch: int, share: float = 0.5, seed: int = 2023, batches: int | None = None
    ) -> None:
        self._random = np.random.default_rng(seed)
        positives = max(1, int(share * batch))
        self._counts = (positives, batch - positives)
        self._orders = [self._random.permutation(np.flatnonzero(labels == value)) for value in (1, 0)]
        self._places = [0, 0]
        own = max(len(order) // count for order, count in zip(self._orders, self._counts, strict=True))
        self._batches = own if batches is None else batches

    def __len__(self) -> int:
        return self._batches * sum(self._counts)

    def __iter__(self) -> Iterator[int]:
        for _ in range(self._batches):
            yield from self._take(0)
            yield from self._take(1)

    def _take(self, side: int) -> list[int]:
        taken: list[int] = []
        while len(taken) < self._counts[side]:
            if self._places[side] == len(self._orders[side]):
                self._random.shuffle(self._orders[side])
                self._places[side] = 0
            upto = self._places[side] + self._counts[side] - len(taken)
            taken += self._orders[side][self._places[side] : upto].tolist()
            self._places[side] = min(upto, len(self._orders[side]))
        return taken
