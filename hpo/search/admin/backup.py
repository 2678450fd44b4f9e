"""Copy a whole database to one SQLite file and back: `hpo db backup` and `hpo db restore`.

Rows are copied table by table with the SQLAlchemy types of Optuna's models and of `hpo.search.database.schema`, which
are portable; reflected types are not (an ENUM is text in SQLite, a BOOL a number in MySQL).
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from hpo.errors import OutputError, StorageError, first_line
from hpo.files import atomic_write
from hpo.search.database import schema
from hpo.search.database.database import Database, open_database
from hpo.search.database.errors import as_hpo_error
from hpo.search.database.filesystem import is_local, local_folder
from hpo.search.database.optuna_mirror import optuna_tables
from hpo.search.database.schema import RowValues
from hpo.search.database.sqlite import open_file

BATCH = 1000
"""Number of rows per batch."""

BATCH_OF_BLOBS = 50
"""The same for rows of up to 64 KiB."""

_HEADER, _WITH_LOG = b"SQLite format 3\0", b"\x02\x02"
"""First bytes of a SQLite file, and after two more what says that a write-ahead log belongs to it, as to every database
that hpo has written to but a backup: https://sqlite.org/fileformat2.html."""

Progress = Callable[[str, int, int], None]
"""Called with the name of a table, the number of its rows copied so far, and their total."""


