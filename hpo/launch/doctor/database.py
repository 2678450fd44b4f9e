"""Check the database: connection, tables, write access, free connections, clock."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from hpo.errors import OutputError, StorageError, StudyNotFoundError
from hpo.launch.doctor.finding import Finding, fault, ok, warning
from hpo.study.own import OwnFile
from hpo.text import counted

if TYPE_CHECKING:
    from hpo.search.admin.health import DatabaseFacts, DatabaseLocation

SKEW_WARNING, SKEW_FAULT = 2.0, 30.0
"""Tolerated seconds between this host's clock and the database's."""

_FEW_WORKERS = 8

SLOW_SECONDS = 0.5
"""Seconds to connect above which a database is reported as slow."""


class DatabaseCheck:
    """Check of the database at an address, and of a study in it.

    Attributes:
        location: address of the database, once looked up.
        dataset, others: names of the datasets of the study, once looked up.
        own: the file of the dataset if that is a user's own.
        slow: seconds to connect above which it is a warning.
    """

    def __init__(self, storage: str | None, study: str | None, slow: float = SLOW_SECONDS) -> None:
        self._storage = storage
        self._study = study
        self._slow = slow
        self.dataset: str | None = None
        self.others: tuple[str, ...] = ()
        self.own: OwnFile | None = None
        self.location: DatabaseLocation | None = None

    def look(self) -> Iterator[Finding]:
        """Yield findings, from the address to the study; what cannot be reached is left out."""
        from hpo.search.admin.health import examine, locate

        self.location = location = locate(self._storage)
        if location.file is not None and not location.file.exists() and self._study is None:
            yield warning(
                "database", f"{location.address} does not exist yet", "`hpo launch` or `hpo db init` creates it"
            )
            return
        facts = examine(location.url, self._study)
        self.dataset = facts.study.dataset if facts.study is not None else None
        self.others = facts.study.others if facts.study is not None else ()
        self.own = facts.study.own if facts.study is not None else None
        yield from judge(facts, self._study, slow=self._slow)


def judge(
    facts: DatabaseFacts, study: str | None = None, *, needs_tables: bool = False, slow: float = SLOW_SECONDS
) -> Iterator[Finding]:
    """Yield findings, from the connection to the study.

    Args:
        study: the one that must exist, if any.
        needs_tables: whether a database without tables is a fault; otherwise the first launch creates them.
        slow: seconds to connect above which it is a warning.
    """
    yield _answer(facts, slow)
    yield from _tables(facts, needs_tables)
    yield from _connections(facts)
    yield _clock(facts)
    if facts.write_refused is not None:
        cure = "request write permission, or give the address of a user who has it"
        yield fault("database", f"writing is refused: {facts.write_refused}", cure, OutputError)
    if study is not None:
        yield _study(facts, study)


def _answer(facts: DatabaseFacts, slow: float) -> Finding:
    text = f"{facts.address}: {facts.server}, answered in {facts.seconds * 1000:.0f} ms"
    if facts.seconds > slow:
        return warning("database", text, "each trial makes some hundred queries; run workers closer to it")
    return ok("database", text)


def _study(facts: DatabaseFacts, name: str) -> Finding:
    found = facts.study
    if found is None:
        cure = "check the name, or create the study with `hpo launch`"
        return fault("study", f"{facts.address} has no study {name}", cure, StudyNotFoundError)
    text = f"{name} on {found.dataset}: {found.finished} of {found.trials} trials finished"
    return ok("study", f"{text}, {found.workers} active workers")


def _tables(facts: DatabaseFacts, needs_tables: bool) -> Iterator[Finding]:
    if facts.version is None:
        text, cure = "the database has no hpo tables yet", "`hpo launch` or `hpo db init` creates them"
        yield fault("tables", text, cure, StorageError) if needs_tables else warning("tables", text, cure)
        return
    ours, theirs = facts.version == facts.version_wanted, facts.optuna == facts.optuna_wanted
    optuna = f"Optuna {version('optuna')}"
    if ours and theirs:
        yield ok("tables", f"version {facts.version}, and {facts.optuna} for {optuna}; {facts.studies} studies")
    if not ours:
        older = facts.version < facts.version_wanted
        cure = "run `hpo db backup`, then `hpo db upgrade`" if older else "update hpo on this host"
        wanted = f"{'older' if older else 'newer'} than this hpo's {facts.version_wanted}"
        yield fault("tables", f"tables of version {facts.version}, {wanted}", cure, StorageError)
    if not theirs:
        text = f"Optuna's tables have version {facts.optuna or 'none'}; {optuna} needs {facts.optuna_wanted}"
        yield fault("tables", text, "run `hpo db upgrade` with the newest Optuna of all workers", StorageError)


def _connections(facts: DatabaseFacts) -> Iterator[Finding]:
    from hpo.search.database.engine import CONNECTIONS

    allowed, used = facts.connections_allowed, facts.connections_used
    if allowed is None or used is None:
        return
    workers = max(0, allowed - used) // CONNECTIONS
    text = f"{used} of {allowed} connections in use, enough for at least {counted(workers, 'worker')}"
    if workers < _FEW_WORKERS:
        yield warning("database", text, "raise the server's max_connections, or close other connections")
    else:
        yield ok("database", text)


def _clock(facts: DatabaseFacts) -> Finding:
    if facts.server_host is None:
        return ok("clock", "the database's clock agrees with this host's")
    skew = max(0.0, abs(facts.clock_ahead) - facts.clock_uncertainty)
    where = "behind" if facts.clock_ahead > 0 else "ahead of"
    text = f"this host is {abs(facts.clock_ahead):.2g} s {where} the database"
    cure = "set this host's clock (chronyc, timedatectl), or the server's; leases use the database's clock"
    if skew > SKEW_FAULT:
        return fault("clock", text, cure, StorageError)
    return warning("clock", text, cure) if skew > SKEW_WARNING else ok("clock", text)
