"""Specs that an earlier version of hpo stored: they say nothing about groups, and go on without any."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from hpo.errors import StudyConflictError
from hpo.outcome.preparation import planned_spec
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.queries.listing import list_studies
from hpo.search.study import Study, open_study
from hpo.search.worker.trainer import make_trainer
from hpo.study.files import builtin_study_file, load_spec
from hpo.study.spec import Scoring, StudySpec
from hpo.testing.trainer import make_spec
from tests.search.planned import make_plan

RESULTS = sorted((Path(__file__).parents[2] / "docs" / "results").glob("*/study.sqlite3"))


def stored_before_groups(database: Database, name: str, spec: StudySpec) -> Study:
    """A study whose spec is stored as before there were groups."""
    study = create_or_open(database, name, spec.model_copy(update={"scoring": Scoring(groups="none")}))
    here = schema.studies.c.study_id == study.study_id
    with database.engine.begin() as connection:
        stored = json.loads(connection.scalar(sa.select(schema.studies.c.spec).where(here)))
        del stored["scoring"]["groups"]
        connection.execute(sa.update(schema.studies).where(here).values(spec=json.dumps(stored)))
    return open_study(database, name)


def stored_fingerprints(database: Database) -> dict[str, str]:
    query = sa.select(schema.studies.c.name, schema.studies.c.fingerprint)
    return {row.name: row.fingerprint for row in database.read(lambda connection: connection.execute(query).all())}


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parent.name)
def test_committed_studies_keep_their_fingerprints_and_have_no_groups(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "study.sqlite3")
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/study.sqlite3"), create=False)
    specs = {row.name: open_study(database, row.name).spec for row in list_studies(database)}
    assert {name: spec.fingerprint() for name, spec in specs.items()} == stored_fingerprints(database)
    assert {spec.scoring.groups for spec in specs.values()} == {"none"}
    assert {(spec.confirm.per_family, spec.confirm.ranking) for spec in specs.values()} == {(0, "auc")}
    database.close()


def test_a_study_from_before_groups_is_resumed_from_the_file_that_it_was_made_from(database: Database) -> None:
    file = load_spec(builtin_study_file("breast"))
    old = stored_before_groups(database, "old", file)
    resumed = create_or_open(database, "old", file)
    assert resumed.spec == old.spec
    assert resumed.spec.fingerprint() == stored_fingerprints(database)["old"]


def test_a_spec_from_before_loss_families_is_confirmed_without_them_and_resumed_from_its_file() -> None:
    file = make_spec()
    stored = json.loads(file.model_dump_json())
    del stored["confirm"]["per_family"], stored["confirm"]["ranking"]
    old = StudySpec.from_json(json.dumps(stored))
    del stored["confirm"]
    assert StudySpec.from_json(json.dumps(stored)) == old
    assert (file.confirm.per_family, old.confirm.per_family) == (2, 0)
    assert file.confirm.ranking == old.confirm.ranking == "auc"
    assert file.fingerprint() != old.fingerprint() == file.like(old).fingerprint()
    assert "per_family" not in json.dumps(old.canonical())
    plan = old.model_copy(update={"plan": make_plan()})
    assert "per_family" not in json.dumps(plan.canonical())
    compared = old.model_copy(update={"plan": make_plan().model_copy(update={"per_family": 2})})
    assert compared.fingerprint() != plan.fingerprint()


def test_a_study_from_before_groups_is_not_resumed_with_groups(database: Database) -> None:
    stored_before_groups(database, "old", make_spec())
    with pytest.raises(StudyConflictError, match=r"scoring\.groups"):
        create_or_open(database, "old", make_spec().model_copy(update={"scoring": Scoring(groups="auto")}))


def test_a_new_study_stores_its_groups_and_a_file_that_says_none_is_another_study(database: Database) -> None:
    path = builtin_study_file("breast")
    assert create_or_open(database, "new", load_spec(path)).spec.scoring.groups == "auto"
    assert open_study(database, "new").spec.scoring.groups == "auto"
    with pytest.raises(StudyConflictError, match=r"scoring\.groups"):
        create_or_open(database, "new", load_spec(path, ("scoring.groups=none",)))


@pytest.mark.parametrize("rule", ["auto", "none"])
def test_a_confirmation_has_the_groups_of_its_search(database: Database, rule: str) -> None:
    spec = make_spec().model_copy(update={"scoring": Scoring(groups=rule)})
    assert planned_spec(create_or_open(database, "search", spec).spec, "confirm", make_plan(), 2).scoring.groups == rule


@pytest.mark.realdata
@pytest.mark.parametrize("rule", ["auto", "none"])
def test_a_trainer_divides_by_groups_only_where_its_study_does(data_dir: Path, rule: str) -> None:
    spec = load_spec(builtin_study_file("breast"), (f"scoring.groups={rule}",))
    trainer = make_trainer(spec, data_dir, "cpu")
    assert (trainer._development.groups is not None) == (rule == "auto")  # type: ignore[attr-defined]
