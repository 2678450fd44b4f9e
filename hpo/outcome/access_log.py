"""Accesses to test sets through other databases, as far as they can be known.

The access log in the database is the record. A file in the folder of the data files repeats each entry, one line of
JSON each; every database that is used with this folder reads it. Final results in the same results folder tell of
accesses, too. What was opened on another machine, or with another data folder and results folder, is not known.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from hpo.files import read_text
from hpo.outcome.final import MOST_BYTES as MOST_OF_A_RESULT
from hpo.outcome.final import RESULT, FinalResult
from hpo.search.database.database import Database
from hpo.search.queries.ledger import Opening, read_openings
from hpo.study.catalogue import key_of_test_set
from hpo.study.stored import JsonObject, parse_object
from hpo.text import brief, timestamp

NAME = "test-set-accesses.jsonl"

MOST_BYTES = 2**24
"""Largest size of the file that is read."""

_DEEPEST = 3
"""Levels of folders below which no result is looked for: the root of results may be anybody's home folder."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Access:
    """An access to a test set, as the file holds it.

    Attributes:
        key: digest of the networks that were scored; the same networks are the same access.
        data_md5: of the data file, "" if unknown; datasets of different names may have the same file.
        seconds: since 1970, by this machine's clock.
        database: address without password.
    """

    key: str
    dataset: str
    data_md5: str
    study: str
    seconds: float
    database: str
    code_version: str
    reason: str

    @property
    def when(self) -> str:
        """Time of the access, in UTC."""
        return timestamp(self.seconds)


def access_key(configuration: JsonObject) -> str:
    """Return the digest of what an access was for; how configurations were chosen names studies, which are renamed."""
    kept = {name: value for name, value in configuration.items() if name != "entries"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def note_access(
    folder: Path, configuration: JsonObject, data_md5: str, study: str, database: str, code_version: str, reason: str
) -> None:
    """Append an access to the file in a folder, created if needed; where that fails, warn and go on."""
    access = Access(
        access_key(configuration),
        str(configuration.get("dataset")),
        data_md5,
        study,
        time.time(),
        database,
        code_version,
        reason,
    )
    line = json.dumps(asdict(access), sort_keys=True).encode() + b"\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # One write of one line at the end of the file: lines of several processes do not mix.
        number = os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(number, line)
            os.fsync(number)
        finally:
            os.close(number)
    except OSError as error:
        _log.warning(
            "the access to the test set is in the database, but could not be noted in %s (%s): other databases will "
            "not know of it",
            folder / NAME,
            error.strerror,
        )


def accesses_elsewhere(
    database: Database, dataset: str, data: Path, results: Path | None, data_md5: str = ""
) -> list[Access]:
    """Return the accesses to a test set that a database does not have, oldest first.

    What cannot be read is passed over with a warning.

    Args:
        data: folder of the data files.
        results: parent folder of final results; None if there is none.
        data_md5: of the data file, if known.

    Raises:
        StorageError: if the database cannot be read.
    """
    openings = read_openings(database, dataset)
    known = {access_key(opening.configuration) for opening in openings}
    found: dict[str, Access] = {}
    of_results = _of_results(results, openings) if results is not None else []
    for access in (*_noted(data / NAME), *of_results):
        same = key_of_test_set(access.dataset) == key_of_test_set(dataset) or (data_md5 and access.data_md5 == data_md5)
        if same and access.key not in known:
            found.setdefault(access.key, access)
    return sorted(found.values(), key=lambda access: access.seconds)


def _noted(path: Path) -> list[Access]:
    if not path.exists():
        return []
    try:
        lines = read_text(path, MOST_BYTES).splitlines()
    except (OSError, ValueError) as error:
        _log.warning("%s cannot be read (%s): accesses through other databases are not known", path, error)
        return []
    found = []
    for line in lines:
        if (access := _parsed(line)) is None:
            _log.warning("%s has a line that is no access: %s", path, brief(line))
        else:
            found.append(access)
    return found


def _of_results(root: Path, openings: list[Opening]) -> list[Access]:
    """Return the accesses that final results below a folder tell of, but for those of these openings."""
    ours = {(opening.row, opening.study) for opening in openings}
    found = []
    for path in sorted(path for depth in range(1, _DEEPEST + 1) for path in root.glob(f"{'*/' * depth}{RESULT}")):
        try:
            result = FinalResult.from_json(read_text(path, MOST_OF_A_RESULT))
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be read: %s", path, error)
            continue
        # Further down lie results of studies with a `/` in their names; what else does is kept from before.
        if path.parent.parent != root and not result.is_in(path.parent.relative_to(root)):
            continue
        if result.access or (result.ledger_row, result.study) not in ours:
            # Results of an older hpo do not say for which networks they opened the test set.
            key = result.access or f"{path.parent.name} {result.ledger_row}"
            where = f"the database of {path.parent}"
            found.append(
                Access(key, result.dataset, "", result.study, result.time, where, result.code_version, result.reason)
            )
    return found


def _parsed(line: str) -> Access | None:
    try:
        stored = parse_object(line)
        return Access(
            **{each.name: str(stored[each.name]) for each in fields(Access) if each.name != "seconds"},
            seconds=float(str(stored["seconds"])),
        )
    except (ValueError, KeyError, TypeError):
        return None
