"""Samples per second of hpo's training beside a plain PyTorch loop, as ratios of one run.

    python benchmarks/training.py 2d --data-dir DIR      BreastMNIST, official rows, batch 128, 5 seeds
    python benchmarks/training.py 3d --data-dir DIR      AdrenalMNIST3D, 64 training volumes, batch 32

The plain loop is MedMNIST's recipe as its examples write it: DataLoader, fp32, default memory format, the same
network, cross-entropy, Adam 1e-3. hpo trains the same configuration through its public door. Each has a process of
its own; their epochs take turns, each with its scoring, and the ratio is taken pair by pair, so that a machine that
slows down slows both.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from hpo.data.development import Development, load_development
from hpo.data.folder import data_folder
from hpo.data.rows import Fold
from hpo.statistics.auc import auc
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.training.device import choose_device, describe_device, set_up_process
from hpo.training.network import resnet18
from hpo.training.provenance import code_version
from hpo.training.trial import train_trial


class Rows(Dataset):
    """Rows of a development set as MedMNIST's dataset class gives them: one float image of 3 channels at a time."""

    def __init__(self, development: Development, rows: np.ndarray, mask_factor: bool) -> None:
        self.images = development.images[rows]
        self.labels = development.labels[rows]
        self.flat = development.dataset.dimensions == 2
        self.mask_factor = mask_factor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = torch.from_numpy(self.images[row].astype(np.float32) / 255)
        if self.mask_factor:
            image = image * torch.rand(())
        if self.flat:
            image = (image - 0.5) / 0.5
        return image.unsqueeze(0).repeat(3, *[1] * image.ndim), torch.from_numpy(self.labels[row].astype(np.float32))


@dataclass(frozen=True)
class Job:
    """What both sides train."""

    development: Development
    fold: Fold
    epochs: int
    batch: int
    precision: str
    device: str


