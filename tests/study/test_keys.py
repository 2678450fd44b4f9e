"""Keys that stand in the wrong place, or are abbreviated, are answered with the key that was meant."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from hpo.errors import StudyFileError
from hpo.study.config import TrainConfig
from hpo.study.files import default_spec
from hpo.study.spec import Scoring
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


@pytest.mark.parametrize(
    ("model", "name", "meant"),
    [(TrainConfig, "lr", "learning_rate"), (TrainConfig, "epoch_deacy", "epoch_decay"), (Scoring, "row", "rows")],
)
def test_a_model_tells_the_nearest_name_of_one_that_it_does_not_have(
    model: type[BaseModel], name: str, meant: str
) -> None:
    with pytest.raises(ValueError, match=f"did you mean {meant}"):
        model(**{name: 1})