def backup(source: Database, path: Path, progress: Progress = lambda *_: None) -> int:
    """Write a consistent snapshot of the database to a SQLite file, which every command can read; return its rows.

    Workers may continue meanwhile. An earlier backup is replaced atomically.

    Raises:
        OutputError: if the file cannot be written, or is a database that studies work on.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_not_in_use(source, path)
        with atomic_write(path, 0o600) as part:
            if is_local(part):
                return _write_backup(source, part, progress)
            # A backup belongs on another disk, which on a cluster is a network's, where SQLite cannot write.
            with local_folder() as folder:
                copy = folder / "backup.sqlite3"
                rows = _write_backup(source, copy, progress)
                shutil.copyfile(copy, part)
            return rows
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None


def _check_not_in_use(source: Database, path: Path) -> None:
    """Raise OutputError if a backup would replace a file of another kind, or a database that studies work on.

    Processes that have it open would go on writing into a file without a name, and what is in its log would be read as
    if it belonged to the backup.
    """
    if not path.is_file():
        return
    of_source = source.url.database if source.url.get_backend_name() == "sqlite" else None
    if of_source is not None and Path(of_source).samefile(path):
        raise OutputError(f"{path} is the database itself; give another file for its backup")
    with path.open("rb") as file:
        header, versions = file.read(len(_HEADER)), file.read(4)[2:]
    if header not in (b"", _HEADER):
        raise OutputError(f"{path} is no backup, but a file of another kind; give another file")
    is_written_to = versions == _WITH_LOG
    logs = [log for suffix in ("-wal", "-journal") if (log := path.with_name(path.name + suffix)).exists()]
    if is_written_to or logs:
        raise OutputError(
            f"{path} is no backup, but a database that has been written to since; give another file, or remove it "
            f"first{f', with {logs[0].name}' if logs else ''}, if nobody needs its studies"
        )


def _write_backup(source: Database, part: Path, progress: Progress) -> int:
    target = open_database(URL.create("sqlite", database=str(part.absolute())), create=True)
    try:
        with snapshot(source) as reading, as_hpo_error(target.url), target.engine.begin() as writing:
            rows = _move_all(reading, writing, progress)
        target.close()
        _close_log(part)
    finally:
        target.close()
        for leftover in ("-wal", "-shm"):
            part.with_name(part.name + leftover).unlink(missing_ok=True)
    return rows


def require_backup(path: Path) -> None:
    """Check that there is a file, before a database is made for what is in it.

    Raises:
        StorageError: if not.
    """
    if not path.is_file():
        raise StorageError(f"{path} is not a file; give one that `hpo db backup` wrote")


def restore(path: Path, target: Database, progress: Progress = lambda *_: None) -> int:
    """Write a backup into an empty database in one transaction; return the number of rows.

    A backup by an older hpo is upgraded first, in a temporary copy.

    Raises:
        StorageError: if the file is not a backup or was written by a newer hpo, or the database is not empty.
    """
    from hpo.search.admin.migrations import upgrade

    require_backup(path)
    with local_folder() as folder:
        copy = folder / "backup.sqlite3"
        _copy_whole(path, copy)
        url = URL.create("sqlite", database=str(copy))
        try:
            upgrade(url)
        except StorageError as error:
            raise StorageError(f"{path} cannot be restored: {str(error).replace(str(copy), path.name)}") from None
        source = open_database(url, create=False)
        try:
            with snapshot(source) as reading, as_hpo_error(target.url), target.engine.begin() as writing:
                _check_empty(target, writing)
                return _move_all(reading, writing, progress)
        finally:
            source.close()


def _copy_whole(path: Path, copy: Path) -> None:
    """Copy a SQLite file with what is in its write-ahead log: of a database that was used, the last trials may be.

    Raises:
        StorageError: if it cannot be read.
    """
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or not is_local(path):
        shutil.copyfile(path, copy)
        if log.exists():
            shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))
        return
    try:
        with closing(open_file(None, None, [path], {})) as whole, closing(sqlite3.connect(copy)) as target:
            whole.backup(target)
    except sqlite3.Error as error:
        raise StorageError(f"{path} cannot be restored: {first_line(error)}") from None


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """Yield a connection that sees one snapshot of the database while others write."""
    with as_hpo_error(database.url), database.engine.connect() as connection:
        if database.url.get_backend_name() == "sqlite":
            yield connection.execution_options(hpo_reading=True)
        else:
            yield connection.execution_options(isolation_level="REPEATABLE READ")


def batches(connection: Connection, query: sa.Select[Any]) -> Iterator[list[RowValues]]:
    """Yield the rows of a query in batches, as dictionaries."""
    has_blobs = any(isinstance(column.type, sa.LargeBinary) for column in query.selected_columns)
    size = BATCH_OF_BLOBS if has_blobs else BATCH
    with connection.execution_options(yield_per=size).execute(query) as result:
        for rows in result.mappings().partitions():
            yield [dict(row) for row in rows]


def _move_all(reading: Connection, writing: Connection, progress: Progress) -> int:
    return sum(_move(table, reading, writing, progress) for table in _tables_in_order())


def _tables_in_order() -> list[sa.Table]:
    """Return every table except those of versions, each after those that it refers to."""
    theirs = sa.MetaData()
    for table in optuna_tables().values():
        table.to_metadata(theirs)
    ordered = [table for table in theirs.sorted_tables if table.name != "version_info"]
    return [*ordered, *(table for table in schema.own_tables if table is not schema.version)]


def _move(table: sa.Table, reading: Connection, writing: Connection, progress: Progress) -> int:
    query = _without_orphans(table)
    total = reading.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0
    done = 0
    progress(table.name, done, total)
    for rows in batches(reading, query):
        writing.execute(sa.insert(table), rows)
        done += len(rows)
        progress(table.name, done, total)
    _advance_sequence(table, writing)
    return done


def _without_orphans(table: sa.Table) -> sa.Select[Any]:
    """Select all rows of a table, except orphans: `optuna` leaves ours behind when it deletes a study from SQLite."""
    if table not in schema.own_tables or "study_id" not in table.c:
        return sa.select(table)
    theirs, ours = schema.optuna_studies.c, schema.studies.c
    existing = sa.select(ours.study_id).where(ours.study_id == theirs.study_id, ours.name == theirs.study_name)
    return sa.select(table).where(table.c.study_id.in_(existing))


def _advance_sequence(table: sa.Table, writing: Connection) -> None:
    """Advance PostgreSQL's sequence past the inserted keys; other databases do so by themselves."""
    key = table.autoincrement_column
    if writing.dialect.name != "postgresql" or key is None:
        return
    sequence = sa.func.pg_get_serial_sequence(table.name, key.name)
    largest = sa.select(sa.func.max(key)).scalar_subquery()
    writing.execute(sa.select(sa.func.setval(sequence, sa.func.coalesce(largest, 1), largest.is_not(None))))


def _check_empty(target: Database, writing: Connection) -> None:
    for table in (optuna_tables()["studies"], schema.ledger):
        if writing.scalar(sa.select(sa.func.count()).select_from(table)):
            raise StorageError(
                f"{target.address} is not empty; give a new database, or copy single studies with `hpo db copy`"
            )


def _close_log(path: Path) -> None:
    """Make a SQLite database a single file, without a write-ahead log."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()
