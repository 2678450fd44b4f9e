"""What all sides train: samples, validation samples, batch, epochs, device."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hpo.data.development import Development, load_development
from hpo.data.folder import data_folder
from hpo.data.folds import Fold
from hpo.data.stratify import stratified_split
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.training.inputs.device_dataset import place_images

BATCH = {2: 128, 3: 32}

Recipe = Literal["cross_entropy", "aucm"]
Rows = NDArray[np.int64]

AUCM = {"lr": 0.1, "epoch_decay": 0.003, "weight_decay": 1e-4, "clip_value": 1.0, "momentum": 0.1}
"""LibAUC's example with a learning rate at which it learns; momentum in LibAUC's meaning: 1 minus the share kept."""

MARGIN, POSITIVE_SHARE = 1.0, 0.5


@dataclass(frozen=True)
class Job:
    """folds: the first is what a loop beside hpo trains. batch: rows. device: cpu or cuda. loaders: of DataLoader."""

    development: Development
    folds: tuple[Fold, ...]
    epochs: int
    batch: int
    precision: str
    device: str
    loaders: int = 0

    @property
    def fold(self) -> Fold:
        """The fold of a job that has one."""
        return self.folds[0]

    @property
    def steps(self) -> int:
        """Steps of an epoch of the first fold as hpo counts them."""
        return -(-len(self.fold.training) // self.batch)

    def config(self, recipe: Recipe) -> TrainConfig:
        """hpo's spelling of a recipe."""
        shared = {"batch_size": self.batch, "precision": self.precision}
        if recipe == "cross_entropy":
            values = {"loss": "cross_entropy", "optimizer": "adam", "weight_decay": 0.0, "clip": 0.0}
            return TrainConfig(learning_rate=1e-3, **values, **shared)
        return TrainConfig(
            loss="aucm_v1",
            margin=MARGIN,
            optimizer="sgd",
            learning_rate=AUCM["lr"],
            momentum=1 - AUCM["momentum"],
            epoch_decay=AUCM["epoch_decay"],
            weight_decay=AUCM["weight_decay"],
            clip=AUCM["clip_value"],
            batching="fixed_share",
            positive_share=POSITIVE_SHARE,
            **shared,
        )


def load_rows(dataset: str, data_dir: str | None, input_size: int, rows: int | None) -> tuple[Development, Rows]:
    """Development rows shrunk to `input_size`, and the official training rows or a stratified part of them."""
    development = load_development(find_dataset(dataset), data_folder(data_dir))
    shrunk = place_images(development.images, input_size, torch.device("cpu"))[:, 0].numpy()
    development = dataclasses.replace(development, images=shrunk)
    training = np.flatnonzero(~development.is_validation)
    if rows is not None and rows < training.size:
        share = rows / training.size
        training = training[
            stratified_split(development.labels[training], [share, 1 - share], np.random.default_rng(0))[0]
        ]
    return development, training


def official_fold(development: Development, training: Rows, scored: int | None = None) -> Fold:
    """Trained on `training`, scored on the official validation rows or the first `scored` of them."""
    return Fold(training, np.flatnonzero(development.is_validation)[:scored])


def k_folds(development: Development, training: Rows, count: int) -> tuple[Fold, ...]:
    """`training` dealt into stratified folds, each of which is scored on once."""
    parts = stratified_split(development.labels[training], [1 / count] * count, np.random.default_rng(0))
    return tuple(Fold(np.setdiff1d(training, training[part]), training[part]) for part in parts)
