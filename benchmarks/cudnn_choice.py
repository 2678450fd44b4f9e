"""What cuDNN's trial of its kernels costs and brings: seconds until the first epoch is done, and of a later epoch.

    python benchmarks/cudnn_choice.py --data-dir DIR [--epochs 6] [--out FILE]

Without it cuDNN picks kernels by rules (`torch.backends.cudnn.benchmark = False`), with it each shape that is new to
the process is tried with up to ten kernels. BreastMNIST and a part of AdrenalMNIST3D, 3 folds in float of the device,
CUDA graphs as in the product; each choice in a process of its own, the same trial with the same seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

CONFIGS = {
    "breast": {"optimizer": "adam", "learning_rate": 3e-4, "batch_size": 32},
    "adrenal3d": {"optimizer": "adam", "learning_rate": 3e-4, "batch_size": 32},
}


def measure(dataset: str, tries: bool, epochs: int, data_dir: str | None, device: str) -> dict[str, float]:
    """Return seconds until the first epoch is done, and the median of the epochs after the second."""
    import torch

    from hpo.data.development import load_development
    from hpo.data.folder import data_folder
    from hpo.data.folds import scoring_folds
    from hpo.study.config import TrainConfig
    from hpo.study.files import default_spec
    from hpo.training.loop.trial import train_trial
    from hpo.training.machine.device import set_up_process

    set_up_process()
    torch.backends.cudnn.benchmark = tries
    spec = default_spec(dataset)
    development = load_development(spec.data, data_folder(data_dir))
    folds = scoring_folds(development, spec.scoring.model_copy(update={"folds": 3}), 0)
    torch.zeros(1, device=device)
    since = time.perf_counter()
    seconds = []
    for _ in train_trial(TrainConfig(**CONFIGS[dataset]), development, folds, epochs, 0, device):
        now = time.perf_counter()
        seconds.append(now - since)
        since = now
    return {"first": seconds[0], "later": statistics.median(seconds[2:])}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--datasets", nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("DATASET", "TRIES"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one[0], given.one[1] == "True", given.epochs, given.data_dir, given.device)))
        return
    found: dict[str, dict[str, dict[str, float]]] = {}
    for dataset in given.datasets:
        for tries in (False, True):
            command = [sys.executable, __file__, "--one", dataset, str(tries), "--epochs", str(given.epochs)]
            command += ["--device", given.device]
            command += ["--data-dir", given.data_dir] if given.data_dir else []
            answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found.setdefault(dataset, {})["tries" if tries else "rules"] = figures = json.loads(answer)
            print(
                f"{dataset}, {'tries' if tries else 'rules'}: first {figures['first']:.2f} s, later "
                f"{figures['later']:.3f} s an epoch",
                flush=True,
            )
            if given.out:
                given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
