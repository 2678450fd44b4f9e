"""Keys that stand in the wrong place, or are abbreviated, are answered with the key that was meant."""

from __future__ import annotations

import pytest

from hpo.errors import StudyFileError
from hpo.study.files import default_spec
from tests.mention import unmentioned


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("lr=.1", ["fixed.learning_rate", "space.learning_rate"]),
        ("fixed.lr=.1", ["fixed.learning_rate"]),
        ("space.lr.low=.1", ["space.learning_rate"]),
        ("epochs=3", ["budget.epochs"]),
        ("fixed.epochs=3", ["budget.epochs"]),
        ("search.n_trials=3", ["budget.trials"]),
        ("sampler=gp", ["search.sampler"]),
        ("seed=3", ["scoring.seed", "search.seed"]),
        ("learningrate=3", ["fixed.learning_rate"]),
        ("budgett.epochs=3", ["budget"]),
        ("fixed.margn=1", ["margin"]),
        ("nothing_like_it=1", ["dataset", "budget"]),
    ],
)
def test_the_key_that_was_meant_is_named(override: str, meant: list[str]) -> None:
    with pytest.raises(StudyFileError) as refused:
        default_spec("digits", (override,))
    assert unmentioned(refused.value, *meant) == []
