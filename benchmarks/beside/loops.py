"""The loops: MedMNIST's recipe, LibAUC's example, and hpo; each yields one `Measured` per epoch."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from libauc.losses import AUCMLoss
from libauc.optimizers import PESG
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.beside.job import AUCM, MARGIN, POSITIVE_SHARE, Job, Recipe, Rows
from benchmarks.beside.sampler import DualSampler
from hpo.control import Control
from hpo.data.development import Development
from hpo.statistics.auc import auc
from hpo.training.loop.trial import train_trial
from hpo.training.machine.device import choose_device
from hpo.training.model.resnet import resnet18
from hpo.training.optim.lr_schedule import DECAY_POINTS


@dataclass(frozen=True)
class Measured:
    """One epoch: seconds of its steps, of its scoring, rows trained on, validation AUC, log messages."""

    training_seconds: float
    scoring_seconds: float
    samples: int
    auc: float
    log: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Of the whole epoch."""
        return self.training_seconds + self.scoring_seconds


class Images(Dataset[tuple[Tensor, Tensor]]):
    """Rows of a development set as MedMNIST's dataset class gives them: one float image of 3 channels at a time."""

    def __init__(self, development: Development, rows: Rows, mask_factor: bool) -> None:
        self.images = development.images[rows]
        self.labels = development.labels[rows]
        self.flat = development.dataset.dimensions == 2
        self.mask_factor = mask_factor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        image = torch.from_numpy(self.images[row].astype(np.float32) / 255)
        if self.mask_factor:
            image = image * torch.rand(())
        if self.flat:
            image = (image - 0.5) / 0.5
        return image.unsqueeze(0).repeat(3, *[1] * image.ndim), torch.from_numpy(self.labels[row].astype(np.float32))


def medmnist_epochs(job: Job, seed: int) -> Iterator[Measured]:
    """MedMNIST's recipe as its examples write it: shuffled DataLoader, cross-entropy, Adam 1e-3, x0.1 at two points."""
    plain = _Plain(job, seed)
    optimizer = torch.optim.Adam(plain.network.parameters(), lr=1e-3)
    milestones = [math.ceil(share * job.epochs) for share in DECAY_POINTS]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones)
    criterion = nn.BCEWithLogitsLoss()
    loader = DataLoader(plain.training, batch_size=job.batch, shuffle=True, num_workers=job.loaders)
    for _ in range(job.epochs):
        start, samples = plain.clock(), 0
        plain.network.train()
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(plain.network(images.to(plain.device)), labels.to(plain.device))
            loss.backward()
            optimizer.step()
            samples += len(images)
        schedule.step()
        yield plain.ended(start, samples)


def libauc_epochs(job: Job, seed: int) -> Iterator[Measured]:
    """LibAUC's example: DualSampler, shipped AUCMLoss and PESG, sigmoid of the logits, regularizer updated on decay."""
    plain = _Plain(job, seed)
    criterion = AUCMLoss(margin=MARGIN, device=plain.device)
    optimizer = PESG(plain.network.parameters(), loss_fn=criterion, verbose=False, device=plain.device, **AUCM)
    sampler = DualSampler(plain.training.labels[:, 0], job.batch, POSITIVE_SHARE, seed, job.steps)
    loader = DataLoader(plain.training, batch_size=job.batch, sampler=sampler, num_workers=job.loaders)
    decays = {math.ceil(share * job.epochs) for share in DECAY_POINTS}
    for epoch in range(job.epochs):
        start, samples = plain.clock(), 0
        if epoch in decays:
            optimizer.update_regularizer(decay_factor=10)
        plain.network.train()
        for images, labels in loader:
            scores = torch.sigmoid(plain.network(images.to(plain.device)))
            loss = criterion(scores, labels.to(plain.device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            samples += len(images)
        yield plain.ended(start, samples)


class _Plain:
    """What both plain loops share: network, data, scoring, clock."""

    def __init__(self, job: Job, seed: int) -> None:
        torch.manual_seed(seed)
        development, fold = job.development, job.fold
        self.device = torch.device(job.device)
        self.network = resnet18(development.dataset.dimensions, 1, seed).to(self.device)
        self._masks = development.dataset.is_mask
        self.training = Images(development, fold.training, self._masks)
        self._scoring = DataLoader(Images(development, fold.validation, False), job.batch, num_workers=job.loaders)
        self._labels = development.labels[fold.validation, 0]

    def clock(self) -> float:
        """Seconds, after the device has done what it was given."""
        return _clock(self.device)

    def ended(self, start: float, samples: int) -> Measured:
        """Scores the network and closes an epoch that began at `start`."""
        trained = self.clock()
        self.network.eval()
        factor = 0.5 if self._masks else 1.0
        with torch.no_grad():
            parts = [self.network(images.to(self.device) * factor).cpu() for images, _ in self._scoring]
        area = auc(torch.cat(parts)[:, 0].numpy(), self._labels)
        return Measured(trained - start, self.clock() - trained, samples, area)


class LogLines(logging.Handler):
    """Keeps what is logged, for instance whether steps are replayed as a CUDA graph."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self.messages.append(record.getMessage())


def hpo_epochs(job: Job, seed: int, recipe: Recipe) -> Iterator[Measured]:
    """hpo through its public door; an epoch's steps are over when its share of all steps is done.

    Of several folds one after the other the scoring lies between their steps, so that all of it counts as training.
    """
    device, marks = choose_device(job.device), [0.0]
    due = 0.0

    def progress(share: float) -> None:
        if not marks[0] and share >= due:
            marks[0] = _clock(device)

    samples = sum(-(-len(fold.training) // job.batch) * min(job.batch, len(fold.training)) for fold in job.folds)
    lines = LogLines()
    logger = logging.getLogger("hpo.training")
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    reports = train_trial(
        job.config(recipe), job.development, job.folds, job.epochs, seed, job.device, Control(progress=progress)
    )
    for epoch in range(job.epochs):
        marks[0], due = 0.0, (epoch + 1) / job.epochs - 1e-9
        start = time.perf_counter()
        report = next(reports)
        end = _clock(device)
        trained = marks[0] or end
        yield Measured(trained - start, end - trained, samples, report.auc, tuple(lines.messages))


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
