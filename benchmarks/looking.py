"""Measure what looking at a large study costs: commands, and the dashboard beside optuna-dashboard without hpo.

    python -m benchmarks.looking [--trials N] [--storage FILE] [--rounds N] [--only NAME,...] [--out FILE]

Makes a finished study of N trials in a SQLite file (kept if --storage names it, and used again if it exists): the
search space of studies/digits.toml, 18 epochs, pruned at 2 and 6 as successive halving does, 1 in 50 failed, a record
with its ROC for each trial. Then each command runs in a process of its own, and each dashboard in another, which is
asked for the list of studies and twice for the study, with a pause in which its caches expire. CPU seconds of the
process; the median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.database.optuna_mirror import Attributes, Drawn, new_trial, write_end, write_params, write_report
from hpo.search.database.schema import RowValues
from hpo.search.strategy.sampler import distribution, planned_template
from hpo.search.strategy.seeds import seeds_of
from hpo.search.study import Study
from hpo.statistics.roc import ROC_GRID
from hpo.study.config import SettingValue, applies
from hpo.study.files import default_spec
from hpo.study.planned import planned_trial
from hpo.study.record import Provenance, ResourceUsage, TrialRecord
from hpo.study.space import Choices, IntRange, suggestion_order

NAME = "large"
EPOCHS, FIRST_RUNG, REDUCTION = 18, 2, 3
BATCH = 250
EXPIRE_SECONDS = 11.0
"""Longer than optuna-dashboard and hpo's notes keep what they have read."""

COMMANDS = {
    "status": ("status", NAME),
    "best": ("best", NAME),
    "trials": ("trials", NAME),
    "trials --json": ("trials", NAME, "--json"),
    "report": ("report", NAME),
}

_ENVIRONMENT = {
    **dict.fromkeys(("python", "torch", "torchvision", "numpy", "libauc", "optuna", "sqlalchemy"), "2.13.0+cpu"),
    "platform": "Linux-6.1.0-x86_64-with-glibc2.36",
    "device": "AMD EPYC, 2 threads",
}
_PROVENANCE = Provenance(code_version="0" * 40, environment=_ENVIRONMENT, data_md5="0" * 32)

_STOCK = """
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
from optuna.storages import RDBStorage, _CachedStorage
from optuna_dashboard import wsgi

class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass

server = make_server("127.0.0.1", 0, wsgi(_CachedStorage(RDBStorage(sys.argv[1]))), handler_class=Quiet)
print(f"http://127.0.0.1:{server.server_port}/dashboard", flush=True)
server.serve_forever()
"""


def make_study(path: Path, trials: int) -> Study:
    """Make a finished study in a SQLite file, or open it if it is there."""
    database = open_database(resolve_address(f"sqlite:///{path}"), create=True)
    options = (f"budget.trials={trials}", f"budget.epochs={EPOCHS}", f"search.first_rung={FIRST_RUNG}")
    study = create_or_open(database, NAME, default_spec("digits", options))
    with database.engine.connect() as connection:
        done = connection.scalar(sa.select(sa.func.count()).select_from(schema.trials)) or 0
    generator = np.random.default_rng(done)
    for first in range(done, trials, BATCH):
        with database.engine.begin() as connection:
            rows = [_Trial(study, number, generator) for number in range(first, min(first + BATCH, trials))]
            failed = sum([_insert(connection, study, row) for row in rows])
            counters = schema.studies.c
            change = sa.update(schema.studies).values(
                finished=counters.finished + len(rows), places=counters.places + len(rows),
                failed=counters.failed + failed,
            )  # fmt: skip
            connection.execute(change)
    return study


class _Trial:
    """What is stored of one trial, drawn at random."""

    def __init__(self, study: Study, number: int, generator: np.random.Generator) -> None:
        spec = study.spec
        self.number = number
        self.planned = planned_trial(spec, number)
        self.params = {} if self.planned is not None else _draw(study, generator)
        config = spec.config(self.params) if self.planned is None else self.planned.config
        self.is_failed = self.planned is None and generator.random() < 0.02
        self.epochs = EPOCHS if self.planned is not None else _pruned_at(generator)
        quality = 0.93 - 0.04 * abs(np.log10(config.learning_rate) + 1.5) - 0.02 * generator.random()
        steps = np.arange(1, self.epochs + 1)
        self.aucs = np.clip(quality - 0.2 / steps + generator.normal(0, 0.005, self.epochs), 0.5, 0.999)
        self.record = TrialRecord(
            config=config.model_dump(),
            params=self.params,
            seeds=seeds_of(spec.search.seed, number, self.planned),
            provenance=_PROVENANCE,
            attempts=1,
            usage=ResourceUsage(seconds=2.0 * self.epochs, energy_joules=150.0, peak_memory=2**28 + number),
            roc=tuple(round(float(rate), 4) for rate in np.asarray(ROC_GRID) ** 0.2),
        )


def _draw(study: Study, generator: np.random.Generator) -> dict[str, SettingValue]:
    values: dict[str, SettingValue] = {}
    space = study.spec.space
    for name in suggestion_order(space):
        entry = space[name]
        if not applies(name, {**study.spec.fixed, **values}):
            continue
        if isinstance(entry, Choices):
            values[name] = entry.choices[int(generator.integers(len(entry.choices)))]
        elif isinstance(entry, IntRange):
            values[name] = int(generator.integers(entry.low, entry.high + 1))
        else:
            low, high = (np.log(entry.low), np.log(entry.high)) if entry.log else (entry.low, entry.high)
            drawn = generator.uniform(low, high)
            values[name] = float(np.clip(np.exp(drawn) if entry.log else drawn, entry.low, entry.high))
    return values


