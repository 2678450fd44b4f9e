"""This code beside that of an earlier commit on one CPU, each as its `hpo launch` trains: samples per second."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.beside.job import Job, Recipe
from hpo.training.machine.limits import usable_cores

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("tree_epochs.py")
BEFORE_ONE_CORE_FOR_ONE_NETWORK = "51a1257"


class TreeSide:
    """A trial in a process of its own, trained an epoch at a time by the `hpo` of a tree.

    threads: as that code's `set_up_process` takes them.
    """

    def __init__(self, tree: Path, folder: Path, job: Job, recipe: Recipe, seed: int, threads: int | None) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=folder, delete=False) as file:
            json.dump(_described(folder, job, recipe, seed, threads), file)
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), file.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(tree), "OMP_WAIT_POLICY": "passive"},
        )
        self.curve: list[float] = []
        self._answer()

    def begin(self) -> None:
        """Starts the next epoch and does not wait."""
        assert self._process.stdin is not None
        self._process.stdin.write("next\n")
        self._process.stdin.flush()

    def end_of_epoch(self) -> None:
        """Waits for the epoch that was begun and keeps its AUC."""
        self.curve.append(json.loads(self._answer())["auc"])

    def __enter__(self) -> TreeSide:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a side's process ended; its error is above")
        return line


def compare_commits(job: Job, recipe: Recipe, commit: str, seeds: int, busy: int) -> dict[str, Any]:
    """Epochs of both in turns, on an otherwise idle machine and beside `busy` processes that compute without end.

    Each side is what `hpo launch` starts on a CPU by default: one worker with PyTorch's own number of threads before,
    as many workers with one thread as there are cores now. The first epoch of each seed warms up.
    """
    with tempfile.TemporaryDirectory() as name, tree_of(commit) as tree:
        folder = Path(name)
        _write_arrays(folder, job)
        curves: dict[str, dict[int, list[float]]] = {"before": {}, "now": {}, "now, busy": {}}
        found: dict[str, Any] = {"commit_before": commit, "workers_now": usable_cores(), "busy_processes": busy}
        for state, others in (("idle", 0), ("busy", busy)):
            rates: dict[str, list[float]] = {"before": [], "now": []}
            for seed in range(seeds):
                with busy_processes(others), ExitStack() as stack:
                    before = [stack.enter_context(TreeSide(tree, folder, job, recipe, seed, None))]
                    many = range(seed, seed + usable_cores())
                    now = [stack.enter_context(TreeSide(ROOT, folder, job, recipe, each, 1)) for each in many]
                    for epoch in range(job.epochs):
                        pair = {"before": _rate(job, before), "now": _rate(job, now)}
                        print(f"{state} seed {seed} epoch {epoch + 1}: {pair}", flush=True)
                        if epoch:
                            rates = {side: [*rates[side], rate] for side, rate in pair.items()}
                curves["before"][seed] = before[0].curve
                curves["now" if state == "idle" else "now, busy"] |= dict(
                    zip(many, (side.curve for side in now), strict=True)
                )
            found[state] = _ratios(rates)
        alone = _curve(tree, folder, job, recipe, threads=1)
    return found | _equality(curves, alone)


@contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """The package `hpo` of a commit in a temporary folder."""
    archive = subprocess.run(["git", "archive", commit, "hpo"], cwd=ROOT, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as name:
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            tar.extractall(name, filter="data")
        yield Path(name)


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that compute without end."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _described(folder: Path, job: Job, recipe: Recipe, seed: int, threads: int | None) -> dict[str, Any]:
    config = job.config(recipe).model_dump(exclude_unset=True)
    return {
        "dataset": job.development.dataset.name,
        "arrays": str(folder / "arrays.npz"),
        "folds": len(job.folds),
        "config": config,
        "epochs": job.epochs,
        "seed": seed,
        "threads": threads,
    }


def _write_arrays(folder: Path, job: Job) -> None:
    arrays = {name: getattr(job.development, name) for name in ("images", "labels", "is_validation")}
    for number, fold in enumerate(job.folds):
        arrays |= {f"training{number}": fold.training, f"validation{number}": fold.validation}
    np.savez(folder / "arrays.npz", **arrays)


def _rate(job: Job, sides: list[TreeSide]) -> float:
    """Training samples per second of all sides together, over an epoch with its scoring."""
    start = time.perf_counter()
    for side in sides:
        side.begin()
    for side in sides:
        side.end_of_epoch()
    samples = sum(-(-len(fold.training) // job.batch) * min(job.batch, len(fold.training)) for fold in job.folds)
    return len(sides) * samples / (time.perf_counter() - start)


def _curve(tree: Path, folder: Path, job: Job, recipe: Recipe, threads: int) -> list[float]:
    with TreeSide(tree, folder, job, recipe, 0, threads) as side:
        for _ in range(job.epochs):
            side.begin()
            side.end_of_epoch()
        return side.curve


def _ratios(rates: dict[str, list[float]]) -> dict[str, Any]:
    ratios = [now / before for before, now in zip(rates["before"], rates["now"], strict=True)]
    return {
        "samples_per_second_before": statistics.median(rates["before"]),
        "samples_per_second_now": statistics.median(rates["now"]),
        "ratio_median": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "pairs": len(ratios),
    }


def _equality(curves: dict[str, dict[int, list[float]]], alone: list[float]) -> dict[str, Any]:
    """Say which AUC curves are equal to the last bit, and how far the others of equal seeds are apart."""
    before, now, busy = curves.values()
    gaps = [abs(old - new) for seed in before for old, new in zip(before[seed], now[seed], strict=True)]
    return {
        "equal_idle_and_busy": now == busy,
        "equal_to_before_with_one_thread": alone == now[0],
        "equal_to_before": all(before[seed] == now[seed] for seed in before),
        "largest_auc_difference_to_before": max(gaps),
        "auc_before": before,
        "auc_now": now,
    }
