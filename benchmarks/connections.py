"""Compare connection pools: connections that idle workers hold on a server, and what a transaction costs.

    python -m benchmarks.connections --storage ADDRESS [--pool closing,none,held] [--workers N] [--seconds S]
        [--trials N] [--rounds N] [--out FILE]

ADDRESS: an empty PostgreSQL or MySQL database that may be written to, or a SQLite file that does not exist yet.
Pools: closing (a pool whose connections a thread closes when it has been idle for a second), none (NullPool: a
connection per transaction), held (a pool that keeps its connection, with pool_pre_ping).

Each round measures each pool twice. Idle: N workers, threads with an engine and a trial each, renew their leases every
10 s; nothing is trained; the server counts its connections to this database twice a second. Busy: one worker runs
trials that cost nothing, as fast as the database allows: claim, suggest, 20 reports, end.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine

from benchmarks.cost.question import SPEC
from benchmarks.cost.systems import Hpo
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address, shown
from hpo.search.database.database import Database, open_database
from hpo.search.database.engine import driver_arguments, guard_connections, make_engine, set_up_sqlite
from hpo.search.queue.claiming import claim, renew
from hpo.search.queue.lease import Claim
from hpo.search.study import open_study

BEAT_SECONDS = 10.0

_COUNTS = {
    "postgresql": (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    ),
    "mysql": ("SELECT count(*) FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"),
}


def without_pool(url: URL) -> Engine:
    """Return an engine that connects for each transaction."""
    return _engine(url, poolclass=sa.NullPool)


def held(url: URL) -> Engine:
    """Return an engine that keeps a connection, and asks before each use whether it still lives."""
    return _engine(url, pool_size=1, max_overflow=1, pool_pre_ping=True)


def _engine(url: URL, **options: object) -> Engine:
    engine = sa.create_engine(url, connect_args=driver_arguments(url), **options)
    if url.get_backend_name() == "sqlite":
        set_up_sqlite(engine)
    guard_connections(engine)
    return engine


POOLS: dict[str, Callable[[URL], Engine]] = {"closing": make_engine, "none": without_pool, "held": held}


class IdleWorker(threading.Thread):
    """A worker that trains nothing and renews its lease. took: seconds of each renewal; errors: their messages."""

    def __init__(self, database: Database, study: str, number: int, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self._study, self._over = open_study(database, study), over
        found = claim(self._study, f"idle-{number}")
        assert isinstance(found, Claim)
        self._claim = found
        self.took: list[float] = []
        self.errors: list[str] = []

    def run(self) -> None:
        """Renew until it is over; at first after a random part of the pause, so that workers do not synchronise."""
        self._over.wait(random.uniform(0, BEAT_SECONDS))
        while not self._over.is_set():
            start = time.perf_counter()
            try:
                renew(self._claim, 0.5, started=0.0)
            except Exception as error:
                self.errors.append(str(error))
            self.took.append(time.perf_counter() - start)
            self._over.wait(BEAT_SECONDS * random.uniform(0.9, 1.1))


def measure_idle(url: URL, pool: str, study: str, workers: int, seconds: float) -> dict[str, list[float]]:
    """Return milliseconds of heartbeats, counts of connections, and a 1 for each error."""
    over = threading.Event()
    databases = [Database(url, POOLS[pool](url)) for _ in range(workers)]
    crew = [IdleWorker(database, study, number, over) for number, database in enumerate(databases)]
    for worker in crew:
        worker.start()
    over.wait(BEAT_SECONDS)
    counts: list[float] = []
    end = time.monotonic() + seconds
    counting = _COUNTS.get(url.get_backend_name())
    counter = without_pool(url)
    with counter.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while time.monotonic() < end:
            if counting:
                counts.append(float(connection.scalar(sa.text(counting)) or 0))
            time.sleep(0.5)
    over.set()
    for worker in crew:
        worker.join()
    for database in databases:
        database.close()
    return {
        "heartbeat_ms": [1000 * beat for worker in crew for beat in worker.took],
        "connections": counts,
        "errors": [1.0 for worker in crew for _ in worker.errors],
    }


def measure_busy(url: URL, pool: str, study: str, trials: int) -> dict[str, list[float]]:
    """Return milliseconds of each step of some trials in a row, by step."""
    database = Database(url, POOLS[pool](url))
    worker = Hpo(open_study(database, study), "busy")
    took: dict[str, list[float]] = defaultdict(list)
    for _ in range(trials):
        worker.trial(lambda step, seconds: took[f"{step}_ms"].append(1000 * seconds), lambda: False)
    worker.close()
    return took


def measure(
    address: str, pools: list[str], workers: int, seconds: float, trials: int, rounds: int
) -> dict[str, object]:
    """Run all rounds and return the figures; studies stay in the database."""
    url = resolve_address(address)
    database = open_database(url, create=True)
    found: dict[str, dict[str, list[float]]] = {pool: defaultdict(list) for pool in pools}
    for number in range(rounds):
        for pool in pools[number % len(pools) :] + pools[: number % len(pools)]:
            study = f"connections-{number}-{pool}"
            create_or_open(database, study, SPEC)
            parts = [measure_busy(url, pool, study, trials)] if trials else []
            parts += [measure_idle(url, pool, study, workers, seconds)] if workers else []
            for part in parts:
                for key, values in part.items():
                    found[pool][key] += values
    database.close()
    return {
        "storage": shown(url),
        "workers": workers,
        "rounds": rounds,
        "pools": {pool: {key: _summary(values) for key, values in sorted(of.items())} for pool, of in found.items()},
    }


def _summary(values: list[float]) -> dict[str, float]:
    if not values:
        return {"n": 0}
    ordered = sorted(values)
    return {
        "n": len(values),
        "mean": round(statistics.mean(values), 2),
        "p50": round(ordered[len(values) // 2], 2),
        "p95": round(ordered[int(len(values) * 0.95)], 2),
        "max": round(ordered[-1], 2),
    }


def main() -> None:
    """Parse, measure, print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", required=True)
    parser.add_argument("--pool", default=",".join(POOLS), help="comma-separated")
    parser.add_argument("--workers", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    figures = measure(given.storage, given.pool.split(","), given.workers, given.seconds, given.trials, given.rounds)
    text = json.dumps(figures, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
