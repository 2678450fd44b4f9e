"""A worker with a fake trainer as a process: python -m tests.search.process ADDRESS STUDY WORKER LEASE SECONDS."""

from __future__ import annotations

import sys

from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queue.workers import this_process
from hpo.search.study import open_study
from hpo.search.worker.loop import run_worker
from hpo.testing.trainer import FakeTrainer


def main(address: str, name: str, worker: str, lease: str, seconds: str) -> None:
    """Works until the study is finished, and says how many trials it finished."""
    study = open_study(open_database(resolve_address(address), create=True), name, lease=float(lease))
    train = FakeTrainer(study.spec.budget.epochs, float(seconds))
    print(run_worker(study, identity=this_process(worker), train=train).finished)


if __name__ == "__main__":
    main(*sys.argv[1:])
