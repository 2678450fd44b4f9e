"""What the database and Optuna cost a trial, and what `hpo --help` costs, as shares of a 10-second epoch.

    python benchmarks/service.py [--storage URL] [--trials N] [--out FILE]

Runs a study of the BreastMNIST space with a stand-in trainer that costs nothing: everything that is measured is
claiming, sampling, reporting with pruning decisions, and finishing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hpo.search.address import resolve_address, shown
from hpo.search.reading import read_status
from hpo.search.storage import open_database
from hpo.search.study import create_or_take_up
from hpo.search.worker import run_worker
from hpo.study.config import TrainConfig
from hpo.study.files import builtin_study_file, load_spec

EPOCH_SECONDS = 10.0


@dataclass(frozen=True)
class FreeReport:
    """A report that cost nothing."""

    epoch: int
    auc: float
    standard_error: float = 0.01
    fold_aucs: tuple[float, ...] = (0.8, 0.8, 0.8, 0.8, 0.8)
    training_auc: float = 0.9
    training_loss: float = 0.1
    seconds: float = EPOCH_SECONDS


@dataclass
class FreeTrainer:
    """Stands in for training; notes the seconds between two reports, which are the service's."""

    epochs: int
    gaps: list[float] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    data_md5: str = ""
    code_version: str = "benchmark"
    dirty: bool = False
    failure: type[Exception] = ZeroDivisionError

    def __call__(self, config: TrainConfig, trial_seed: int, beat: Callable[[float], None]) -> Iterator[FreeReport]:
        """Reports noise around .8."""
        random = np.random.default_rng(trial_seed)
        for epoch in range(1, self.epochs + 1):
            start = time.perf_counter()
            yield FreeReport(epoch, float(random.normal(0.8, 0.05)))
            self.gaps.append(time.perf_counter() - start)

    def peak_memory(self) -> int:
        """None to speak of."""
        return 0


def help_seconds(rounds: int = 7) -> float:
    """Median wall seconds of `hpo --help`."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "hpo", "--help"], stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def measure(storage: str, trials: int) -> dict[str, object]:
    """Runs the study and returns the figures."""
    spec = load_spec(builtin_study_file("breast"), (f"budget.trials={trials}", "budget.epochs=20"))
    study = create_or_take_up(open_database(resolve_address(storage), create=True), f"cost-{time.time():.0f}", spec)
    trainer = FreeTrainer(spec.budget.epochs)
    start = time.perf_counter()
    run_worker(study, worker="benchmark", train=trainer)
    seconds = time.perf_counter() - start
    gaps = sorted(trainer.gaps)
    look = time.perf_counter()
    read_status(study)
    return {
        "storage": shown(study.database.url),
        "trials": trials,
        "reports": len(gaps),
        "report_p50_ms": 1000 * gaps[len(gaps) // 2],
        "report_p95_ms": 1000 * gaps[int(len(gaps) * 0.95)],
        "trial_overhead_ms": 1000 * (seconds - sum(gaps)) / trials,
        "share_of_a_10_s_epoch_percent": 100 * seconds / (len(gaps) * EPOCH_SECONDS),
        "status_ms": 1000 * (time.perf_counter() - look),
        "help_seconds": help_seconds(),
    }


def main() -> None:
    """Parses, measures, prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(given.storage or f"sqlite:///{folder}/cost.sqlite3", given.trials)
    text = json.dumps(figures, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
