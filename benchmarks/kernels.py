"""What an epoch on a GPU is made of: `python benchmarks/kernels.py --data-dir DIR [--dataset breast] [--batch 32]`.

One epoch of a trial after some that warm up, by PyTorch's profiler: its seconds, those in which at least one kernel
ran, the sum over kernels, and the kernels that took longest. A sum far below the seconds says that the host or the
latency of launches is the limit; a sum above those with a kernel says that kernels of different folds overlap.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

from hpo.data.development import load_development
from hpo.data.folder import data_folder
from hpo.data.folds import scoring_folds
from hpo.revision import code_version
from hpo.study.config import TrainConfig
from hpo.study.files import default_spec
from hpo.training.loop.trial import train_trial
from hpo.training.machine.device import describe_device, set_up_process

SETTINGS = {"optimizer": "adam", "learning_rate": 3e-4}


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of spans from a start to an end, in their unit."""
    total, end_so_far = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, end_so_far))
        end_so_far = max(end_so_far, end)
    return total


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Train `given.warm` epochs, then profile one."""
    spec = default_spec(given.dataset)
    development = load_development(spec.data, data_folder(given.data_dir))
    folds = scoring_folds(development, spec.scoring.model_copy(update={"folds": max(2, given.folds)}), 0)[: given.folds]
    config = TrainConfig(**SETTINGS, batch_size=given.batch)
    epochs = train_trial(config, development, folds, given.warm + 2, 0, given.device)
    for _ in range(given.warm):
        next(epochs)
    since = time.perf_counter()
    next(epochs)
    alone = time.perf_counter() - since
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        next(epochs)
    on_device = [event for event in profiler.events() or [] if event.device_type.name == "CUDA"]
    seconds: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for event in on_device:
        seconds[event.name] += event.time_range.elapsed_us() / 1e6
        calls[event.name] += 1
    return {
        "epoch_seconds": alone,
        "seconds_with_a_kernel": covered((each.time_range.start, each.time_range.end) for each in on_device) / 1e6,
        "seconds_of_kernels": sum(seconds.values()),
        "kernels": len(on_device),
        "longest": [
            {"name": name[:120], "seconds": spent, "calls": calls[name]} for name, spent in seconds.most_common(25)
        ],
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    parser.add_argument("--dataset", default="breast")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--warm", type=int, default=3, help="epochs before the one that is profiled")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    set_up_process()
    about = {"dataset": given.dataset, "batch": given.batch, "folds": given.folds}
    found = about | {"device": describe_device(given.device), "code": code_version()} | measure(given)
    text = json.dumps(found, indent=1, default=str)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
