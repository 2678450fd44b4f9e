"""What a trial costs beside its steps: start of a worker, data, scoring, reports and database, checkpoints.

    python benchmarks/overhead.py --data-dir DIR [--dataset breast] [--epochs 2] [--set KEY=VALUE ...]

A worker of the shipped study, in a process of its own, on an SQLite database of its own, with checkpoints as they come,
does its first trial, a reference, for a few epochs; what comes once is then set against as many epochs as the study
has. A worker does many trials, but its start is counted to this one. Scoring, which a search cannot do without, is told
beside the rest: the target, under 5 %, is for everything else and for both together. On CUDA the device is waited for
after each step, so that scoring is not charged for steps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.control import Control

if TYPE_CHECKING:
    from hpo.search.worker.trainer import Task, Trainer
    from hpo.training.report import EpochReport

TARGET = 0.05
STEPS, SCORING, REPORTS, CHECKPOINTS = "steps", "scoring", "reports and database", "checkpoints"
START, DATA, SET_UP = "start of the worker", "data", "set-up of the trial"
ONCE = (START, DATA, SET_UP)
"""What a trial pays once; the rest is taken to grow with its epochs, which errs on the dear side for its claim."""


class Watched:
    """A trainer that adds up where the time of its trial goes; all else it leaves to the real one.

    A unit after which a larger share of the steps is done was a step, any other one scoring, as is the rest of an epoch
    after its last unit. What lies between two reports is the worker's: database, pruning decision, heartbeat. Set-up is
    what comes before the first unit ends, less a step as long as the others.
    """

    def __init__(self, trainer: Trainer, wait: Callable[[], None]) -> None:
        self._trainer, self._wait = trainer, wait
        self.seconds: dict[str, float] = defaultdict(float)
        self.epochs = self._steps = 0
        self._since = self._share = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)

    def __call__(self, task: Task) -> Iterator[EpochReport]:
        def progress(share: float) -> None:
            self._wait()
            is_step = share > self._share
            self._charge((STEPS if self._steps else SET_UP) if is_step else SCORING)
            self._steps += is_step
            self._share = max(self._share, share)
            task.control.progress(share)
            self._charge(REPORTS)

        with self._watched_checkpoints():
            reports = self._trainer(replace(task, control=Control(task.control.stop, progress)))
            self._since = time.perf_counter()
            for report in reports:
                self._wait()
                self._charge(SCORING)
                self.epochs += 1
                yield report
                self._charge(REPORTS)
        a_step = min(self.seconds[STEPS] / max(1, self._steps - 1), self.seconds[SET_UP])
        self.seconds[SET_UP] -= a_step
        self.seconds[STEPS] += a_step

    def _charge(self, part: str) -> None:
        now = time.perf_counter()
        self.seconds[part] += now - self._since
        self._since = now

    def _watched_checkpoints(self) -> Any:
        from unittest.mock import patch

        from hpo.training.loop.checkpoint import Checkpoint

        real = Checkpoint.save

        def save(checkpoint: Checkpoint, *given: Any) -> bool:
            start = time.perf_counter()
            try:
                return real(checkpoint, *given)
            finally:
                took = time.perf_counter() - start
                self.seconds[CHECKPOINTS] += took
                self._since += took

        return patch.object(Checkpoint, "save", save)


def work(given: argparse.Namespace) -> None:
    """The worker's process: prints its seconds as the last line."""
    from hpo.data.folder import data_folder
    from hpo.search.creation import create_or_open
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.queue.workers import this_process
    from hpo.search.worker.loop import run_worker
    from hpo.search.worker.trainer import make_trainer
    from hpo.study.files import builtin_study_file, load_spec
    from hpo.training.machine.device import choose_device, describe_device, set_up_process

    set_up_process(given.threads)
    whole = load_spec(builtin_study_file(given.dataset), tuple(given.set))
    spec = whole.model_copy(update={"budget": whole.budget.model_copy(update={"epochs": given.epochs, "trials": 1})})
    with tempfile.TemporaryDirectory(prefix="hpo-overhead-") as folder:
        database = open_database(resolve_address(f"sqlite:///{folder}/study.sqlite3"), create=True)
        study = create_or_open(database, given.dataset, spec)
        loading = time.perf_counter()
        trainer = make_trainer(spec, data_folder(given.data_dir), given.device, Path(folder) / "checkpoints")
        loaded = time.perf_counter() - loading
        device = choose_device(given.device)
        watched = Watched(trainer, _waiter(device.type))
        ready = time.time()
        start = time.perf_counter()
        run_worker(study, identity=this_process("overhead"), train=watched, limit=1)
        whole_seconds = time.perf_counter() - start
        database.close()
    seconds = dict(watched.seconds)
    seconds[REPORTS] += whole_seconds - sum(seconds.values())
    found = {
        "seconds": {START: ready - given.child - loaded, DATA: loaded} | seconds,
        "epochs": watched.epochs,
        "epochs_of_the_study": whole.budget.epochs,
        "device": describe_device(device),
    }
    print(json.dumps(found))


def _waiter(kind: str) -> Callable[[], None]:
    import torch

    return torch.cuda.synchronize if kind == "cuda" else lambda: None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def measure(arguments: list[str]) -> dict[str, Any]:
    """Runs the worker and returns shares of a trial as long as the study's."""
    command = [sys.executable, __file__, *arguments, "--child", str(time.time())]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    factor = found["epochs_of_the_study"] / found["epochs"]
    scaled = {name: value * (1 if name in ONCE else factor) for name, value in found["seconds"].items()}
    whole = sum(scaled.values())
    shares = {name: value / whole for name, value in scaled.items()}
    rest = 1 - shares[STEPS] - shares[SCORING]
    return {
        "seconds_measured": found["seconds"],
        "epochs_measured": found["epochs"],
        "epochs_of_a_trial": found["epochs_of_the_study"],
        "seconds_of_a_trial": whole,
        "percent_of_a_trial": {name: round(100 * share, 3) for name, share in shares.items()},
        "percent_beside_steps_and_scoring": round(100 * rest, 3),
        "percent_beside_steps": round(100 * (1 - shares[STEPS]), 3),
        "within_target": rest <= TARGET,
        "within_target_with_scoring": 1 - shares[STEPS] <= TARGET,
        "device": found["device"],
    }


def main() -> None:
    """Parses, measures, prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="breast")
    parser.add_argument("--data-dir")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of `hpo launch`")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, help="also write the JSON document there")
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        work(given)
        return
    figures = measure(sys.argv[1:])
    from hpo.revision import code_version

    text = json.dumps(figures | {"code": code_version()}, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