def plain_epochs(job: Job, seed: int) -> Iterator[float]:
    """Trains the plain way; yields the scoring AUC after each epoch."""
    torch.manual_seed(seed)
    development, fold, epochs, batch = job.development, job.fold, job.epochs, job.batch
    device = torch.device(job.device)
    network = resnet18(development.dataset.dimensions, 1, seed).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [max(1, epochs // 2), max(2, epochs * 3 // 4)])
    criterion = nn.BCEWithLogitsLoss()
    masks = development.dataset.is_mask
    training = DataLoader(Rows(development, fold.fit, masks), batch_size=batch, shuffle=True, drop_last=False)
    scoring = DataLoader(Rows(development, fold.scoring, False), batch_size=batch)
    for _ in range(epochs):
        network.train()
        for images, labels in training:
            optimizer.zero_grad()
            loss = criterion(network(images.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
        schedule.step()
        network.eval()
        with torch.no_grad():
            scores = torch.cat([network(images.to(device) * (0.5 if masks else 1.0)).cpu() for images, _ in scoring])
        yield auc(scores[:, 0].numpy(), development.labels[fold.scoring, 0])


def fast_epochs(job: Job, seed: int) -> Iterator[float]:
    """Trains hpo's way; yields the scoring AUC after each epoch."""
    config = TrainConfig(
        loss="cross_entropy",
        optimizer="adam",
        learning_rate=1e-3,
        weight_decay=0.0,
        clip=0.0,
        batch_size=job.batch,
        precision=job.precision,
    )
    for report in train_trial(config, job.development, (job.fold,), job.epochs, seed, job.device):
        yield report.auc


class Side:
    """One of the two ways in a process of its own, so that neither has the other's allocator or thread settings."""

    def __init__(self, job: Job, fast: bool, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, job, fast, seed), daemon=True)
        os.environ |= {"OMP_WAIT_POLICY": "passive"} if fast else {}
        self.process.start()
        os.environ.pop("OMP_WAIT_POLICY", None)
        self.pipe.recv()

    def epoch(self) -> tuple[float, float]:
        """Seconds and scoring AUC of the next epoch."""
        self.pipe.send("next")
        seconds, value = self.pipe.recv()
        return seconds, value

    def end(self) -> None:
        """Ends the process."""
        self.process.terminate()
        self.process.join()


def serve(pipe: Connection, job: Job, fast: bool, seed: int) -> None:
    """Runs in the process of a side: one epoch for each message."""
    if fast:
        set_up_process(None)
        epochs = fast_epochs(job, seed)
    else:
        epochs = plain_epochs(job, seed)
    pipe.send("ready")
    while True:
        pipe.recv()
        start = time.perf_counter()
        value = next(epochs)
        pipe.send((time.perf_counter() - start, value))


def matrix_rate(dtype: torch.dtype, device: str, rounds: int = 8) -> float:
    """Best rate of a square matrix product in GFLOP/s: what this machine can do in this precision."""
    size = 2048 if device == "cpu" else 8192
    a = torch.randn(size, size).to(device, dtype)
    best = 0.0
    for _ in range(rounds):
        start = time.perf_counter()
        (a @ a).sum().item()
        best = max(best, 2 * size**3 / (time.perf_counter() - start) / 1e9)
    return best


def make_job(kind: str, data_dir: str | None, epochs: int, rows: int, precision: str, device: str) -> Job:
    """The training both sides do: official training rows, scored on official validation rows."""
    dataset = find_dataset("breast" if kind == "2d" else "adrenal3d")
    development = load_development(dataset, data_folder(data_dir))
    scoring, fit = np.flatnonzero(development.is_validation), np.flatnonzero(~development.is_validation)
    if kind == "3d":
        fit, scoring = fit[:rows], scoring[: max(16, rows // 4)]
    return Job(development, Fold(fit, scoring), epochs, 128 if kind == "2d" else 32, precision, device)


def run(kind: str, job: Job, seeds: int) -> dict[str, object]:
    """Runs both sides in turns and returns the figures; the first epoch of the first seed warms up."""
    seconds: dict[str, list[float]] = {"plain": [], "hpo": []}
    values: dict[str, list[float]] = {"plain": [], "hpo": []}
    for seed in range(seeds):
        sides = {"plain": Side(job, False, seed), "hpo": Side(job, True, seed)}
        for epoch in range(job.epochs):
            ends = {name: side.epoch() for name, side in sides.items()}
            if seed or epoch:
                for name, (took, _) in ends.items():
                    seconds[name].append(took)
            told = ", ".join(f"{name} {took:.2f} s AUC {value:.3f}" for name, (took, value) in ends.items())
            print(f"seed {seed} epoch {epoch + 1}: {told}", flush=True)
        for name, side in sides.items():
            values[name].append(ends[name][1])
            side.end()
    return summary(kind, job, seconds, values)


def summary(kind: str, job: Job, seconds: dict[str, list[float]], values: dict[str, list[float]]) -> dict[str, object]:
    """The figures of one run: rates, their ratio pair by pair, and the difference of AUCs over seeds.

    The plain loop's last batch is short; hpo's batches are all full, so its epoch trains a few samples more.
    """
    rows = len(job.fold.fit)
    samples = {"plain": rows, "hpo": -(-rows // job.batch) * job.batch}
    rates = {side: [samples[side] / took for took in seconds[side]] for side in seconds}
    ratios = [fast / plain for plain, fast in zip(rates["plain"], rates["hpo"], strict=True)]
    gaps = [b - a for a, b in zip(values["plain"], values["hpo"], strict=True)]
    error = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
    fp32, bf16 = matrix_rate(torch.float32, job.device), matrix_rate(torch.bfloat16, job.device)
    return {
        "kind": kind,
        "samples_per_second_plain": statistics.median(rates["plain"]),
        "samples_per_second_hpo": statistics.median(rates["hpo"]),
        "ratio_median": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "pairs": len(ratios),
        "auc_plain": values["plain"],
        "auc_hpo": values["hpo"],
        "auc_difference_mean": statistics.mean(gaps),
        "auc_difference_standard_error": error,
        "matrix_gflops_fp32": fp32,
        "matrix_gflops_bf16": bf16,
        "matrix_ratio": bf16 / fp32,
        "device": describe_device(choose_device(job.device)),
        "torch": torch.__version__,
        "code": code_version(),
    }


def main() -> None:
    """Parses, runs, prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["2d", "3d"])
    parser.add_argument("--data-dir")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--rows", type=int, default=64, help="3d: training volumes")
    parser.add_argument("--precision", default="auto", choices=["auto", "bf16", "fp32"])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--out", type=Path, help="also write the JSON document there")
    given = parser.parse_args()
    seeds = given.seeds or (5 if given.kind == "2d" else 1)
    epochs = given.epochs or (10 if given.kind == "2d" else 3)
    job = make_job(given.kind, given.data_dir, epochs, given.rows, given.precision, given.device)
    figures = run(given.kind, job, seeds)
    text = json.dumps(figures, indent=2, default=str)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
