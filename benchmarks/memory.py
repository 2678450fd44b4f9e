"""Peak memory of one worker process over several trials, each another configuration of a study's space.

    python benchmarks/memory.py --data-dir DIR --trials 6 --epochs 1
    python benchmarks/memory.py --dataset chest --trials 2 --epochs 1 --rows 600 --limit 4 --set fixed.batch_size=512

The peak is VmHWM of the process, counted anew from the start of each trial: the program itself, the data, all folds,
the activations of a batch, and checkpoints, 10 s apart at least. It must not grow from trial to trial; `--limit`
(2.5 GiB) is what a worker is told to plan for. A dataset whose file is not there is made up in its full size: random
images and labels. `--rows` bounds how many rows each fold trains on and scores; all of them are held all the same.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drawing import draw
from hpo.data.development import Development, load_development
from hpo.data.files import file_state
from hpo.data.folder import data_folder
from hpo.data.folds import Fold, scoring_folds
from hpo.revision import code_version
from hpo.study.catalogue import Dataset
from hpo.study.files import builtin_study_file, load_spec
from hpo.study.spec import StudySpec
from hpo.training.loop.checkpoint import Checkpoint
from hpo.training.loop.trial import train_trial
from hpo.training.machine.device import describe_device, peak_memory_bytes, set_up_process

GIB = 2**30
TOLD = ("batch_size", "augmentation", "weight_average", "loss", "optimizer", "resplit")


def development_rows(dataset: Dataset, folder: Path) -> tuple[Development, bool]:
    """The development rows, made up if their file is not there, and whether they are."""
    if file_state(dataset, folder).state != "missing":
        return load_development(dataset, folder), False
    random = np.random.default_rng(0)
    count = dataset.development_rows
    images = random.integers(0, 256, (count, *dataset.image_shape), dtype=np.uint8)
    labels = (random.integers(0, 10, (count, dataset.labels), dtype=np.uint8) == 0).astype(np.uint8)
    is_validation = np.repeat([False, True], dataset.rows[:2])
    return Development(dataset, images, labels, is_validation, "made up"), True


def bounded(folds: tuple[Fold, ...], rows: int | None) -> tuple[Fold, ...]:
    """Folds with no more than so many rows to fit and to score, spread over those they have."""
    if rows is None:
        return folds
    return tuple(Fold(_spread(fold.training, rows), _spread(fold.validation, rows)) for fold in folds)


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    places = np.linspace(0, rows.size - 1, min(count, rows.size)).astype(np.int64)
    return rows[places]


def resident_bytes() -> int:
    """What the process holds now."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def measure(
    spec: StudySpec, folder: Path, trials: int, epochs: int, seed: int, threads: int | None, most_rows: int | None
) -> dict[str, Any]:
    """Trains the trials one after the other in this process and returns the figures."""
    set_up_process(threads)
    development, is_made_up = development_rows(spec.data, folder)
    random = np.random.default_rng(seed)
    rows = []
    with tempfile.TemporaryDirectory() as checkpoints:
        for number in range(trials):
            config = draw(spec, random)
            folds = bounded(scoring_folds(development, spec.scoring, number), most_rows)
            checkpoint = Checkpoint(Path(checkpoints), number, 1, "benchmark", seconds=10.0)
            before, start = resident_bytes(), time.perf_counter()
            for _ in train_trial(config, development, folds, epochs, number, "cpu", checkpoint=checkpoint):
                pass
            size = checkpoint.path.stat().st_size if checkpoint.exists() else 0
            row = {name: getattr(config, name) for name in TOLD} | {
                "peak_gib": round(peak_memory_bytes("cpu") / GIB, 3),
                "resident_before_gib": round(before / GIB, 3),
                "checkpoint_mb": round(size / 1e6),
                "checkpoint_seconds": round(checkpoint.cost, 2),
                "seconds": round(time.perf_counter() - start, 1),
            }
            checkpoint.remove()
            rows.append(row)
            print(json.dumps({"trial": number} | row), flush=True)
    return {
        "dataset": spec.dataset,
        "made_up": is_made_up,
        "rows": len(development),
        "rows_trained_on": len(folds[0].training),
        "epochs": epochs,
        "folds": len(folds),
        "seed": seed,
        "largest_peak_gib": max(row["peak_gib"] for row in rows),
        "trials": rows,
        "device": describe_device("cpu"),
        "code": code_version(),
    }


def main() -> None:
    """Parses, runs, prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="breast")
    parser.add_argument("--data-dir")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rows", type=int, help="most rows that a fold trains on and scores")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of `hpo launch`")
    parser.add_argument("--limit", type=float, default=2.5, help="GiB")
    parser.add_argument("--out", type=Path, help="also write the JSON document there")
    given = parser.parse_args()
    spec = load_spec(builtin_study_file(given.dataset), tuple(given.set))
    folder = data_folder(given.data_dir)
    figures = measure(spec, folder, given.trials, given.epochs, given.seed, given.threads, given.rows)
    figures |= {"limit_gib": given.limit, "within_limit": figures["largest_peak_gib"] <= given.limit}
    text = json.dumps(figures, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
