"""Tasks: data with few positives, folds, a search space, and how good a configuration truly is."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from sklearn import datasets
from sklearn.model_selection import StratifiedKFold

from benchmarks.search_tasks.networks import Array, Config, Network, auc

EPOCHS, FOLDS = 27, 5
_FIRST_DEAL, _DEALS, _SEEDS = 10**6, 10**4, 10

SPACE: Mapping[str, BaseDistribution] = {
    "loss": CategoricalDistribution(["cross_entropy", "pairwise"]),
    "margin": FloatDistribution(0.1, 2.0),
    "cross_entropy_share": FloatDistribution(0.0, 0.6),
    "optimizer": CategoricalDistribution(["sgd", "adam"]),
    "learning_rate": FloatDistribution(1e-4, 1.0, log=True),
    "momentum": FloatDistribution(0.0, 0.95),
    "weight_decay": FloatDistribution(1e-6, 0.1, log=True),
    "batch_size": CategoricalDistribution([32, 64, 128]),
    "batching": CategoricalDistribution(["random", "fixed_share"]),
    "positive_share": FloatDistribution(0.2, 0.7),
    "augmentation": CategoricalDistribution(["none", "noise", "dropout", "mixup"]),
    "augmentation_strength": FloatDistribution(0.1, 1.0),
    "average": CategoricalDistribution(["none", "ema", "swa"]),
    "width": CategoricalDistribution([8, 16, 32, 64]),
}
"""The settings in the order in which they are drawn."""

CONDITIONS: Mapping[str, tuple[str, Sequence[Any]]] = {
    "margin": ("loss", ["pairwise"]),
    "cross_entropy_share": ("loss", ["pairwise"]),
    "momentum": ("optimizer", ["sgd"]),
    "positive_share": ("batching", ["fixed_share"]),
    "augmentation_strength": ("augmentation", ["noise", "dropout", "mixup"]),
}
"""Setting to the setting it depends on, and the values with which it has an effect."""


def applies(name: str, values: Mapping[str, Any]) -> bool:
    """Return whether a setting has an effect beside the values of those drawn before."""
    if name not in CONDITIONS:
        return True
    parent, wanted = CONDITIONS[name]
    return values[parent] in wanted


def draw(random: np.random.Generator) -> Config:
    """Draw a configuration at random."""
    values: dict[str, Any] = {}
    for name, entry in SPACE.items():
        if not applies(name, values):
            continue
        if isinstance(entry, CategoricalDistribution):
            values[name] = entry.choices[random.integers(len(entry.choices))]
        else:
            assert isinstance(entry, FloatDistribution)
            low, high = (math.log(entry.low), math.log(entry.high)) if entry.log else (entry.low, entry.high)
            value = random.uniform(low, high)
            values[name] = math.exp(value) if entry.log else value
    return values


def _half_digits(digit: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    images, targets = datasets.load_digits(return_X_y=True)
    return images[:, :32], (targets == digit).astype(np.int64)


def _cancer() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    bunch = datasets.load_breast_cancer()
    names = dict(enumerate(bunch.feature_names))
    weak = [number for number, name in names.items() if "error" in name or "fractal" in name]
    weak = [number for number in weak if not any(size in names[number] for size in ("area", "perimeter", "radius"))]
    return bunch.data[:, weak], (bunch.target == 0).astype(np.int64)


def _diabetes() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    values, targets = datasets.load_diabetes(return_X_y=True)
    return values, (targets > np.quantile(targets, 0.75)).astype(np.int64)


_SOURCES = {
    "digit 8": (functools.partial(_half_digits, 8), 400),
    "digit 3": (functools.partial(_half_digits, 3), 350),
    "cancer": (_cancer, 280),
    "diabetes": (_diabetes, 240),
}
"""Name to data and the number of development samples: upper halves of digits; cell nuclei by features that tell little
of their size; the quarter of patients whose diabetes progressed most."""

TASKS = tuple(_SOURCES)


@dataclass(frozen=True, eq=False)
class Task:
    """A development set, and a test set.

    Attributes:
        images: (N, D) float32 of the development set.
        test_images: (M, D).
    """

    name: str
    seed: int
    images: Array
    labels: NDArray[np.int64]
    test_images: Array
    test_labels: NDArray[np.int64]
    _deals: dict[int, tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]] = field(default_factory=dict)

    def run(self, config: Config, fold: int, seed: int, deal: int = 0) -> FoldRun:
        """Begin to train a fold; `deal` divides the samples otherwise."""
        return FoldRun(self, config, fold, seed, deal)

    def parts(self, fold: int, deal: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return training and validation samples of a fold, indices."""
        if deal not in self._deals:
            dealer = StratifiedKFold(FOLDS, shuffle=True, random_state=_DEALS * deal + 2 * self.seed)
            self._deals[deal] = tuple(dealer.split(self.images, self.labels))
        return self._deals[deal][fold]


class FoldRun:
    """The training of one fold. aucs: of the validation part after each epoch."""

    def __init__(self, task: Task, config: Config, fold: int, seed: int, deal: int) -> None:
        training, self._validation = task.parts(fold, deal)
        self._task = task
        images, labels = task.images[training], task.labels[training]
        self._network = Network(config, images, labels, EPOCHS, seed * _SEEDS + fold)
        self.aucs: list[float] = []

    def train_epoch(self) -> None:
        """Train and score one epoch."""
        with np.errstate(all="ignore"):
            self._network.train_epoch()
            scores = self._network.scores(self._task.images[self._validation])
        self.aucs.append(auc(scores, self._task.labels[self._validation]))


def make_task(name: str, seed: int) -> Task:
    """Make a task; `seed` deals the samples to development set, folds and test set."""
    source, count = _SOURCES[name]
    images, labels = source()
    order = np.random.default_rng(seed).permutation(len(labels))
    # Stratified by sorting a shuffled order by label and dealing it out evenly.
    order = order[np.argsort(labels[order], kind="stable")]
    chosen = np.zeros(len(labels), bool)
    chosen[order[np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))]] = True
    development = images[chosen]
    mean, deviation = development.mean(0), development.std(0) + 1e-6
    return Task(
        name,
        seed,
        ((development - mean) / deviation).astype(np.float32),
        labels[chosen],
        ((images[~chosen] - mean) / deviation).astype(np.float32),
        labels[~chosen],
    )


@functools.cache
def _deals(name: str, count: int) -> tuple[Task, ...]:
    return tuple(make_task(name, _FIRST_DEAL + number) for number in range(count))


def true_aucs(name: str, config: Config, deals: int) -> NDArray[np.float64]:
    """Return test AUCs, (deals,), of networks trained on the whole development set, each of another deal of samples.

    So the truth is not that of one test set, of which no search can know the noise.
    """
    aucs = []
    for number, task in enumerate(_deals(name, deals)):
        with np.errstate(all="ignore"):
            network = Network(config, task.images, task.labels, EPOCHS, _FIRST_DEAL + number)
            for _ in range(EPOCHS):
                network.train_epoch()
            aucs.append(auc(network.scores(task.test_images), task.test_labels))
    return np.array(aucs)
