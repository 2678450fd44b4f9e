"""Images per second of epochs on two datasets together, beside epochs on one.

    python benchmarks/co_training.py --data-dir DIR [--dataset breast] [--with pneumonia] [--edge 14] [--rounds 5]

Rounds alternate between the two, each an epoch of one network on one fold after a warm-up epoch, with the same number
of steps of the same number of images; so CPU time of both says what the other layer, loss and optimizer add.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from hpo.data.development import load_development
from hpo.data.folder import data_folder
from hpo.data.others import load_others, others_of
from hpo.study.catalogue import find_dataset
from hpo.study.co_training import other_datasets
from hpo.study.config import TrainConfig
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop.co_training import place_others
from hpo.training.loop.fold import Run
from hpo.training.machine.device import choose_device, choose_machine, one_thread, set_up_process


def main() -> None:
    """Measure and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    parser.add_argument("--dataset", default="breast")
    parser.add_argument("--with", dest="together", default="pneumonia")
    parser.add_argument("--edge", type=int, default=14)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    set_up_process(None)
    dataset, folder = find_dataset(given.dataset), data_folder(given.data_dir)
    development = load_development(dataset, folder, "none")
    loaded = load_others(other_datasets(given.together, dataset), folder)
    machine = choose_machine(choose_device("cpu"), dataset.dimensions, "auto")
    resident = make_device_dataset(development, given.edge, machine.device)
    runs, steps = {}, 0
    for name in ("none", given.together):
        config = TrainConfig(
            co_training=name,
            co_training_epochs=0.95,
            batch_size=given.batch_size,
            input_size=given.edge,
            loss="aucm_v2",
            class_means="running",
        )
        placed = place_others(config, others_of(config, dataset, loaded), machine)
        samples = np.arange(len(development))
        runs[name] = Run(config, development, resident, samples, 100, 0, machine, placed)
        steps = runs[name].steps
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    with one_thread():
        for epoch in range(given.rounds + 1):
            for name, run in runs.items():
                start = time.process_time()
                for batch in run.batches(epoch):
                    run.step(batch)
                run.finish(epoch)
                if epoch:
                    seconds[name].append(time.process_time() - start)
    images = steps * given.batch_size
    ratios = [together / alone for alone, together in zip(*seconds.values(), strict=True)]
    document = {
        "images_per_cpu_second": {name: sorted(images / one for one in found) for name, found in seconds.items()},
        "ratio": {"median": float(np.median(ratios)), "low": min(ratios), "high": max(ratios)},
        "images_per_epoch": images,
        "precision": str(machine.dtype),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
