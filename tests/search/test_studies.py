"""Deleting and renaming studies, on every database."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator, Sequence

import optuna
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from hpo.errors import StudyConflictError, StudyNotFoundError, UsageError
from hpo.search.admin.studies import delete_study, delete_unused, read_deletion, rename_study
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.database import Database, open_database
from hpo.search.database.optuna_mirror import optuna_tables
from hpo.search.queries.ledger import StudyLedger, read_openings
from hpo.search.queries.listing import list_studies
from hpo.search.queries.trials import read_curve, read_trials
from hpo.search.queue.claiming import store_record
from hpo.search.queue.workers import register_worker, this_process
from hpo.search.strategy.sampler import suggest
from hpo.search.study import Study, open_study
from hpo.study.plan import Plan
from hpo.testing.trainer import make_record, make_spec
from hpo.testing.trials import claimed, expire, trained
from tests.search.planned import make_confirmation, make_plan


def _lived(database: Database, name: str, suffixes: Sequence[str] = ()) -> Study:
    """A study of three trials, and studies of one trial that belong to it."""
    study = create_or_open(database, name, make_spec(9))
    trained(study)
    plan = _plan_of(name)
    for suffix in suffixes:
        trained(create_or_open(database, f"{name}{suffix}", make_confirmation(plan)), (0.8,))
    return study


def _plan_of(name: str) -> Plan:
    return make_plan().model_copy(update={"search": name})


def _names(database: Database, start: str) -> set[str]:
    """The names of studies that begin so, which hpo and Optuna agree on."""
    ours = {row.name for row in list_studies(database) if row.name.startswith(start)}
    theirs = {name for name in optuna.get_all_study_names(database.optuna) if name.startswith(start)}
    assert ours == theirs
    return ours


def _rows(connection: Connection, study_id: int, trial_ids: Sequence[int]) -> dict[str, int]:
    """The number of rows of a study in each table that has any."""
    tables = [*schema.own_tables, *optuna_tables().values()]
    found = {}
    for table in tables:
        if "study_id" in table.c:
            here = table.c.study_id == study_id
        elif "trial_id" in table.c:
            here = table.c.trial_id.in_(trial_ids)
        else:
            continue
        if count := connection.scalar(sa.select(sa.func.count()).select_from(table).where(here)):
            found[table.name] = int(count)
    return found


class TestDelete:
    def test_a_study_that_nobody_has_used_goes_without_a_row(self, any_database: Database, name: str) -> None:
        study = create_or_open(any_database, name, make_spec(9))
        assert delete_unused(study)
        assert delete_unused(study), "by somebody else meanwhile"
        assert _names(any_database, name) == set()
        with any_database.engine.connect() as connection:
            assert _rows(connection, study.study_id, []) == {}

    @pytest.mark.parametrize("use", ["a trial", "a worker", "a confirmation"])
    def test_one_that_somebody_uses_stays(self, any_database: Database, name: str, use: str) -> None:
        study = create_or_open(any_database, name, make_spec(9))
        if use == "a trial":
            claimed(study)
        elif use == "a worker":
            register_worker(study, this_process("w"))
        else:
            create_or_open(any_database, f"{name}-confirm", make_confirmation(_plan_of(name)))
        assert not delete_unused(study)
        assert name in _names(any_database, name)

    def test_no_row_is_left_in_any_table_but_the_log(self, any_database: Database, name: str) -> None:
        study = _lived(any_database, name)
        other = _lived(any_database, f"{name} 2")
        StudyLedger(any_database).write(name, {"dataset": "breast"}, "abc", "")
        with any_database.engine.connect() as connection:
            trials = schema.trials.c
            ids = connection.scalars(sa.select(trials.trial_id).where(trials.study_id == study.study_id)).all()
            assert len(_rows(connection, study.study_id, ids)) >= 9
        deletion = delete_study(any_database, name)
        with any_database.engine.connect() as connection:
            assert _rows(connection, study.study_id, ids) == {}
        assert [(one.name, one.trials, one.reports) for one in deletion.studies] == [(name, 3, 6)]
        assert deletion.accesses == 1
        assert any(opening.study == name for opening in read_openings(any_database, "breast"))
        assert len(read_trials(other)) == 3
        assert _names(any_database, name) == {f"{name} 2"}

    def test_what_belongs_to_it_goes_along_and_is_named_before(self, any_database: Database, name: str) -> None:
        _lived(any_database, name, ["-confirm", "-ablation"])
        create_or_open(any_database, f"{name}-of-its-own", make_spec(2))
        announced = read_deletion(any_database, name)
        assert [one.name for one in announced.studies] == [name, f"{name}-confirm", f"{name}-ablation"]
        assert delete_study(any_database, name) == announced
        assert _names(any_database, name) == {f"{name}-of-its-own"}

    def test_what_was_not_announced_does_not_go(self, any_database: Database, name: str) -> None:
        _lived(any_database, name, ["-confirm"])
        announced = read_deletion(any_database, name)
        delete_study(any_database, f"{name}-confirm")
        with pytest.raises(UsageError, match="asked"):
            delete_study(any_database, name, force=True, announced=announced)
        assert _names(any_database, name) == {name}
        delete_study(any_database, name, announced=read_deletion(any_database, name))
        assert _names(any_database, name) == set()

    def test_a_confirmation_goes_without_its_search(self, any_database: Database, name: str) -> None:
        _lived(any_database, name, ["-confirm"])
        assert [one.name for one in delete_study(any_database, f"{name}-confirm").studies] == [f"{name}-confirm"]
        assert _names(any_database, name) == {name}

    @pytest.mark.parametrize("busy", ["", "-confirm"])
    def test_it_is_refused_while_a_worker_holds_a_trial(self, any_database: Database, name: str, busy: str) -> None:
        _lived(any_database, name, ["-confirm"])
        at_work = open_study(any_database, name + busy)
        claimed(at_work, "somebody")
        with pytest.raises(UsageError, match="somebody"):
            delete_study(any_database, name)
        assert len(_names(any_database, name)) == 2
        assert delete_study(any_database, name, force=True).studies[int(busy != "")].workers == ("somebody",)
        assert _names(any_database, name) == set()

    def test_a_lease_that_has_expired_does_not_keep_it(self, any_database: Database, name: str) -> None:
        study = _lived(any_database, name)
        claimed(study)
        expire(study)
        delete_study(any_database, name)
        assert _names(any_database, name) == set()

    def test_a_name_in_other_letters_is_another_study(self, any_database: Database, name: str) -> None:
        _lived(any_database, name)
        with pytest.raises(StudyNotFoundError):
            delete_study(any_database, name.upper())
        assert _names(any_database, name) == {name}

    def test_its_name_can_be_used_again(self, any_database: Database, name: str) -> None:
        _lived(any_database, name)
        delete_study(any_database, name)
        assert read_trials(create_or_open(any_database, name, make_spec(2))) == []


class TestRename:
    def test_trials_and_reports_are_found_under_the_new_name_only(self, any_database: Database, name: str) -> None:
        before = _lived(any_database, name)
        trials, curve = read_trials(before), read_curve(before, 1)
        assert rename_study(any_database, name, f"{name} new") == {name: f"{name} new"}
        after = open_study(any_database, f"{name} new")
        assert (after.study_id, after.spec) == (before.study_id, before.spec)
        assert read_trials(after) == trials
        assert read_curve(after, 1) == curve
        assert _names(any_database, name) == {f"{name} new"}
        trained(after, (0.6,))
        assert len(read_trials(after)) == 4

    def test_the_folder_of_its_checkpoints_stays_and_its_names_are_known(
        self, any_database: Database, name: str
    ) -> None:
        before = _lived(any_database, name)
        for old, new in ((name, f"{name} 2"), (f"{name} 2", f"{name} 3"), (f"{name} 3", f"{name} 2")):
            rename_study(any_database, old, new)
        after = open_study(any_database, f"{name} 2")
        assert after.former_names == (name, f"{name} 2", f"{name} 3")
        assert after.folder == before.folder
        assert create_or_open(any_database, name, before.spec).folder != before.folder

    def test_what_belongs_to_it_follows(self, any_database: Database, name: str) -> None:
        _lived(any_database, name, ["-confirm", "-ablation", "'s second confirmation"])
        names = rename_study(any_database, name, f"{name} new")
        assert names == {name + end: f"{name} new{end}" for end in ("", "-confirm", "-ablation")}
        others = [f"{name} new-confirm", f"{name} new-ablation", f"{name}'s second confirmation"]
        assert _names(any_database, name) == {f"{name} new", *others}
        for other in others:
            study = open_study(any_database, other)
            assert study.spec.plan is not None
            assert study.spec.plan.search == f"{name} new"
            assert create_or_open(any_database, other, study.spec).study_id == study.study_id

    def test_a_confirmation_that_is_renamed_still_belongs_to_its_search(
        self, any_database: Database, name: str
    ) -> None:
        _lived(any_database, name, ["-confirm"])
        rename_study(any_database, f"{name}-confirm", f"{name}-second")
        plan = open_study(any_database, f"{name}-second").spec.plan
        assert plan is not None
        assert plan.search == name

    def test_a_name_that_is_taken_changes_nothing(self, any_database: Database, name: str) -> None:
        _lived(any_database, name, ["-confirm"])
        any_database.optuna.create_new_study([optuna.study.StudyDirection.MAXIMIZE], f"{name} new-confirm")
        for new in (f"{name}-confirm", f"{name} new"):
            before = set(optuna.get_all_study_names(any_database.optuna))
            if new == f"{name}-confirm":
                assert len(rename_study(any_database, name, new)) == 2
                rename_study(any_database, new, name)
                continue
            with pytest.raises(StudyConflictError):
                rename_study(any_database, name, new)
            assert set(optuna.get_all_study_names(any_database.optuna)) == before

    def test_it_is_refused_while_a_worker_holds_a_trial(self, any_database: Database, name: str) -> None:
        study = _lived(any_database, name)
        claimed(study, "somebody")
        with pytest.raises(UsageError, match="somebody"):
            rename_study(any_database, name, f"{name} new")
        assert _names(any_database, name) == {name}

    def test_a_name_that_is_not_allowed_is_refused(self, any_database: Database, name: str) -> None:
        _lived(any_database, name)
        for new in ("", " x", "x\n", "x" * 201):
            with pytest.raises(UsageError):
                rename_study(any_database, name, new)
        with pytest.raises(StudyNotFoundError):
            rename_study(any_database, f"{name} else", "x")


@pytest.fixture(params=["postgresql", "mysql"])
def busy(request: pytest.FixtureRequest, name: str) -> Iterator[Study]:
    """A study on a server, of which a worker claims a trial while the next other transaction waits for its lock."""
    url: URL = request.getfixturevalue(request.param)
    theirs, ours = (open_database(url, create=True) for _ in range(2))
    study = _lived(theirs, name)
    claims: list[int] = []

    def claim_first(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FOR UPDATE" in statement and not claims:
            held = claimed(study)
            claims.append(held.number)
            drawn = suggest(study, held.number).drawn
            assert store_record(held, make_record({}), drawn=drawn)

    sa.event.listen(ours.engine, "before_cursor_execute", claim_first)
    yield dataclasses.replace(study, database=ours)
    assert len(claims) == 1
    for database in (theirs, ours):
        database.close()


class TestATrialThatIsClaimedMeanwhile:
    def test_is_deleted_too_by_force(self, busy: Study) -> None:
        delete_study(busy.database, busy.name, force=True)
        assert _names(busy.database, busy.name) == set()

    def test_keeps_a_study_from_being_deleted(self, busy: Study) -> None:
        with pytest.raises(UsageError):
            delete_study(busy.database, busy.name)
        assert _names(busy.database, busy.name) == {busy.name}

    def test_keeps_a_study_from_being_renamed(self, busy: Study) -> None:
        with pytest.raises(UsageError):
            rename_study(busy.database, busy.name, f"{busy.name} renamed")
        assert _names(busy.database, busy.name) == {busy.name}


def test_an_open_study_goes_to_other_processes(database: Database) -> None:
    study = _lived(database, "pickled")
    # As a worker has it, which remembers parts of its queries.
    database.read(study.is_in_optuna)
    copy = pickle.loads(pickle.dumps(study))
    assert (copy.name, copy.spec, copy.database.url) == (study.name, study.spec, database.url)
    assert copy.database.engine is not database.engine
    assert read_trials(copy) == read_trials(study)
    copy.database.close()
