"""Train small networks with NumPy, resumably and epoch by epoch, on several folds at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Config = Mapping[str, Any]

_ADAM = (0.9, 0.999, 1e-8)


def auc(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the AUC of (N,) scores for (N,) labels in 0 and 1; ties count half."""
    negatives, positives = np.sort(scores[labels == 0]), scores[labels == 1]
    below = np.searchsorted(negatives, positives, "left") + np.searchsorted(negatives, positives, "right")
    return float(below.sum() / (2 * len(positives) * len(negatives)))


class Network:
    """One network with one hidden layer, trained by `config` for up to `epochs` epochs.

    Args:
        images: (N, D) float32, standardized.
        labels: (N,) 0 or 1.
        seed: of weights, batches and noise.
    """

    def __init__(self, config: Config, images: Array, labels: NDArray[np.int64], epochs: int, seed: int) -> None:
        self.config, self.epochs, self.done = config, epochs, 0
        self._x, self._y = images, labels
        self._random = np.random.default_rng(seed)
        features, width = images.shape[1], config["width"]
        shapes = [(features, width), (width,), (width,), (1,)]
        self._sizes = [int(np.prod(shape)) for shape in shapes]
        self._shapes, self._flat = shapes, np.zeros(sum(self._sizes), np.float32)
        self._gradient, self._first, self._second = (np.zeros_like(self._flat) for _ in range(3))
        self._weights, self._gradients = self._parts(self._flat), self._parts(self._gradient)
        self._weights[0][:] = self._random.standard_normal(shapes[0]) * np.sqrt(2 / features)
        self._weights[2][:] = self._random.standard_normal(width) * np.sqrt(1 / width)
        self._average = self._flat.copy()
        self._averaged = self._steps = 0
        self._positives, self._negatives = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)

    def train_epoch(self) -> None:
        """Train one epoch; a network that diverges keeps scores of 0."""
        config = self.config
        rate = config["learning_rate"] * 0.1 ** sum(self.done >= share * self.epochs for share in (0.5, 0.75))
        pairwise = config["loss"] != "cross_entropy" and self.done >= round(
            config.get("cross_entropy_share", 0) * self.epochs
        )
        for rows in self._batches():
            x, y = self._augment(self._x[rows], self._y[rows].astype(np.float32))
            self._step(x, y, rate, pairwise)
        self.done += 1
        if config["average"] == "swa" and self.done > self.epochs // 2:
            self._averaged += 1
            self._average += (self._flat - self._average) / self._averaged

    def scores(self, images: Array) -> Array:
        """Return the (N,) scores of (N, D) images."""
        averaging = self.config["average"] == "ema" or self._averaged > 0
        w1, b1, w2, b2 = self._parts(self._average) if averaging else self._weights
        scores: Array = np.maximum(images @ w1 + b1, 0) @ w2 + b2
        return np.nan_to_num(scores, nan=0.0, posinf=0.0, neginf=0.0)

    def _batches(self) -> list[NDArray[np.int64]]:
        size, count = self.config["batch_size"], len(self._y)
        if self.config["batching"] == "fixed_share":
            positives = min(max(1, round(self.config["positive_share"] * size)), size - 1)
            return [
                np.concatenate(
                    [
                        self._positives[self._random.integers(len(self._positives), size=positives)],
                        self._negatives[self._random.integers(len(self._negatives), size=size - positives)],
                    ]
                )
                for _ in range(max(1, count // size))
            ]
        order = self._random.permutation(count)
        return [order[low : low + size] for low in range(0, count, size)]

    def _augment(self, x: Array, y: Array) -> tuple[Array, Array]:
        kind = self.config["augmentation"]
        if kind == "none":
            return x, y
        strength = self.config["augmentation_strength"]
        if kind == "noise":
            return x + self._random.standard_normal(x.shape, np.float32) * np.float32(strength), y
        if kind == "dropout":
            return x * (self._random.random(x.shape, np.float32) > 0.8 * strength), y
        share = np.float32(self._random.beta(strength, strength))
        other = self._random.permutation(len(y))
        return share * x + (1 - share) * x[other], share * y + (1 - share) * y[other]

    def _step(self, x: Array, y: Array, rate: float, pairwise: bool) -> None:
        w1, b1, w2, b2 = self._weights
        hidden = np.maximum(x @ w1 + b1, 0)
        out = hidden @ w2 + b2[0]
        slope = self._pair_slope(out, y) if pairwise else (1 / (1 + np.exp(-np.clip(out, -30, 30))) - y) / len(y)
        slope = slope.astype(np.float32)
        back = slope[:, None] * w2 * (hidden > 0)
        np.matmul(x.T, back, out=self._gradients[0])
        back.sum(0, out=self._gradients[1])
        np.matmul(slope, hidden, out=self._gradients[2])
        self._gradients[3][0] = slope.sum()
        self._update(rate)

    def _pair_slope(self, out: Array, y: Array) -> Array:
        """Return the gradient of the squared hinge over pairs, AUCM's surrogate, by class means weighted by `y`."""
        positive, negative = y.sum() + 1e-6, (1 - y).sum() + 1e-6
        mean_positive, mean_negative = (y * out).sum() / positive, ((1 - y) * out).sum() / negative
        short = max(0.0, self.config["margin"] + mean_negative - mean_positive)
        around = y * (out - mean_positive) / positive + (1 - y) * (out - mean_negative) / negative
        slope: Array = 2 * around + 2 * short * ((1 - y) / negative - y / positive)
        return slope

    def _update(self, rate: float) -> None:
        config, gradient = self.config, self._gradient
        self._steps += 1
        gradient += np.float32(config["weight_decay"]) * self._flat
        gradient.clip(-10, 10, out=gradient)
        if config["optimizer"] == "adam":
            b1, b2, small = _ADAM
            self._first += (1 - b1) * (gradient - self._first)
            self._second += (1 - b2) * (gradient * gradient - self._second)
            scale = rate / (1 - b1**self._steps)
            self._flat -= scale * self._first / (np.sqrt(self._second / (1 - b2**self._steps)) + small)
        else:
            self._first *= np.float32(config["momentum"])
            self._first += gradient
            self._flat -= np.float32(rate) * self._first
        if config["average"] == "ema":
            share = min(0.98, self._steps / (self._steps + 10))
            self._average += (1 - share) * (self._flat - self._average)

    def _parts(self, flat: Array) -> list[Array]:
        """Return views of a flat array in the shapes of the weights."""
        parts = np.split(flat, np.cumsum(self._sizes)[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)]
