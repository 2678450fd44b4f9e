"""Connections that many idle workers hold on a server, and what a heartbeat then costs.

    python benchmarks/connections.py --storage ADDRESS [--workers N] [--seconds S] [--out FILE]

ADDRESS: an empty PostgreSQL database that may be written to, for instance `@hpo-database/address` of `hpo db serve`.
Workers are threads with an engine each, as a worker process has it, that write one small row every 10 s; nothing is
trained. The server counts its connections to this database twice a second.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import threading
import time
from pathlib import Path

import sqlalchemy as sa

from hpo.search.database import schema
from hpo.search.database.address import resolve_address, shown
from hpo.search.database.database import Database, open_database
from hpo.search.database.engine import make_engine

BEAT_SECONDS = 10.0


class IdleWorker(threading.Thread):
    """Writes as a heartbeat does. took: seconds of each write; errors: what went wrong."""

    def __init__(self, database: Database, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self._database, self._over = database, over
        self.took: list[float] = []
        self.errors: list[str] = []

    def run(self) -> None:
        """Beats until it is over; the first time after a part of the pause, so that workers do not come in step."""
        change = sa.update(schema.host).values(seen=0.0)
        self._over.wait(random.uniform(0, BEAT_SECONDS))
        while not self._over.is_set():
            start = time.perf_counter()
            try:
                self._database.write(lambda connection: connection.execute(change))
            except Exception as error:
                self.errors.append(str(error))
            self.took.append(time.perf_counter() - start)
            self._over.wait(BEAT_SECONDS * random.uniform(0.9, 1.1))


def measure(address: str, workers: int, seconds: float) -> dict[str, object]:
    """Runs the workers and returns the figures; the tables of hpo stay in the database."""
    url = resolve_address(address)
    open_database(url, create=True).close()
    over = threading.Event()
    databases = [open_database(url, create=False) for _ in range(workers)]
    crew = [IdleWorker(database, over) for database in databases]
    for worker in crew:
        worker.start()
    time.sleep(BEAT_SECONDS)
    counter, seen = make_engine(url), []
    count = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    end = time.monotonic() + seconds
    with counter.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        allowed = int(connection.scalar(sa.text("SHOW max_connections")) or 0)
        while time.monotonic() < end:
            seen.append(int(connection.scalar(count) or 0) - 1)
            time.sleep(0.5)
    over.set()
    for worker in crew:
        worker.join()
    for database in databases:
        database.close()
    counter.dispose()
    took = sorted(1000 * beat for worker in crew for beat in worker.took)
    return {
        "storage": shown(url),
        "workers": workers,
        "max_connections": allowed,
        "connections_mean": round(statistics.mean(seen), 1),
        "connections_max": max(seen),
        "errors": sum(len(worker.errors) for worker in crew),
        "heartbeat_p50_ms": round(took[len(took) // 2], 1),
        "heartbeat_p95_ms": round(took[int(len(took) * 0.95)], 1),
    }


def main() -> None:
    """Parses, measures, prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", required=True)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    text = json.dumps(measure(given.storage, given.workers, given.seconds), indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
