"""Worker processes on final networks, and what a kill leaves, on every database."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from hpo.data.development import load_development
from hpo.outcome.networks import Protocol
from hpo.outcome.winner import choose_entries
from hpo.search.database.database import open_database
from hpo.search.queries.status import read_status
from hpo.search.study import open_study
from hpo.training.loop.model_file import load_model, weights_digest
from tests.forked import ForkedHpo
from tests.outcome.finalizing import finalizing, searched
from tests.refitting import refitted
from tests.search.conftest import any_url, mysql, postgresql
from tests.wait import until

__all__ = ["any_url", "mysql", "postgresql"]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("linear_network")]

EPOCHS = 4


def test_the_network_of_a_killed_worker_is_trained_by_another_bit_for_bit(any_url: URL, tmp_path: Path) -> None:
    database = open_database(any_url, create=True)
    search = searched(database)
    results = tmp_path / "results"
    finalize = finalizing(search, results, limit=0)
    assert finalize(baseline_epochs=EPOCHS).missing == 3
    study = open_study(database, "digits-final")
    address = any_url.render_as_string(hide_password=False)
    command = ["worker", "digits-final", "--storage", address, "--device", "cpu"]
    environment = {"a": os.environ | {"HOLD_FOLDER": str(tmp_path), "HOLD_NETWORK": "0"}, "b": dict(os.environ)}

    def start(name: str) -> ForkedHpo:
        return ForkedHpo(*command, "--worker-name", name, cwd=tmp_path, environment=environment[name])

    workers = [start("a")]
    try:
        until(lambda: any(tmp_path.glob("held-*")), 300)
        workers.append(start("b"))
        until(lambda: read_status(study).finished or len(read_status(study).running) == 2, 300)
        workers[0].send_signal(signal.SIGKILL)
        assert workers[0].result(600).returncode == -signal.SIGKILL
        done_by_the_other = workers[1].result(600)
        assert done_by_the_other.returncode == 0, done_by_the_other.stderr
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
    done = finalize(baseline_epochs=EPOCHS)
    assert done.missing == 0
    development = load_development(search.spec.data, tmp_path)
    entries = {entry.name: entry for entry in choose_entries(search, trial=3)}
    seed = Protocol("development", 2, 1, search.spec.search.seed).seed(0)
    for network in done.networks:
        epochs = EPOCHS if entries[network.entry].is_reference else 2
        alone = refitted(entries[network.entry].config, development, epochs, seed, "cpu").model
        assert weights_digest(load_model(network.path)) == weights_digest(alone)
    database.close()
