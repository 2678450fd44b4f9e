"""`FoldScores`: the scores of one fold's validation part, and which of them are kept in the database.

These are out-of-fold scores: each sample is scored by a network that was not trained on it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.data.stratify import stratified_split

MOST_VALUES = 32_768
"""Largest number of scores (samples times labels) of a fold that are kept: 64 KiB in half precision."""

_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, eq=False)
class FoldScores:
    """Samples of a fold's validation part with their labels, and the scores of one network.

    Attributes:
        samples: (n,) int64, indices in the development set, ascending.
        labels: (n, L) uint8, 0 or 1.
        logits: (n, L) floats, larger means more positive.
    """

    samples: NDArray[np.int64]
    labels: NDArray[np.uint8]
    logits: NDArray[np.floating]

    def __post_init__(self) -> None:
        if self.labels.shape != self.logits.shape or self.samples.shape != self.labels.shape[:1]:
            shapes = f"{self.samples.shape}, {self.labels.shape}, {self.logits.shape}"
            raise ValueError(f"shapes of samples, labels and logits are {shapes}; must be (n,), (n, L) and (n, L)")

    def __eq__(self, other: object) -> bool:
        """Return whether samples, labels and scores are the same, to the last bit."""
        if not isinstance(other, FoldScores):
            return NotImplemented
        pairs = ((self.samples, other.samples), (self.labels, other.labels), (self.logits, other.logits))
        return all(np.array_equal(one, two) for one, two in pairs)

    __hash__ = None  # type: ignore[assignment]

    def kept(self) -> FoldScores:
        """Return what the database keeps: scores in half precision, of at most MOST_VALUES // L samples.

        Of more samples a stratified subset is kept. It depends on the validation part and its labels only, so it is the
        same for every trial that is scored on it, and at least one sample of each class of each label stays where it
        can. Half precision has 11 significant bits; larger numbers than it can hold are cut off.
        """
        count = len(self.samples)
        logits = np.clip(self.logits, -_LARGEST, _LARGEST).astype(np.float16)
        most = max(1, MOST_VALUES // self.labels.shape[1])
        if count <= most:
            return FoldScores(self.samples, self.labels, logits)
        generator = np.random.default_rng(np.random.SeedSequence(count, spawn_key=(int(self.samples[0]),)))
        part = stratified_split(self.labels, [most / count, 1 - most / count], generator)[0][:most]
        return FoldScores(self.samples[part], self.labels[part], logits[part])

    def digest(self) -> str:
        """Return a hash of the samples and their labels, 16 hexadecimal digits."""
        return hashlib.sha256(b"".join(self.encoded_samples())).hexdigest()[:16]

    def encoded_samples(self) -> tuple[bytes, bytes]:
        """Return the samples as little-endian int32, and their labels, a byte each, sample by sample."""
        return self.samples.astype("<i4").tobytes(), self.labels.astype(np.uint8).tobytes()

    def encoded_logits(self) -> bytes:
        """Return the scores as little-endian float16, sample by sample."""
        return self.logits.astype("<f2").tobytes()


def decode_samples(samples: bytes, labels: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Decode (n,) samples and (n, L) labels.

    Raises:
        ValueError: if their lengths do not fit together.
    """
    numbers = np.frombuffer(samples, "<i4").astype(np.int64)
    if not numbers.size or not labels or len(labels) % numbers.size:
        raise ValueError(f"{len(labels)} bytes of labels for {numbers.size} samples")
    return numbers, np.frombuffer(labels, np.uint8).reshape(numbers.size, -1)


def decode_logits(logits: bytes, labels: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Decode (n, L) scores of samples with these labels.

    Raises:
        ValueError: if there are more or fewer.
    """
    values = np.frombuffer(logits, "<f2")
    if values.size != labels.size:
        raise ValueError(f"{values.size} scores for {labels.size} labels")
    return values.reshape(labels.shape).astype(np.float16)
