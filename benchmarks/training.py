"""Samples per second of hpo's training beside plain loops, as ratios of one run; folds, packing, hours of a study.

    python benchmarks/training.py 2d --data-dir DIR          BreastMNIST, official rows, batch 128, 5 seeds
    python benchmarks/training.py 3d --data-dir DIR          AdrenalMNIST3D, 64 training volumes, batch 32
    python benchmarks/training.py folds --data-dir DIR       a trial's folds one after the other and side by side
    python benchmarks/training.py packed --data-dir DIR      several trials at once on one device
    python benchmarks/training.py hours --data-dir DIR       hours of the AdrenalMNIST3D study on this device
    python benchmarks/training.py threads --data-dir DIR     one core for one network, against two threads for one
    python benchmarks/training.py threads --dataset adrenal3d --input-size 14 --data-dir DIR       the same in 3D
    python benchmarks/training.py methods --data-dir DIR     each loss, optimizer, method beside the default

Beside hpo: `medmnist`, its recipe as a plain PyTorch loop (DataLoader, fp32, default memory format, cross-entropy, Adam
1e-3), and `libauc`, a loop as LibAUC's examples write it (DualSampler, shipped AUCMLoss and PESG, fp32). hpo trains the
same network, data, batch and settings through its public door, in the precision that it takes by itself. Each has a
process of its own; their epochs take turns, each with its scoring, and the ratio is taken pair by pair, so that a
machine that slows down slows both. `threads` takes the other code from a commit of this repository, and lets each side
train as its `hpo launch` does by default, with nothing else running and beside a busy process. Share of the machine:
the arithmetic of the steps against its own matrix products.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.beside.commits import BEFORE_ONE_CORE_FOR_ONE_NETWORK, compare_commits
from benchmarks.beside.compare import PAIRS, compare, machine_rates, shares_of_machine
from benchmarks.beside.folds import compare_ways, pack
from benchmarks.beside.hours import predict
from benchmarks.beside.job import BATCH, Job, k_folds, load_rows, official_fold
from benchmarks.beside.methods import METHODS, compare_methods
from hpo.revision import code_version
from hpo.study.catalogue import find_dataset
from hpo.study.files import builtin_study_file, load_spec
from hpo.training.machine.device import choose_device, choose_machine, describe_device

KINDS = ("2d", "3d", "folds", "packed", "hours", "threads", "methods")
ROWS_3D = 64
SCORED_3D = 16


def make_job(given: argparse.Namespace) -> Job:
    """The training that all sides do; on few rows in 3D few are scored, too."""
    dataset = given.dataset or ("adrenal3d" if given.kind == "3d" else "breast")
    is_long = find_dataset(dataset).dimensions == 3 and given.kind in ("3d", "threads")
    rows = given.rows or (ROWS_3D if is_long else None)
    development, training = load_rows(dataset, given.data_dir, given.input_size, rows)
    if given.kind in ("folds", "packed"):
        folds = k_folds(development, training, given.folds)
    else:
        scored = max(SCORED_3D, rows // 4) if rows and development.dataset.dimensions == 3 else None
        folds = (official_fold(development, training, scored),)
    epochs = given.epochs or {"2d": 10, "threads": 4}.get(given.kind, 3)
    batch = given.batch or BATCH[development.dataset.dimensions]
    return Job(development, folds, epochs, batch, given.precision, given.device, given.loaders)


def beside(given: argparse.Namespace, job: Job) -> dict[str, Any]:
    """hpo beside each loop asked for, and the shares of the machine's rate, the better of before and after."""
    seeds = given.seeds or (5 if job.development.dataset.dimensions == 2 else 1)
    before = machine_rates(job.device)
    found: dict[str, Any] = {name: compare(job, name, seeds) for name in given.against}
    machine = {precision: max(before[precision], rate) for precision, rate in machine_rates(job.device).items()}
    for pair in found.values():
        for side in ("plain", "hpo"):
            if (rate := pair.get(f"step_samples_per_second_{side}")) is not None:
                pair[f"share_of_machine_{side}"] = shares_of_machine(job, rate, machine)
    return {"beside": found, "matrix_gflops": machine}


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Runs what was asked for and returns its figures."""
    if given.kind == "hours":
        dataset = given.dataset or "adrenal3d"
        return predict(dataset, given.data_dir, given.device, given.drawn, given.finished, given.workers)
    job = make_job(given)
    trial_epochs = load_spec(builtin_study_file(job.development.dataset.name)).budget.epochs
    if given.kind == "folds":
        found = compare_ways(job, "aucm", given.seeds or 1, trial_epochs)
    elif given.kind == "packed":
        found = pack(job, "aucm", given.at_once, trial_epochs)
    elif given.kind == "methods":
        found = {"methods": compare_methods(job, given.methods, given.pairs)}
    elif given.kind == "threads":
        found = compare_commits(job, "aucm", given.before, given.seeds or 3, given.busy)
    else:
        found = beside(given, job)
    machine = choose_machine(choose_device(job.device), job.development.dataset.dimensions, job.precision)
    shown = {
        "dataset": job.development.dataset.name,
        "rows": len(job.fold.training),
        "input_size": job.development.images.shape[1],
        "batch": job.batch,
        "epochs": job.epochs,
        "precision_of_hpo": str(machine.dtype).removeprefix("torch."),
    }
    return shown | found


def main() -> None:
    """Parses, runs, prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--dataset", help="breast; adrenal3d for 3d and hours")
    parser.add_argument("--data-dir")
    parser.add_argument("--against", nargs="+", choices=sorted(PAIRS), default=sorted(PAIRS, reverse=True))
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--rows", type=int, help="training rows, stratified; 64 for 3d, else all official ones")
    parser.add_argument("--input-size", type=int, default=28, help="all sides train on images shrunk to this edge")
    parser.add_argument("--batch", type=int, help="128 in 2D, 32 in 3D")
    parser.add_argument("--folds", type=int, default=5, help="folds, packed: folds of a trial")
    parser.add_argument("--at-once", nargs="+", type=int, default=[1, 2], help="packed: processes on the device")
    parser.add_argument("--before", default=BEFORE_ONE_CORE_FOR_ONE_NETWORK, help="threads: the commit to compare with")
    parser.add_argument("--busy", type=int, default=1, help="threads: processes that compute beside")
    parser.add_argument(
        "--methods", nargs="+", choices=list(METHODS), default=list(METHODS), help="methods: which ones"
    )
    parser.add_argument("--pairs", type=int, default=10, help="methods: pairs of steps of each")
    parser.add_argument("--drawn", type=int, default=3, help="hours: configurations to measure")
    parser.add_argument("--finished", type=Path, help="hours: a list of finished trials, for the share of epochs")
    parser.add_argument("--workers", type=int, default=1, help="hours: workers that shared the device for --finished")
    parser.add_argument("--loaders", type=int, default=0, help="processes of the plain loops' DataLoader")
    parser.add_argument("--precision", default="auto", choices=["auto", "bf16", "fp32"], help="of hpo")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--out", type=Path, help="also write the JSON document there")
    given = parser.parse_args()
    figures = {"kind": given.kind} | measure(given)
    figures |= {"device": describe_device(given.device), "torch": torch.__version__, "code": code_version()}
    text = json.dumps(figures, indent=2, default=str)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
