"""Only a spec that can be read again reaches the database: `model_copy` validates nothing."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.errors import UsageError
from hpo.search.admin.extension import extend_plan
from hpo.search.admin.widening import widen
from hpo.search.creation import create_or_open, set_trials
from hpo.search.database.database import Database
from hpo.search.queries.listing import list_studies
from hpo.search.study import open_study
from hpo.study.plan import Addition
from hpo.study.space import FloatRange
from hpo.study.spec import StudySpec
from hpo.testing.trainer import make_spec
from tests.mention import unmentioned
from tests.search.planned import make_confirmation, make_plan


def _changed(section: str, spec: StudySpec | None = None, **values: Any) -> StudySpec:
    """A spec with entries that no study file could have."""
    spec = spec or make_spec()
    return spec.model_copy(update={section: getattr(spec, section).model_copy(update=values)})


BAD = [
    ("budget", "trials", 4.5),
    ("budget", "trials", 1_000_001),
    ("budget", "trials", 0),
    ("budget", "epochs", 0),
    ("scoring", "folds", 1),
    ("search", "sampler", "none of these"),
    ("confirm", "top", object()),
]


@pytest.mark.parametrize(("section", "key", "value"), BAD)
def test_a_spec_that_could_not_be_read_again_is_refused_before_anything_is_stored(
    database: Database, section: str, key: str, value: object
) -> None:
    with pytest.raises(UsageError) as refused:
        create_or_open(database, "bad", _changed(section, **{key: value}))
    assert unmentioned(refused.value, "bad") == []
    assert isinstance(value, (int, float, str)) == (unmentioned(refused.value, f"{section}.{key}") == [])
    assert list_studies(database) == []


def test_a_study_of_a_plug_in_that_is_not_registered_is_not_stored(database: Database) -> None:
    with pytest.raises(UsageError) as refused:
        create_or_open(database, "bad", make_spec().model_copy(update={"fixed": {"network": "none_such"}}))
    assert unmentioned(refused.value, "network", "none_such") == []
    assert list_studies(database) == []


@pytest.mark.parametrize("trials", [4.5, 1_000_001])
def test_a_study_is_not_extended_to_a_number_of_trials_that_none_can_have(database: Database, trials: Any) -> None:
    study = create_or_open(database, "s", make_spec(4))
    for budget in ("extend", "set"):
        with pytest.raises(UsageError):
            create_or_open(database, "s", _changed("budget", trials=trials), budget=budget)
    with pytest.raises(UsageError):
        set_trials(study, trials)
    assert open_study(database, "s").spec.budget.trials == 4


def test_a_space_is_not_widened_by_a_spec_that_could_not_be_read_again(database: Database) -> None:
    before = create_or_open(database, "s", make_spec(4)).spec
    space = {**before.space, "margin": FloatRange(low=0.05, high=1.0)}
    with pytest.raises(UsageError):
        widen(database, "s", _changed("budget", before.model_copy(update={"space": space}), trials=4.5))
    assert open_study(database, "s").spec == before


def test_a_plan_is_not_extended_by_one_that_could_not_be_read_again(database: Database) -> None:
    study = create_or_open(database, "s", make_confirmation(make_plan()))
    assert study.spec.plan is not None
    addition = Addition(candidates=1, repeats=1).model_copy(update={"candidates": 0})
    with pytest.raises(UsageError):
        extend_plan(study, study.spec.plan.model_copy(update={"added": (addition,)}))
    assert open_study(database, "s").spec == study.spec
