"""Studies that were made with plug-ins, opened where these are not."""

from __future__ import annotations

import pytest

from hpo.errors import UsageError
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.study import open_study
from hpo.study.catalogue import Dataset, register_dataset
from hpo.study.choices import LOSSES, NETWORKS, PRUNERS, SAMPLERS
from hpo.study.config import TrainConfig
from hpo.study.plan import Plan
from hpo.study.space import Choices
from hpo.testing.trainer import make_spec
from tests.plugins import kept_registries
from tests.search.planned import make_confirmation, make_plan


def test_a_study_whose_plug_ins_are_not_there_names_them(database: Database) -> None:
    with kept_registries():
        for registry, name in [(LOSSES, "mine"), (NETWORKS, "thin"), (SAMPLERS, "halton"), (PRUNERS, "upper_half")]:
            registry.register(name, "tests.plugins:Shapes.line")
        form = {"dimensions": 2, "labels": 1, "rows": (1, 1, 1)}
        register_dataset(Dataset(name="blobs", **form, development="tests.plugins:Shapes.line"), test="m:f")
        spec = make_spec(sampler="halton", pruner="upper_half").model_copy(
            update={"dataset": "blobs", "fixed": {"network": "thin"}, "space": {"loss": Choices(choices=("mine",))}}
        )
        create_or_open(database, "study", spec)
        confirmation = make_confirmation(make_plan()).model_copy(update={"plan": _plan_with("mine")})
        create_or_open(database, "confirmation", confirmation)
        assert open_study(database, "study").spec == spec
    for name, missing in [("study", ["mine", "thin", "halton", "upper_half", "blobs"]), ("confirmation", ["mine"])]:
        with pytest.raises(UsageError) as caught:
            open_study(database, name)
        assert [word for word in missing if f"'{word}'" not in str(caught.value)] == []


def _plan_with(loss: str) -> Plan:
    plan = make_plan()
    changed = plan.candidates[0].model_copy(update={"config": TrainConfig(loss=loss)})
    return plan.model_copy(update={"candidates": (changed, *plan.candidates[1:])})
