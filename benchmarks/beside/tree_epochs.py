"""Train epochs with the code of any commit: a script that runs with that commit's `hpo` on the path and none of ours.

    python -P tree_epochs.py JOB.json

Each line on standard input asks for the next epoch, which is answered with a line of JSON: seconds and AUC.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

MOVED = {
    "train_trial": ("hpo.training.loop.trial", "hpo.training.trial"),
    "set_up_process": ("hpo.training.machine.device", "hpo.training.device"),
    "Fold": ("hpo.data.folds", "hpo.data.rows"),
    "Development": ("hpo.data.development",),
    "find_dataset": ("hpo.study.catalogue",),
    "TrainConfig": ("hpo.study.config",),
}
"""Where commits have what is needed, the newest first."""


def find(name: str) -> Any:
    """The object of that name in the `hpo` of the path."""
    for module in MOVED[name]:
        try:
            return getattr(import_module(module), name)
        except ModuleNotFoundError:
            continue
    raise SystemExit(f"no {name} in {import_module('hpo').__path__}")


def main() -> None:
    """Serves epochs until standard input ends."""
    job = json.loads(Path(sys.argv[1]).read_text())
    # Before any computation, as a worker does it.
    find("set_up_process")(job["threads"])
    arrays = np.load(job["arrays"])
    development = find("Development")(
        find("find_dataset")(job["dataset"]), arrays["images"], arrays["labels"], arrays["is_validation"], "benchmark"
    )
    folds = tuple(
        find("Fold")(arrays[f"training{number}"], arrays[f"validation{number}"]) for number in range(job["folds"])
    )
    config = find("TrainConfig")(**job["config"])
    reports = find("train_trial")(config, development, folds, job["epochs"], job["seed"], "cpu")
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        report = next(reports)
        print(json.dumps({"seconds": time.perf_counter() - start, "auc": report.auc}), flush=True)


if __name__ == "__main__":
    main()
