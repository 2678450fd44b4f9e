"""What a database is, and whether this hpo can work on it: `hpo db check`. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpo.search.admin.health import Versions, examining
from hpo.search.database import schema
from hpo.search.database.address import shown
from hpo.search.database.database import open_database
from hpo.search.database.errors import check_sqlite_folder
from hpo.search.study import list_studies

CLOCK_SECONDS = 5.0
"""Difference between the database's clock and this host's from which times on the screen mislead."""


@dataclass(frozen=True)
class DatabaseCheck:
    """A database as it was found. clock_ahead: its clock minus this host's, seconds; seconds: to connect to it.

    connections_allowed, connections_used: None on SQLite. host: the one that works on a SQLite file. problems: why
    this hpo cannot work on it, a sentence each with the cure.
    """

    address: str
    server: str
    seconds: float
    version: int | None
    version_wanted: int
    optuna: str | None
    optuna_wanted: str
    clock_ahead: float
    connections_allowed: int | None
    connections_used: int | None
    host: str | None
    studies: int
    problems: list[str] = field(default_factory=list)

    def lines(self) -> list[tuple[str, str]]:
        """What there is to say, as name and value."""
        lines = [
            ("database", self.address),
            ("server", f"{self.server}, connected in {self.seconds * 1000:.0f} ms"),
            ("tables", f"hpo {_told(self.version)} (wanted {self.version_wanted})"),
            ("", f"Optuna {_told(self.optuna)} (wanted {self.optuna_wanted})"),
            ("clock", f"{self.clock_ahead:+.1f} s against this host's"),
            ("studies", str(self.studies)),
        ]
        if self.connections_allowed is not None:
            lines.append(("connections", f"{self.connections_used} of {self.connections_allowed} in use"))
        if self.host is not None:
            lines.append(("host", self.host))
        return lines


def check_database(url: URL) -> DatabaseCheck:
    """Examines a database. Raises StorageError if it cannot be reached, or is a file that is missing or shared."""
    if url.get_backend_name() == "sqlite":
        check_sqlite_folder(url, create=False)
    with examining(url) as found:
        versions, connections = found.versions(), found.connections()
        server, clock, seconds = found.server(), found.clock(), found.seconds
        # The connection's own clock and privileges are asked first: a missing table ends PostgreSQL's transaction.
        refused = found.write_refused() if versions.own is not None else None
    problems = _problems(versions)
    if refused is not None:
        problems.append(f"it may not be written to: {refused}")
    if abs(clock.ahead) > CLOCK_SECONDS + clock.uncertainty:
        problems.append(f"its clock is {clock.ahead:+.0f} s off this host's; set one of them right")
    studies, host = (0, None) if problems else _read(url)
    return DatabaseCheck(
        address=shown(url),
        server=server,
        seconds=seconds,
        version=versions.own,
        version_wanted=versions.own_wanted,
        optuna=versions.optuna,
        optuna_wanted=versions.optuna_wanted,
        clock_ahead=clock.ahead,
        connections_allowed=connections.allowed if connections else None,
        connections_used=connections.used if connections else None,
        host=host,
        studies=studies,
        problems=problems,
    )


def _problems(versions: Versions) -> list[str]:
    if versions.own is None:
        return ["it holds no tables of hpo; run `hpo db init`"]
    problems = []
    if versions.own < versions.own_wanted:
        problems.append(f"hpo's tables are of version {versions.own}; run `hpo db upgrade`")
    elif versions.own > versions.own_wanted:
        problems.append(f"hpo's tables are of version {versions.own}, newer than this hpo's; update hpo")
    if versions.optuna != versions.optuna_wanted:
        problems.append(
            f"Optuna's tables are of version {_told(versions.optuna)}, this Optuna's of {versions.optuna_wanted}; "
            "run `hpo db upgrade`, or update Optuna if that refuses"
        )
    return problems


def _read(url: URL) -> tuple[int, str | None]:
    database = open_database(url, create=False, outage=0.0)
    try:
        with database.reading() as connection:
            host = connection.scalar(sa.select(schema.host.c.host))
        return len(list_studies(database)), None if host is None else str(host).partition("/")[0]
    finally:
        database.close()


def _told(version: object) -> str:
    return "none" if version is None else str(version)
