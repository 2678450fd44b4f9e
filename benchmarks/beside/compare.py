"""hpo in pairs with a plain loop: epochs in turns, ratios pair by pair, differences of AUC over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.beside.job import Job, Recipe
from benchmarks.beside.loops import Measured, hpo_epochs, libauc_epochs, medmnist_epochs
from benchmarks.beside.process import Side
from benchmarks.beside.rates import STEP_PER_FORWARD, forward_macs, matrix_rate

Loop = Callable[[Job, int], Iterator[Measured]]

PAIRS: dict[str, tuple[Loop, Recipe]] = {
    "medmnist": (medmnist_epochs, "cross_entropy"),
    "libauc": (libauc_epochs, "aucm"),
}

T_95 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
"""Quantile .975 of Student's t by degrees of freedom; 2 is near enough from 10 on."""


def compare(job: Job, against: str, seeds: int) -> dict[str, Any]:
    """Runs hpo beside one loop and returns the figures; the first epoch of each seed warms up and is left out."""
    loop, recipe = PAIRS[against]
    pairs: list[tuple[Measured, Measured]] = []
    aucs: list[tuple[float, float]] = []
    log: tuple[str, ...] = ()
    for seed in range(seeds):
        with Side(partial(loop, job, seed), False) as plain, Side(partial(hpo_epochs, job, seed, recipe), True) as fast:
            for epoch in range(job.epochs):
                pair = plain.epoch(), fast.epoch()
                if epoch:
                    pairs.append(pair)
                _tell(against, seed, epoch, pair)
        aucs.append((pair[0].auc, pair[1].auc))
        log = pair[1].log
    return {"recipe": recipe, "log": log} | _rates(job, pairs) | _difference(aucs)


def machine_rates(device: str) -> dict[str, float]:
    """Matrix rates of the device in GFLOP/s by precision."""
    return {"fp32": matrix_rate(torch.float32, device), "bf16": matrix_rate(torch.bfloat16, device)}


def shares_of_machine(job: Job, samples_per_second: float, machine: dict[str, float]) -> dict[str, float]:
    """The arithmetic of so many training samples a second, as a share of each matrix rate of the machine."""
    edge = job.development.images.shape[1]
    flops = 2 * STEP_PER_FORWARD * forward_macs(job.development.dataset.dimensions, edge) * samples_per_second
    return {precision: round(flops / 1e9 / rate, 3) for precision, rate in machine.items()}


def _tell(against: str, seed: int, epoch: int, pair: tuple[Measured, Measured]) -> None:
    sides = zip((against, "hpo"), pair, strict=True)
    told = ", ".join(
        f"{name} {side.training_seconds:.2f} + {side.scoring_seconds:.2f} s AUC {side.auc:.3f}" for name, side in sides
    )
    print(f"seed {seed} epoch {epoch + 1}: {told}", flush=True)


def _rates(job: Job, pairs: list[tuple[Measured, Measured]]) -> dict[str, Any]:
    """Rates of whole epochs and of their steps alone; ratios are hpo's rate through the other's, pair by pair.

    A plain loop's last batch may be short; hpo's batches are all full, so its epoch trains a few samples more.
    """
    found: dict[str, Any] = {"pairs": len(pairs)}
    for name, seconds in (("epoch", _seconds), ("step", _training_seconds)):
        rates = [tuple(side.samples / seconds(side) for side in pair) for pair in pairs]
        if not rates:
            continue
        ratios = [fast / plain for plain, fast in rates]
        found |= {
            f"{name}_samples_per_second_plain": statistics.median(plain for plain, _ in rates),
            f"{name}_samples_per_second_hpo": statistics.median(fast for _, fast in rates),
            f"{name}_ratio_median": statistics.median(ratios),
            f"{name}_ratio_range": [min(ratios), max(ratios)],
        }
    return found


def _seconds(side: Measured) -> float:
    return side.seconds


def _training_seconds(side: Measured) -> float:
    return side.training_seconds


def _difference(aucs: list[tuple[float, float]]) -> dict[str, Any]:
    """Last AUC of hpo minus the other's over seeds, with its 95 % interval by Student's t."""
    gaps = [fast - plain for plain, fast in aucs]
    mean = statistics.mean(gaps)
    found: dict[str, Any] = {
        "auc_plain": [round(plain, 4) for plain, _ in aucs],
        "auc_hpo": [round(fast, 4) for _, fast in aucs],
        "auc_difference": mean,
    }
    if len(gaps) > 1:
        error = statistics.stdev(gaps) / len(gaps) ** 0.5
        reach = T_95.get(len(gaps) - 1, 2.0) * error
        found |= {"auc_difference_standard_error": error, "auc_difference_95": [mean - reach, mean + reach]}
    return found