def _pruned_at(generator: np.random.Generator) -> int:
    epochs = FIRST_RUNG
    while epochs < EPOCHS and generator.random() < 1 / REDUCTION:
        epochs *= REDUCTION
    return epochs


def _insert(connection: Connection, study: Study, trial: _Trial) -> bool:
    """Insert a trial into hpo's and Optuna's tables; return whether it failed."""
    planned, spec = trial.planned, study.spec
    template = None if planned is None else planned_template(spec, planned)
    trial_id, number = new_trial(connection, study.study_id, template)
    kinds = {name: distribution(spec.space[name]) for name in trial.params}
    drawn: Drawn = {name: (kinds[name].to_internal_repr(trial.params[name]), kinds[name]) for name in kinds}
    if drawn:
        write_params(connection, trial_id, drawn)
    outcome = "failed" if trial.is_failed else "complete" if trial.epochs == EPOCHS else "pruned"
    reports: list[RowValues] = []
    for epoch, auc in enumerate(map(float, trial.aucs), start=1):
        write_report(connection, trial_id, epoch, auc)
        folds = json.dumps([auc - 0.01, auc, auc + 0.01])
        learned: RowValues = {"training_auc": min(auc + 0.02, 1.0), "training_loss": 1 - auc, "seconds": 2.0}
        where: RowValues = {"study_id": study.study_id, "epoch": epoch, "trial_number": number}
        reports.append({**where, "auc": auc, "standard_error": 0.02, "fold_aucs": folds, **learned})
    connection.execute(sa.insert(schema.reports), reports)
    last, reason = float(trial.aucs[-1]), "the loss is not finite" if trial.is_failed else None
    shown: Attributes = {"worker": "node-1", "seconds": 2.0 * trial.epochs, "standard_error": 0.02}
    shown |= {} if reason is None else {"reason": reason}
    state = {"failed": "FAIL", "complete": "COMPLETE", "pruned": "PRUNED"}[outcome]
    write_end(connection, trial_id, state, None if trial.is_failed else last, shown)
    started = study.created_at - 1e6 + 40.0 * number
    row: RowValues = {
        "study_id": study.study_id,
        "place": number,
        "trial_number": number,
        "trial_id": trial_id,
        "state": "finished",
        "worker": "node-1",
        "fence": 1,
        "progress": 1.0,
        "outcome": outcome,
        "reason": reason,
        "started": started,
        "ended": started + 2.0 * trial.epochs,
        "epoch": trial.epochs,
        "auc": last,
        "standard_error": 0.02,
        "record": trial.record.to_json(),
        "reference": None if planned is None else planned.name,
    }
    connection.execute(sa.insert(schema.trials).values(row))
    return trial.is_failed


def command_seconds(arguments: tuple[str, ...], path: Path, folder: Path) -> float:
    """Run a command of hpo; return the CPU seconds of its process."""
    environment = {**os.environ, "HPO_STORAGE": f"sqlite:///{path}", "COLUMNS": "120"}
    with (folder / "output").open("w") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "hpo", *arguments], stdout=output, cwd=folder, env=environment
        )
        _, status, usage = os.wait4(started.pid, 0)
    if status:
        raise SystemExit(f"hpo {' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


@contextmanager
def served(command: list[str]) -> Iterator[tuple[psutil.Process, str]]:
    """Run a server that prints its address; yield its process and the address without a path."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield psutil.Process(server.pid), server.stdout.readline().strip().split("/dashboard")[0]
    finally:
        server.terminate()
        server.wait()


def page_seconds(command: list[str], study_id: int) -> dict[str, float]:
    """Ask a dashboard for its pages; return CPU seconds of each, megabytes of the answer and of its memory."""
    found: dict[str, float] = {}
    with served(command) as (process, address):
        for name, path in (
            ("studies", "/api/studies"),
            ("study, first load", f"/api/studies/{study_id}"),
            ("study, next load", f"/api/studies/{study_id}"),
        ):
            if "next" in name:
                time.sleep(EXPIRE_SECONDS)
            before = process.cpu_times()
            with urllib.request.urlopen(address + path, timeout=600) as answer:
                size = len(answer.read())
            after = process.cpu_times()
            found[name] = after.user + after.system - before.user - before.system
        found["MB of the answer"] = size / 1e6
        found["MB of memory"] = process.memory_info().rss / 1e6
    return found


def main() -> None:
    """Measure, print a table, and write the numbers to --out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--storage", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="", help="commands, and hpo or stock for the dashboards; default all")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = (options.storage or folder / "large.sqlite3").absolute()
        begun = time.monotonic()
        study = make_study(path, options.trials)
        print(f"study of {options.trials} trials in {path}: {time.monotonic() - begun:.0f} s")
        wanted = set(filter(None, options.only.split(",")))
        dashboards = {
            "hpo": [sys.executable, "-m", "hpo", "dashboard", "--port", "0", "--storage", f"sqlite:///{path}"],
            "stock": [sys.executable, "-c", _STOCK, f"sqlite:///{path}"],
        }
        seconds: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            for name, arguments in COMMANDS.items():
                if not wanted or name in wanted:
                    seconds.setdefault(name, []).append(command_seconds(arguments, path, folder))
            for who, command in dashboards.items():
                if not wanted or who in wanted:
                    for name, value in page_seconds(command, study.study_id).items():
                        seconds.setdefault(f"{who}: {name}", []).append(value)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in median.items():
        beside = median.get(name.replace("hpo: ", "stock: ")) if name.startswith("hpo: ") else None
        print(f"{name:28} {value:8.2f}" + (f"  {value / beside:.2f} times stock" if beside and beside >= 0.1 else ""))
    if options.out:
        options.out.write_text(
            json.dumps({"trials": options.trials, "all": seconds, "median": median}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
