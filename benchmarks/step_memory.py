"""Memory that a training step holds beside weights and optimizer, on a CPU in float32.

    python benchmarks/step_memory.py [2d|3d]

A process of its own for each batch: the peak over two steps minus what it held before the first. From two batches
follow a constant and the bytes for each pixel, which `hpo.training.loop.fold_parallel.step_bytes` decides by.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing

import numpy as np
import torch

from hpo.data.development import Development
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop.fold import Run
from hpo.training.machine.device import choose_machine, peak_memory_bytes, set_up_process, start_of_trial

CASES = {"2d": ("breast", 28, (16, 48)), "3d": ("adrenal3d", 14, (8, 16))}


def measure(kind: str, batch: int) -> int:
    """Bytes of one step."""
    name, edge, _ = CASES[kind]
    dataset = find_dataset(name)
    set_up_process(None)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2 * batch, *(edge,) * dataset.dimensions), dtype=np.uint8)
    labels = (np.arange(2 * batch) % 2).astype(np.uint8)[:, None]
    development = Development(dataset, images, labels, np.zeros(2 * batch, bool), "made up")
    device = torch.device("cpu")
    config = TrainConfig(batch_size=batch, input_size=edge, precision="fp32")
    machine = choose_machine(device, dataset.dimensions, "fp32")
    resident = make_device_dataset(development, edge, device)
    run = Run(config, development, resident, np.arange(2 * batch), 1, 0, machine)
    for parameter in (*run.network.parameters(), *run.loss.parameters()):
        parameter.grad = torch.zeros_like(parameter)
    run.optimizer.step()
    run.network.zero_grad()
    run.loss.zero_grad()
    start_of_trial(device)
    before = peak_memory_bytes(device)
    for rows in run.batches(0):
        run.step(rows)
    return peak_memory_bytes(device) - before


def main() -> None:
    """Measures and prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", choices=list(CASES), default="2d")
    kind = parser.parse_args().kind
    _, edge, batches = CASES[kind]
    context = multiprocessing.get_context("spawn")
    held = []
    for batch in batches:
        with context.Pool(1) as pool:
            held.append(pool.apply(measure, (kind, batch)))
    pixels = [batch * edge ** (2 if kind == "2d" else 3) for batch in batches]
    slope = (held[1] - held[0]) / (pixels[1] - pixels[0])
    document = {
        "kind": kind,
        "batches": batches,
        "edge": edge,
        "step_bytes": held,
        "bytes_per_pixel": slope,
        "constant_bytes": held[0] - slope * pixels[0],
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
