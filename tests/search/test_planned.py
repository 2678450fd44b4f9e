"""Planned trials: the references of a search, and every trial of a confirmation."""

from __future__ import annotations

import json

import optuna
import pytest

from hpo.errors import StudyConflictError
from hpo.search.admin.copy import copy_study
from hpo.search.creation import create_or_open
from hpo.search.dashboard.notes import study_note
from hpo.search.database.database import Database
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_best, read_trials
from hpo.search.queue.workers import this_process
from hpo.search.study import open_study
from hpo.search.worker.loop import run_worker
from hpo.search.worker.replay import replay
from hpo.study.baselines import baselines
from hpo.study.config import TrainConfig
from hpo.study.planned import planned_trial
from hpo.study.spec import Scoring, StudySpec
from hpo.testing.trainer import FakeTrainer, make_spec
from hpo.testing.trials import recorded
from tests.mention import unmentioned
from tests.search.planned import make_confirmation, make_plan


def test_a_search_plans_its_baselines_and_leaves_the_rest_to_the_sampler() -> None:
    spec = make_spec(references=True)
    planned = [planned_trial(spec, slot) for slot in range(3)]
    assert [trial.baseline if trial else None for trial in planned] == [*baselines(spec), None]
    assert all(trial.repeat is None for trial in planned if trial)
    assert planned_trial(make_spec(references=False), 0) is None


def test_a_confirmation_goes_repeat_by_repeat_and_within_it_by_candidate() -> None:
    spec = make_confirmation(make_plan(references=1, others=2))
    planned = [planned_trial(spec, slot) for slot in range(5)]
    assert [(trial.name, trial.repeat) for trial in planned if trial] == [
        *(("reference 0", 0), ("trial 0", 0), ("trial 1", 0)),
        *(("reference 0", 1), ("trial 0", 1)),
    ]


def test_trials_of_a_repeat_share_seed_and_folds_and_those_of_other_repeats_and_of_the_search_do_not(
    database: Database,
) -> None:
    search, train = FakeTrainer(1), FakeTrainer(1)
    run_worker(create_or_open(database, "search", make_spec(6)), identity=this_process("w"), train=search)
    study = create_or_open(database, "search-confirm", make_confirmation(make_plan(1, 2), repeats=3))
    run_worker(study, identity=this_process("w"), train=train)
    seeds = [seed for _, seed in train.trained]
    assert seeds == [seeds[0]] * 3 + [seeds[3]] * 3 + [seeds[6]] * 3
    assert train.divided == [train.divided[0]] * 3 + [train.divided[3]] * 3 + [train.divided[6]] * 3
    assert len({*seeds}) == len({*train.divided}) == 3
    assert not {*seeds} & {seed for _, seed in search.trained}
    assert study.spec.scoring.seed not in train.divided
    assert search.divided == [None] * 6


def test_the_candidates_are_trained_exactly_as_planned_and_the_record_says_so(database: Database) -> None:
    plan = make_plan(references=1, others=1)
    study = create_or_open(database, "c", make_confirmation(plan, repeats=2))
    train = FakeTrainer(1)
    run_worker(study, identity=this_process("w"), train=train)
    assert [config for config, _ in train.trained] == [candidate.config for candidate in plan.candidates] * 2
    record = recorded(study, 3)
    assert (record.candidate, record.repeat) == ("trial 0", 2)
    assert record.seeds.trial_seed == train.trained[3][1]
    assert record.seeds.scoring_seed == train.divided[3]
    assert record.params == study.spec.searched_values(plan.candidates[1].config)


def test_a_trial_is_replayed_on_its_own_folds(database: Database) -> None:
    study = create_or_open(database, "c", make_confirmation(make_plan(0, 2), repeats=2))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(2))
    again = FakeTrainer(2)
    assert replay(study, 3, again).bit_equal
    assert again.divided == [recorded(study, 3).seeds.scoring_seed]


def test_readers_see_which_candidate_and_repeat_a_trial_is(database: Database) -> None:
    study = create_or_open(database, "c", make_confirmation(make_plan(1, 1), repeats=2))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(1), limit=3)
    rows = read_trials(study)
    assert [(row.candidate, row.repeat) for row in rows] == [("reference 0", 1), ("trial 0", 1), ("reference 0", 2)]
    assert unmentioned(rows[2].label, "reference 0", 2) == []
    ranking = read_best(study)
    assert unmentioned(ranking.trials[0].label, "trial 0", 1) == []
    assert "`hpo confirm search --name c`" in ranking.note
    assert [value.number for value in read_status(study).references] == [2]
    shown = optuna.load_study(study_name="c", storage=database.optuna).trials
    assert [trial.user_attrs["repeat"] for trial in shown] == [1, 1, 2]
    assert [trial.user_attrs.get("candidate") for trial in shown] == [None, "trial 0", None]
    assert shown[1].params["learning_rate"] == 0.01


