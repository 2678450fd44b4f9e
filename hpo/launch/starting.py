"""Start points of a study to create, taken from other studies: `hpo launch --from`."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from hpo.errors import StorageError, StudyNotFoundError, UsageError
from hpo.search.database.retry import LOOKING_SECONDS
from hpo.search.queries.starting import best_as_starts, tried_on_samples
from hpo.search.study import Study, open_named_study
from hpo.study.ranges import TOP
from hpo.study.spec import StudySpec
from hpo.study.starts import MOST_STARTS, Start
from hpo.text import brief

_AT_ADDRESS = re.compile(r"@(?=@|-$|\s*[a-z0-9+]+:/)", re.IGNORECASE)
"""What is between a study and an address, as `resolve_address` takes it."""

_log = logging.getLogger(__name__)


def find_source(text: str, storage: str | None) -> Study:
    """Open the study that `--from STUDY[@STORAGE]` names.

    Args:
        storage: as `--storage` takes it, where none is named.

    Raises:
        UsageError: if no study is named.
        StudyNotFoundError, StorageError: as `open_named_study`.
    """
    # A name may have an @, too.
    if found := _AT_ADDRESS.search(text):
        name, storage = text[: found.start()], text[found.end() :]
    else:
        name = text
    if not name.strip() or name.endswith("@"):
        raise UsageError(f"--from {brief(text)}: give STUDY, or STUDY@STORAGE for a study of another database")
    try:
        return open_named_study(name, storage, outage=LOOKING_SECONDS)
    except StudyNotFoundError as error:
        if found or "@" not in name:
            raise
        address = brief(name.partition("@")[2])
        raise StudyNotFoundError(f"{error}; {address} is no address of a database, as sqlite:///FILE is") from None


def with_starts_from(
    spec: StudySpec, sources: Sequence[Study | str], *, name: str, storage: str | None = None, count: int = 3
) -> StudySpec:
    """Return a spec that starts from the best trials of other studies, too; tells what of them no longer fits.

    A study that exists keeps its start points, so that the same command continues it.

    Args:
        sources: studies, or what `find_source` takes.
        name: of the study to create.
        storage: its database.
        count: number of trials of each source.

    Raises:
        UsageError: if a source has nothing to start from, there are too many start points, or `count` is out of range.
        StudyNotFoundError, StorageError: if a source cannot be read.
    """
    TOP.check("--from-top", count)
    try:
        stored = open_named_study(name, storage, outage=LOOKING_SECONDS)
    except (StudyNotFoundError, StorageError):
        # If there is more to it, the creation of the study tells.
        pass
    else:
        _log.info(f"study {name} exists and keeps its {len(stored.spec.start)} start points")
        return spec.model_copy(update={"start": stored.spec.start, "earlier": stored.spec.earlier})
    starts, earlier = list(spec.start), spec.earlier
    for source in sources:
        found = find_source(source, storage) if isinstance(source, str) else source
        new, notes = best_as_starts(found, spec, count)
        for note in notes:
            _log.info(note)
        tried = tried_on_samples(found, spec)
        counted = (
            f"; the {tried} configurations tried there on the same samples count for a confirmation" if tried else ""
        )
        _log.info(f"starts from {found.name}: " + ", ".join(start.name for start in new) + counted)
        earlier += tried
        starts += [_renamed(start, starts) for start in new]
    if len(starts) > MOST_STARTS:
        raise UsageError(f"these are {len(starts)} start points; at most {MOST_STARTS} are allowed")
    return spec.model_copy(update={"start": tuple(starts), "earlier": earlier})


def _renamed(start: Start, others: Sequence[Start]) -> Start:
    """Return a start point with a name of its own: studies of two databases may have the same name."""
    again = sum(other.name == start.name or other.name.startswith(f"{start.name} (") for other in others)
    return start.model_copy(update={"name": f"{start.name} ({again + 1})"}) if again else start
