"""Looks at the database: does it answer, are its tables ours, may one write, is there room, is the clock right."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from hpo.errors import OutputError, StorageError, StudyNotFoundError
from hpo.launch.doctor.finding import Finding, fault, ok, warning

if TYPE_CHECKING:
    from hpo.search.admin.health import Examined, Place, Versions

SKEW_WARNING, SKEW_FAULT = 2.0, 30.0
"""Seconds between this host's clock and the database's."""

_FEW_WORKERS = 8

SLOW_SECONDS = 0.5
"""Time to connect above which a database is called slow."""


class DatabaseCheck:
    """The database at an address, and a study in it. place, dataset: where it is and the study's, once looked at.

    slow: seconds to connect above which it is a warning.
    """

    def __init__(self, storage: str | None, study: str | None, slow: float = SLOW_SECONDS) -> None:
        self._storage = storage
        self._study = study
        self._slow = slow
        self.dataset: str | None = None
        self.place: Place | None = None

    def look(self) -> Iterator[Finding]:
        """Findings, from the address to the study; what cannot be reached is not guessed at."""
        from hpo.search.admin.health import examining, locate

        self.place = place = locate(self._storage)
        if place.file is not None and not place.file.exists() and self._study is None:
            yield warning("database", f"{place.address} is not there yet", "`hpo launch` or `hpo db init` makes it")
            return
        with examining(place.url) as examined:
            yield from self._ask(examined)

    def _ask(self, examined: Examined) -> Iterator[Finding]:
        took = f"answered in {examined.seconds * 1000:.0f} ms"
        if examined.seconds > self._slow:
            cure = "each trial asks it some hundred times; run workers nearer to it"
            yield warning("database", f"{examined.place.address}: {examined.server()}, {took}", cure)
        else:
            yield ok("database", f"{examined.place.address}: {examined.server()}, {took}")
        versions = examined.versions()
        there = yield from _tables(versions)
        yield from _connections(examined)
        yield from _clock(examined)
        if not there:
            if self._study is not None:
                yield _no_study(examined, self._study)
            return
        if refused := examined.write_refused():
            cure = "ask for the right to write, or give the address of a user who has it"
            yield fault("database", f"writing is refused: {refused}", cure, OutputError)
        if self._study is not None:
            yield self._look_at_study(examined, self._study)

    def _look_at_study(self, examined: Examined, name: str) -> Finding:
        facts = examined.study(name)
        if facts is None:
            return _no_study(examined, name)
        self.dataset = facts.dataset
        text = f"{name} on {facts.dataset}: {facts.finished} of {facts.trials} trials finished"
        return ok("study", f"{text}, {facts.workers} workers at work")


def _no_study(examined: Examined, name: str) -> Finding:
    cure = "check the name, or make the study with `hpo launch`"
    return fault("study", f"{examined.place.address} has no study {name}", cure, StudyNotFoundError)


def _tables(versions: Versions) -> Generator[Finding, None, bool]:
    """Whether the tables are those that this installation works with; returns it to the caller."""
    if versions.own is None:
        yield warning("tables", "the database holds no tables of hpo yet", "`hpo launch` or `hpo db init` makes them")
        return False
    if versions.own != versions.own_wanted:
        older = versions.own < versions.own_wanted
        cure = "run `hpo db backup`, then `hpo db upgrade`" if older else "update hpo on this host"
        text = (
            f"tables of version {versions.own}, {'older' if older else 'newer'} than this hpo's {versions.own_wanted}"
        )
        yield fault("tables", text, cure, StorageError)
        return False
    optuna = f"Optuna {version('optuna')}"
    if versions.optuna != versions.optuna_wanted:
        text = f"Optuna's tables are of {versions.optuna or 'no version'}; {optuna} wants {versions.optuna_wanted}"
        yield fault("tables", text, "run `hpo db upgrade` with the newest Optuna of all workers", StorageError)
        return False
    yield ok("tables", f"version {versions.own}, and {versions.optuna} for {optuna}")
    return True


def _connections(examined: Examined) -> Iterator[Finding]:
    found = examined.connections()
    if found is None:
        return
    text = f"{found.used} of {found.allowed} connections in use, room for {found.room} workers at least"
    if found.room < _FEW_WORKERS:
        yield warning("database", text, "raise the server's max_connections, or end what holds them")
    else:
        yield ok("database", text)


def _clock(examined: Examined) -> Iterator[Finding]:
    if examined.place.host is None:
        yield ok("clock", "the database keeps this host's time")
        return
    clock = examined.clock()
    skew = max(0.0, abs(clock.ahead) - clock.uncertainty)
    text = f"this host is {abs(clock.ahead):.2g} s {'behind' if clock.ahead > 0 else 'ahead of'} the database"
    cure = "set this host's clock (chronyc, timedatectl), or the server's; leases keep the database's time"
    if skew > SKEW_FAULT:
        yield fault("clock", text, cure, StorageError)
    elif skew > SKEW_WARNING:
        yield warning("clock", text, cure)
    else:
        yield ok("clock", text)
