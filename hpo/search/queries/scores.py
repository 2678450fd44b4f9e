"""Read the out-of-fold scores of trials, aligned sample by sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from hpo.data.fold_scores import FoldScores, decode_logits, decode_samples
from hpo.errors import StorageError
from hpo.search.database import schema
from hpo.search.study import Study

_TRIALS_AT_ONCE = 20
"""Number of trials whose scores one query returns: at most 1.3 MB for each fold."""

_scores, _trials = schema.scores.c, schema.trials.c


@dataclass(frozen=True, eq=False)
class ScoredFold:
    """The scores of C trials on the validation part of one fold, in half precision as stored.

    Attributes:
        samples: (n,) int64, indices in the development set.
        labels: (n, L) uint8, 0 or 1.
        scores: (C, n, L) float16 logits.
    """

    samples: NDArray[np.int64]
    labels: NDArray[np.uint8]
    scores: NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Out-of-fold scores of the complete trials of a study that were all scored on the same samples.

    Attributes:
        numbers: of the C trials, ascending.
        folds: in their order; those of one repeat are disjoint.
        missing: number of complete trials without scores on all folds, such as those of an older hpo.
    """

    numbers: tuple[int, ...]
    folds: tuple[ScoredFold, ...]
    missing: int


@dataclass(frozen=True)
class _Row:
    """Where the scores of one trial and fold are."""

    trial: int
    fold: int
    digest: str


def read_fold_scores(study: Study, number: int) -> dict[int, FoldScores]:
    """Return the scores of one trial by fold, as of its last rung or its end; empty if it has none yet.

    Raises:
        StorageError: if they cannot be read.
    """
    query = sa.select(schema.scores).where(_scores.study_id == study.study_id, _scores.trial_number == number)
    rows = study.database.read(lambda connection: connection.execute(query.order_by(_scores.fold)).all())
    samples = {digest: _read_samples(study, digest) for digest in sorted({row.digest for row in rows})}
    return {row.fold: FoldScores(*samples[row.digest], _decoded(study, row, samples[row.digest][1])) for row in rows}


def read_out_of_fold(study: Study) -> OutOfFold | None:
    """Read the scores of all complete trials that have them for every fold; None if no two trials have.

    Trials are compared on the same samples only, so of several divisions of the samples, as `reshuffled` scoring makes
    them, the one that most trials share counts. Holds 2 bytes for each score; read a few trials at a time.

    Raises:
        StorageError: if they cannot be read.
    """
    complete, rows = study.database.read(lambda connection: (_complete(connection, study), _rows(connection, study)))
    folds: dict[int, dict[int, str]] = {}
    for row in rows:
        folds.setdefault(row.trial, {})[row.fold] = row.digest
    divisions = Counter(tuple(sorted(found.items())) for found in folds.values())
    # Of equally frequent ones that with more folds: a trial whose scores are partly missing is not the measure.
    division = max(divisions, key=lambda found: (divisions[found], len(found)), default=())
    numbers = tuple(sorted(trial for trial, found in folds.items() if tuple(sorted(found.items())) == division))
    if len(numbers) < 2:
        return None
    tables = [_table(study, digest, len(numbers)) for _, digest in division]
    place = {number: row for row, number in enumerate(numbers)}
    order = {fold: column for column, (fold, _) in enumerate(division)}
    for found in _read_logits(study, numbers):
        if found.fold in order:
            table = tables[order[found.fold]]
            table.scores[place[found.trial_number]] = _decoded(study, found, table.labels)
    return OutOfFold(numbers, tuple(tables), complete - len(numbers))


def _complete(connection: sa.Connection, study: Study) -> int:
    here = (_trials.study_id == study.study_id, _trials.outcome == "complete")
    return connection.scalar(sa.select(sa.func.count()).select_from(schema.trials).where(*here)) or 0


def _rows(connection: sa.Connection, study: Study) -> list[_Row]:
    """Return what complete trials have at their last epoch."""
    same = (_trials.study_id == _scores.study_id) & (_trials.trial_number == _scores.trial_number)
    query = sa.select(_scores.trial_number, _scores.fold, _scores.digest).join(schema.trials, same)
    # Of an attempt that was lost, scores of a later epoch may have been left.
    query = query.where(_scores.study_id == study.study_id, _trials.outcome == "complete")
    query = query.where(_scores.epoch == _trials.epoch)
    return [_Row(row.trial_number, row.fold, row.digest) for row in connection.execute(query)]


def _table(study: Study, digest: str, trials: int) -> ScoredFold:
    samples, labels = _read_samples(study, digest)
    return ScoredFold(samples, labels, np.zeros((trials, *labels.shape), dtype=np.float16))


def _read_samples(study: Study, digest: str) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    known = schema.scored_samples.c
    query = sa.select(known.samples, known.labels).where(known.study_id == study.study_id, known.digest == digest)
    row = study.database.read(lambda connection: connection.execute(query).one_or_none())
    if row is None:
        raise StorageError(f"study {study.name} has scores of samples that are not there ({digest})")
    try:
        return decode_samples(bytes(row.samples), bytes(row.labels))
    except ValueError as error:
        raise StorageError(f"study {study.name} has scored samples that cannot be read: {error}") from None


def _read_logits(study: Study, numbers: Sequence[int]) -> Iterator[schema.AnyRow]:
    """Yield the rows of these trials, a few of which are in memory at a time."""
    query = sa.select(_scores.trial_number, _scores.fold, _scores.logits).where(_scores.study_id == study.study_id)
    for start in range(0, len(numbers), _TRIALS_AT_ONCE):
        some = query.where(_scores.trial_number.in_(numbers[start : start + _TRIALS_AT_ONCE]))
        yield from study.database.read(partial(_all, some))


def _all(query: sa.Select[Any], connection: sa.Connection) -> Sequence[schema.AnyRow]:
    return connection.execute(query).all()


def _decoded(study: Study, row: schema.AnyRow, labels: NDArray[np.uint8]) -> NDArray[np.float16]:
    try:
        return decode_logits(bytes(row.logits), labels)
    except ValueError as error:
        trial = study.trial_name(row.trial_number)
        raise StorageError(f"{trial} has scores that cannot be read: {error}; restore a backup") from None
