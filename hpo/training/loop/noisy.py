"""Leave out of training the samples that it disagrees with: of a large loss, or a small area under the margin."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hpo.study.config import TrainConfig
from hpo.training.state import StateDict

_NEWEST = 0.5
"""Weight of the newest epoch in the running mean of losses."""


class NoisySamples:
    """What training has shown of each sample of a training set, and which are left out for it.

    After each epoch a sample has a margin, its logit towards its own label, z for 1 and -z for 0, in the batches of
    that epoch, the mean over labels and occurrences; its cross-entropy is that of the same logits. A loss that has no
    value for one sample, such as AUCM, thus needs none. Under mixup and cutmix a logit is of the mixture that
    the sample was trained in. What was left out is scored once after the epoch, so that it can come back.

    - loss: running mean of the cross-entropy, from the first value on. Han et al. 2018, arXiv 1804.06872, which keeps
      the samples of small loss in each batch, not epoch.
    - margin: the margin's mean over all epochs so far. Pleiss et al. 2020, arXiv 2001.10528, which removes what lies
      below the margin of samples with a wrong label made for it, not a share.

    The share is left out of each class, so that the rarer one is not lost. Equal samples are left out by their numbers.

    Args:
        samples: (n,) sample numbers of the training set, sorted.
        labels: (n, L) of these samples.
        epochs: of the run.
    """

    def __init__(self, config: TrainConfig, samples: NDArray[np.int64], labels: NDArray[np.uint8], epochs: int) -> None:
        self._rule, self._share = config.noisy_samples, config.noisy_share
        self._samples, self._signs = samples, labels.astype(np.float64) * 2 - 1
        self._classes = labels.any(axis=1)
        self._first = max(1, round(config.noisy_start * epochs))
        # Larger is worse; nan for samples that were in no batch yet.
        self._badness = np.full(len(samples), np.nan)
        self._epochs_seen = np.zeros(len(samples), dtype=np.int64)

    @property
    def is_off(self) -> bool:
        """Return whether no sample is ever left out."""
        return self._rule == "none"

    def left_out(self, epoch: int) -> NDArray[np.int64]:
        """Return the sample numbers that are left out of an epoch, counted from 0; the statistics decide alone."""
        if self.is_off or epoch < self._first:
            return self._samples[:0]
        worst = [self._worst(np.flatnonzero(self._classes == is_positive)) for is_positive in (False, True)]
        return self._samples[np.sort(np.concatenate(worst))]

    def kept(self, epoch: int) -> NDArray[np.int64]:
        """Return the sample numbers to draw the batches of an epoch from."""
        return self._samples if self.is_off else np.setdiff1d(self._samples, self.left_out(epoch))

    def end_epoch(
        self, epoch: int, samples: NDArray[np.int64], logits: NDArray[np.float32], of_left_out: NDArray[np.float32]
    ) -> None:
        """Take in an epoch.

        Args:
            samples: (m,) sample numbers as they were trained on, with repetitions.
            logits: (m, L) of each, in training.
            of_left_out: (k, L) of the samples that were left out.
        """
        if not self.is_off:
            left_out = self.left_out(epoch)
            self.observe(np.concatenate([samples, left_out]), np.concatenate([logits, of_left_out]))

    def observe(self, samples: NDArray[np.int64], logits: NDArray[np.float32]) -> None:
        """Take in (m, L) logits of (m,) sample numbers, those of one epoch, with repetitions."""
        if self.is_off:
            return
        place = np.searchsorted(self._samples, samples)
        margins = self._signs[place] * logits
        values = np.logaddexp(0.0, -margins) if self._rule == "loss" else -margins
        times = np.bincount(place, minlength=len(self._samples))
        sums = np.bincount(place, values.mean(axis=1), len(self._samples))
        seen = np.flatnonzero(times)
        self._epochs_seen[seen] += 1
        step = np.full(seen.size, _NEWEST) if self._rule == "loss" else 1 / self._epochs_seen[seen]
        before = np.where(self._epochs_seen[seen] == 1, 0.0, self._badness[seen])
        step[self._epochs_seen[seen] == 1] = 1.0
        self._badness[seen] = before + step * (sums[seen] / times[seen] - before)

    def state_dict(self) -> StateDict:
        """Return the statistics; empty if none are kept."""
        if self.is_off:
            return {}
        return {"badness": torch.from_numpy(self._badness), "epochs_seen": torch.from_numpy(self._epochs_seen)}

    def load_state_dict(self, state: StateDict) -> None:
        """Copy the statistics of the same training set."""
        if not self.is_off:
            self._badness, self._epochs_seen = (state[name].numpy().copy() for name in ("badness", "epochs_seen"))

    def _worst(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places of the worst share of one class."""
        known = places[~np.isnan(self._badness[places])]
        count = int(self._share * places.size)
        worst: NDArray[np.int64] = known[np.argsort(-self._badness[known], kind="stable")[:count]]
        return worst
