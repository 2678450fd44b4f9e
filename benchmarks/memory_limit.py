"""What a trial of too much memory costs with and without a limit per worker, and what a process per trial would cost.

    python -m benchmarks.memory_limit [--trials 6] [--memory 1800] [--seed 0] [--only study|start] [--out FILE]

study: `hpo launch` with two workers on a CPU, on digits with batches of 32 or 1,024, once with the limit of
`hpo.training.machine.limits` (half of the memory each) and once without. There, this program stands in for the kernel's
out-of-memory killer: where both workers together hold more than the memory, it kills the larger one. Nothing else on
the machine is in danger.

start: CPU seconds, which other load does not change, of the first 5 steps of a trial: in a process that has trained
before, in a fork of a process that has imported everything and trained nothing (multiprocessing's forkserver with
preloaded modules), and in a new process, imports and set-up included.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

STUDY = (
    *("launch", "--dataset", "digits", "--device", "cpu", "--workers", "2"),
    *("--set", "scoring.rows=holdout", "--set", "budget.epochs=1", "--set", "search.first_rung=1"),
    *("--set", "search.references=false", "--set", "search.sampler=random"),
    *("--set", "space.batch_size.choices=[32,1024]"),
)

STEPS = 5

NO_LIMITS = "import resource\nresource.setrlimit = lambda *_: None\n"
"""A sitecustomize.py, which every Python process of a run imports at its start."""


class OutOfMemoryKiller(threading.Thread):
    """Kills the larger of the workers where they hold more than `limit` bytes together. killed: batch sizes in hand."""

    def __init__(self, folder: Path, limit: int) -> None:
        super().__init__(daemon=True)
        self._folder, self._limit = folder, limit
        self.over = threading.Event()
        self.killed: list[int | None] = []

    def run(self) -> None:
        """Look a hundred times a second, as memory grows by a GB in one."""
        while not self.over.wait(0.01):
            workers = {process: _resident(process) for process in _workers(os.getpid())}
            if sum(workers.values()) > self._limit:
                largest = max(workers, key=lambda process: workers[process])
                self.killed.append(self._batch_size(largest.pid))
                largest.kill()
                psutil.wait_procs([largest], timeout=5)

    def _batch_size(self, process: int) -> int | None:
        """Batch size of the trial that a worker holds."""
        query = (
            "SELECT record FROM hpo_trial t JOIN hpo_worker w ON t.worker = w.worker AND t.study_id = w.study_id "
            "WHERE w.process = ? AND t.state = 'claimed'"
        )
        with sqlite3.connect(self._folder / "hpo.sqlite3", timeout=5) as connection:
            row = connection.execute(query, (process,)).fetchone()
        return json.loads(row[0])["config"]["batch_size"] if row and row[0] else None


def _workers(parent: int) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        try:
            if "worker" in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def run_study(limited: bool, trials: int, memory: int, seed: int) -> dict[str, Any]:
    """Run the study in a folder of its own and return what became of its trials and workers."""
    with (
        tempfile.TemporaryDirectory(prefix="hpo-memory-limit-") as name,
        _killer(Path(name), memory, limited) as killer,
    ):
        folder = Path(name)
        (folder / "sitecustomize.py").write_text("" if limited else NO_LIMITS)
        command = shlex.join(
            [sys.executable, "-m", "hpo", *STUDY, "--trials", str(trials), "--set", f"search.seed={seed}"]
        )
        bound = f"ulimit -d {memory // 2 // 1024}; " if limited else ""
        environment = {**os.environ, "PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"}
        began = time.perf_counter()
        run = subprocess.run(
            ["bash", "-c", f"{bound}exec {command}"], cwd=folder, env=environment, capture_output=True, check=False
        )
        seconds = time.perf_counter() - began
        logs = "".join(log.read_text() for log in folder.rglob("*.log"))
        with sqlite3.connect(folder / "hpo.sqlite3") as connection:
            states = Counter(connection.execute("SELECT coalesce(outcome, state) FROM hpo_trial").fetchall())
        return {
            "exit_code": run.returncode,
            "seconds": round(seconds, 1),
            "trials": {state: count for (state,), count in sorted(states.items())},
            "processes_renewed": logs.count("the worker goes on as a new one"),
            "workers_killed": len(killer.killed),
            "killed_on_a_batch_of": Counter(str(size) for size in killer.killed),
        }


@contextmanager
def _killer(folder: Path, limit: int, limited: bool) -> Iterator[OutOfMemoryKiller]:
    killer = OutOfMemoryKiller(folder, limit)
    if not limited:
        killer.start()
    try:
        yield killer
    finally:
        killer.over.set()


def one_trial() -> None:
    """Load digits and train a trial for STEPS steps."""
    import torch

    from hpo.control import Control, Stop, StopReason
    from hpo.search.worker.trainer import Task, make_trainer
    from hpo.study.files import builtin_study_file, load_spec
    from hpo.training.machine.device import start_of_trial

    start_of_trial(torch.device("cpu"))
    spec = load_spec(builtin_study_file("digits"), ("budget.epochs=1", "scoring.rows=holdout"))
    stop, steps = Stop(), itertools.count(1)

    def progress(_share: float) -> None:
        if next(steps) >= STEPS:
            stop.request(StopReason.SIGNAL)

    task = Task(config=spec.config({}), seed=1, number=0, control=Control(stop, progress))
    for _ in make_trainer(spec, None, "cpu")(task):
        pass


def set_up() -> None:
    """Set the process up as `hpo worker` does."""
    import torch

    from hpo.training.machine.device import limit_memory, set_up_process

    set_up_process(1)
    limit_memory(torch.device("cpu"), 2)


def new_trial() -> float:
    """Return the CPU seconds of this process when it has been set up and has trained a trial."""
    set_up()
    one_trial()
    return time.process_time()


def in_a_child(results: Any) -> None:
    """Put the CPU seconds of a trial in this new process."""
    results.put(new_trial())


def measure_start(repeats: int) -> dict[str, list[float]]:
    """Return CPU seconds of a trial in a process that has trained before, and in new ones of either kind."""
    found: dict[str, list[float]] = {"used process": [], "fork": [], "new process": []}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hpo.training.loop.trial", "hpo.search.worker.trainer", "hpo.search.worker"])
    results = context.Queue()
    code = "import hpo.search.worker, hpo.training.loop.trial; from benchmarks.memory_limit import new_trial"
    new_trial()
    for _ in range(repeats):
        began = time.process_time()
        one_trial()
        found["used process"].append(time.process_time() - began)
        child = context.Process(target=in_a_child, args=(results,))
        child.start()
        found["fork"].append(results.get())
        child.join()
        run = subprocess.run(
            [sys.executable, "-c", f"{code}; print(new_trial())"], capture_output=True, text=True, check=True
        )
        found["new process"].append(float(run.stdout.split()[-1]))
    return {name: [round(value, 2) for value in values] for name, values in found.items()}


def main() -> None:
    """Parse, measure, print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--memory", type=int, default=1800, help="MB for both workers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["study", "start"])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found: dict[str, Any] = {}
    if given.only != "study":
        found["start"] = measure_start(given.repeats)
    if given.only != "start":
        for limited in (True, False):
            name = "with a limit" if limited else "without"
            found[name] = run_study(limited, given.trials, given.memory * 1_000_000, given.seed)
    text = json.dumps(found, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
