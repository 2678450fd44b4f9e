"""Out-of-fold scores as they are read: which trials are aligned, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from hpo.errors import StorageError
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.queries.scores import read_fold_scores, read_out_of_fold
from hpo.search.queue.reporting import finish, record_report
from hpo.search.study import Study
from hpo.testing.scores import SAMPLES, make_scores
from hpo.testing.trainer import make_report, make_spec
from hpo.testing.trials import claimed

EPOCHS = 4


def _trained(study: Study, *, folds: int = 2, first: int = 0, outcome: str = "complete") -> int:
    """One trial with scores of so many folds, whose samples begin with those of fold `first`."""
    held = claimed(study)
    scores = tuple(make_scores(0.7, held.number, first + fold) for fold in range(folds))
    report = make_report(EPOCHS, 0.7, scores=scores)
    record_report(held, report)
    assert finish(held, outcome, report)
    return held.number


def _change(study: Study, table: sa.Table, **values: Any) -> None:
    with study.database.engine.begin() as connection:
        connection.execute(sa.update(table).where(table.c.study_id == study.study_id).values(values))


def test_more_trials_than_one_query_takes_are_aligned(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(25))
    numbers = [_trained(study) for _ in range(25)]
    found = read_out_of_fold(study)
    assert found is not None
    assert list(found.numbers) == numbers
    for place, number in enumerate(numbers):
        for fold in range(2):
            expected = make_scores(0.7, number, fold).logits.astype(np.float16)
            assert (found.folds[fold].scores[place] == expected).all()
            assert (found.folds[fold].samples == fold * SAMPLES + np.arange(SAMPLES)).all()


def test_samples_are_stored_once_for_all_trials(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(9))
    for _ in range(3):
        _trained(study)
    with database.engine.connect() as connection:
        counts = [
            connection.scalar(sa.select(sa.func.count()).select_from(table))
            for table in (schema.scored_samples, schema.scores)
        ]
    assert counts == [2, 6]


def test_pruned_trials_and_those_of_fewer_folds_are_not_aligned_but_keep_what_they_have(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(9))
    whole = [_trained(study), _trained(study)]
    few = _trained(study, folds=1)
    pruned = _trained(study, folds=1, outcome="pruned")
    found = read_out_of_fold(study)
    assert found is not None
    assert (list(found.numbers), found.missing) == (whole, 1)
    assert [list(read_fold_scores(study, number)) for number in (few, pruned)] == [[0], [0]]


def test_trials_that_were_scored_on_other_samples_are_not_compared(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(9))
    for trial in range(3):
        _trained(study, folds=1, first=trial)
    assert read_out_of_fold(study) is None
    _trained(study, folds=1, first=1)
    found = read_out_of_fold(study)
    assert found is not None
    assert (found.numbers, found.missing) == ((1, 3), 2)


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (schema.scores, {"logits": b"123"}),
        (schema.scores, {"logits": b""}),
        (schema.scores, {"logits": np.full(SAMPLES, np.nan, dtype="<f2").tobytes()}),
        (schema.scored_samples, {"labels": bytes([2]) * SAMPLES}),
        (schema.scores, {"digest": "elsewhere"}),
        (schema.scored_samples, {"labels": b"1"}),
        (schema.scored_samples, {"samples": b""}),
        (schema.scored_samples, {"samples": b"12345"}),
        (schema.scores, {"logits": sa.literal("text")}),
        (schema.scored_samples, {"labels": sa.literal(3)}),
    ],
)
def test_damaged_scores_are_refused_in_words(database: Database, table: sa.Table, values: dict[str, Any]) -> None:
    study = create_or_open(database, "study", make_spec(9))
    _trained(study), _trained(study)
    _change(study, table, **values)
    for read in (lambda: read_out_of_fold(study), lambda: read_fold_scores(study, 0)):
        with pytest.raises(StorageError):
            read()
