"""Images per second of augmentations, input sizes and test-time augmentation, relative to the default.

    python benchmarks/input_cost.py train [--dimensions 3 --batch 8] [--only elastic morphology]
    python benchmarks/input_cost.py score [--dimensions 3]
    python benchmarks/input_cost.py sizes

Made-up images of 28 pixels; what is computed does not depend on their content. Each round does a few steps (or scores
some images) by each setting in turn, so that a machine that slows down slows all; a figure is the median over rounds of
images per second relative to the default's of the same round, with the lower and upper quartile. On a CPU seconds are
those that the process computes for, which other processes change little.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch

from hpo.data.development import Development
from hpo.revision import code_version
from hpo.study.catalogue import Dataset, find_dataset
from hpo.study.choices import AUGMENTATIONS
from hpo.study.config import TrainConfig
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop.fold import Run
from hpo.training.machine.device import choose_device, choose_machine, describe_device, set_up_process

EPOCHS = 100_000
"""So that no run ends, and that with small images first all of its steps have the first size."""

DEFAULT = "default"


def settings_of(kind: str) -> dict[str, dict[str, Any]]:
    """The settings compared, by name, without the default."""
    if kind == "train":
        return {name: {"augmentation": name} for name in AUGMENTATIONS.names() if name != "none"}
    if kind == "score":
        return {name: {"tta": name} for name in ("flips", "shifts", "both")}
    sizes: dict[str, dict[str, Any]] = {f"input_size {edge}": {"input_size": edge} for edge in (14, 42, 56, 84)}
    return sizes | {f"progressive {share}": {"progressive": share} for share in (0.5, 0.75)}


def made_up(dataset: Dataset, rows: int) -> Development:
    """Random images with both labels."""
    images = np.random.default_rng(0).integers(0, 256, (rows, *dataset.image_shape), dtype=np.uint8)
    labels = (np.arange(rows) % 2).astype(np.uint8)[:, None]
    return Development(dataset, images, labels, np.zeros(rows, bool), "made up")


def make_work(kind: str, settings: dict[str, Any], given: argparse.Namespace) -> Callable[[], int]:
    """Some steps, or the scoring of all images, by one setting; returns the number of images."""
    dimensions: Literal[2, 3] = given.dimensions
    config = TrainConfig(**({"batch_size": given.batch, "augmentation_strength": 0.5} | settings))
    machine = choose_machine(choose_device(given.device), dimensions, config.precision)
    development = made_up(find_dataset("breast" if dimensions == 2 else "nodule3d"), given.batch)
    resident = make_device_dataset(development, config.input_size, machine.device)
    run = Run(config, development, resident, np.arange(given.batch), EPOCHS, 0, machine)

    def wait() -> None:
        if machine.device.type == "cuda":
            torch.cuda.synchronize(machine.device)

    batch = next(run.batches(0))

    def train() -> int:
        for _ in range(given.steps):
            run.step(batch)
        wait()
        return given.steps * given.batch

    def score() -> int:
        run.scores(resident.images)
        return len(development)

    return score if kind == "score" else train


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Images per second of the default, and of each setting relative to it."""
    wanted = settings_of(given.kind)
    chosen = {name: wanted[name] for name in given.only or wanted}
    works = {name: make_work(given.kind, settings, given) for name, settings in ({DEFAULT: {}} | chosen).items()}
    clock = time.process_time if given.device == "cpu" else time.perf_counter
    rates: dict[str, list[float]] = {name: [] for name in works}
    for number in range(1 + given.rounds):
        # Begin with another setting in each round, so that none always comes after the same one.
        names = [*works][number % len(works) :] + [*works][: number % len(works)]
        for name in names:
            start = clock()
            images = works[name]()
            if number:
                rates[name].append(images / (clock() - start))
    default = np.array(rates.pop(DEFAULT))
    relative = {}
    for name, found in rates.items():
        low, middle, high = np.quantile(np.array(found) / default, (0.25, 0.5, 0.75))
        relative[name] = {"median": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)]}
    return {"images_per_second_of_default": round(float(np.median(default)), 1), "relative": relative}


def main() -> None:
    """Measures and prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["train", "score", "sizes"])
    parser.add_argument("--dimensions", type=int, choices=[2, 3], default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=1, help="of each setting in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", help="names of settings; all by default")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    set_up_process(None)
    document = {"kind": given.kind, "dimensions": given.dimensions, "batch": given.batch, "rounds": given.rounds}
    document |= measure(given)
    document |= {"device": describe_device(given.device), "torch": torch.__version__, "code": code_version()}
    print(json.dumps(document, indent=2, default=str))


if __name__ == "__main__":
    main()