def test_the_note_of_a_confirmation_names_the_commands_of_its_search(database: Database) -> None:
    study = create_or_open(database, "c", make_confirmation(make_plan(1, 1), repeats=2))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(1), limit=3)
    note = study_note(study.name, study.spec, read_status(study))
    assert unmentioned(note, "c", "search", "`hpo confirm search --name c`", "`hpo report search`") == []
    assert "hpo confirm c" not in note
    assert "hpo report c" not in note


def test_a_launch_on_a_confirmation_is_refused_with_the_command_that_is_meant(database: Database) -> None:
    create_or_open(database, "search-confirm", make_confirmation(make_plan()))
    with pytest.raises(StudyConflictError, match="`hpo confirm search`"):
        create_or_open(database, "search-confirm", make_spec(20))


def test_the_plan_comes_back_from_the_database_as_it_went(any_database: Database, name: str) -> None:
    spec = make_confirmation(make_plan(references=2, others=30), repeats=2)
    create_or_open(any_database, name, spec)
    assert open_study(any_database, name).spec == spec


def test_a_copy_goes_on_with_the_same_seeds(database: Database, tmp_path: object) -> None:
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database

    study = create_or_open(database, "c", make_confirmation(make_plan(0, 2), repeats=2))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(1), limit=3)
    target = open_database(resolve_address(f"sqlite:///{tmp_path}/copy.sqlite3"), create=True)
    copy_study(study, target, "other")
    train = FakeTrainer(1)
    copied = open_study(target, "other")
    assert run_worker(copied, identity=this_process("w"), train=train).finished == 1
    assert train.divided == [recorded(study, 2).seeds.scoring_seed]
    target.close()


def test_what_came_into_specs_later_leaves_older_fingerprints_as_they_were() -> None:
    stored = StudySpec(dataset="breast").model_dump(mode="json")
    del stored["confirm"], stored["plan"], stored["scoring"]["groups"], stored["search"]["rungs"]
    old = StudySpec.from_json(json.dumps(stored))
    assert old.fingerprint() == "117c2b7bc4969625"
    assert {"confirm", "plan"}.isdisjoint(old.canonical())
    assert (old.scoring.groups, old.search.rungs) == ("none", "epochs")


def test_groups_are_part_of_the_fingerprint_and_of_what_is_stored() -> None:
    grouped = StudySpec(dataset="breast")
    single = StudySpec(dataset="breast", scoring=Scoring(groups="none"))
    assert grouped.fingerprint() != single.fingerprint()
    for spec in (grouped, single):
        assert StudySpec.from_json(spec.model_dump_json()) == spec


def test_a_setting_that_came_later_leaves_older_fingerprints_as_they_were() -> None:
    plan = make_plan()
    assert _before(make_confirmation(plan)).fingerprint() == "da8aa10cc6dd782e"
    other = plan.candidates[0].model_copy(update={"config": TrainConfig.model_construct(network="other")})
    changed = plan.model_copy(update={"candidates": (other, *plan.candidates[1:])})
    assert _before(make_confirmation(changed)).fingerprint() != "da8aa10cc6dd782e"


def _before(spec: StudySpec) -> StudySpec:
    older = {
        "scoring": Scoring(groups="none"),
        "search": spec.search.model_copy(update={"rungs": "epochs"}),
        "confirm": spec.confirm.model_copy(update={"per_family": 0, "ranking": "auc"}),
    }
    return spec.model_copy(update=older)


def test_a_plan_and_its_configurations_are_part_of_the_fingerprint() -> None:
    spec, plan = make_confirmation(make_plan()), make_plan()
    other = plan.candidates[0].model_copy(update={"config": TrainConfig(margin=0.3)})
    changed = plan.model_copy(update={"candidates": (other, *plan.candidates[1:])})
    assert spec.fingerprint() != make_spec(9, epochs=2).fingerprint()
    assert spec.fingerprint() != spec.model_copy(update={"plan": changed}).fingerprint()
