"""What a 2D training step on a CPU is made of: `python benchmarks/step_parts.py [--steps 10] [--batch 128]`.

Kinds of operations of the forward and backward pass by PyTorch's profiler, as shares of its time, and milliseconds of
the parts of whole steps of three configurations, on made-up images.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from hpo.data.development import Development
from hpo.revision import code_version
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop.fold import Run
from hpo.training.machine.device import choose_machine, describe_device, set_up_process
from hpo.training.model.resnet import resnet18

EDGE = 28
CPU = torch.device("cpu")
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "cross-entropy, Adam": {"loss": "cross_entropy", "optimizer": "adam", "learning_rate": 1e-3},
    "AUCM, SGD": {"loss": "aucm_v1", "optimizer": "sgd"},
    "AUCM, Adam, EMA, all augmentations": {
        "loss": "aucm_v1",
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "weight_average": "ema",
        "augmentation": "full",
    },
}
PARTS = (("optimizer", "update"), ("average", "move"), ("", "_prepare"), ("_passes", "compute"), ("", "step"))


def operations(batch: int, steps: int) -> dict[str, float]:
    """Share of the time of each operation that takes more than half a percent."""
    machine = choose_machine(CPU, 2, "auto")
    network = resnet18(2, 1, 0)
    machine.place(network)
    images = torch.rand(batch, 1, EDGE, EDGE)

    def step() -> None:
        with machine.autocast():
            logits = network(images)
        logits.sum().backward()
        network.zero_grad()

    for _ in range(3):
        step()
    with torch.profiler.profile() as profile:
        for _ in range(steps):
            step()
    found = {row.key: row.self_cpu_time_total for row in profile.key_averages()}
    whole = sum(found.values())
    shares = {name: time_of / whole for name, time_of in found.items() if time_of > 0.005 * whole}
    return dict(sorted(shares.items(), key=lambda one: -one[1]))


def parts(settings: dict[str, Any], batch: int, steps: int) -> dict[str, float]:
    """Milliseconds of each part of a step, `step` being the whole."""
    random = np.random.default_rng(0)
    rows = batch * (steps + 3)
    images = random.integers(0, 256, (rows, EDGE, EDGE), dtype=np.uint8)
    labels = (np.arange(rows) % 2).astype(np.uint8)[:, None]
    development = Development(find_dataset("breast"), images, labels, np.zeros(rows, bool), "made up")
    config = TrainConfig(batch_size=batch, **settings)
    resident = make_device_dataset(development, EDGE, CPU)
    run = Run(config, development, resident, np.arange(rows), 1, 0, choose_machine(CPU, 2, "auto"))
    seconds: dict[str, float] = defaultdict(float)

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            start = time.perf_counter()
            result = work(*arguments)
            seconds[name.lstrip("_")] += time.perf_counter() - start
            return result

        return call

    for number, batch_rows in enumerate(run.batches(0)):
        if number == 3:
            for owner, name in PARTS:
                place = getattr(run, owner) if owner else run
                setattr(place, name, timed(name, getattr(place, name)))
        run.step(batch_rows)
    return {name: 1000 * spent / steps for name, spent in seconds.items()}


def main() -> None:
    """Measures and prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    options = parser.parse_args()
    set_up_process(None)
    document = {
        "batch": options.batch,
        "share_of_operations": operations(options.batch, options.steps),
        "milliseconds_of_a_step": {
            name: parts(settings, options.batch, options.steps) for name, settings in CONFIGURATIONS.items()
        },
        "device": describe_device(CPU),
        "torch": torch.__version__,
        "code": code_version(),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
