"""A worker with a fake trainer, for a process of its own."""

from __future__ import annotations

from multiprocessing.connection import Connection

from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queue.workers import this_process
from hpo.search.study import open_study
from hpo.search.worker.loop import run_worker
from hpo.testing.trainer import FakeTrainer


def work(address: str, name: str, worker: str, lease: float, seconds: float, answer: Connection) -> None:
    """Works until the study is finished, and sends how many trials it finished."""
    study = open_study(open_database(resolve_address(address), create=True), name, lease=lease)
    train = FakeTrainer(study.spec.budget.epochs, seconds)
    answer.send(run_worker(study, identity=this_process(worker), train=train).finished)
