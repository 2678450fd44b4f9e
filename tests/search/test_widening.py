"""Studies whose space is widened: old trials stay, workers notice, and anything else is refused."""

from __future__ import annotations

import json
import threading
from typing import Any

import optuna
import pytest
import sqlalchemy as sa

from hpo.errors import StudyConflictError
from hpo.outcome.preparation import Wishes, prepare_confirmation
from hpo.search.admin.widening import widen
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.queries.trials import read_trials
from hpo.search.queue.claiming import store_record
from hpo.search.queue.workers import this_process
from hpo.search.strategy.sampler import suggest
from hpo.search.study import Study, open_study
from hpo.search.worker.loop import run_worker
from hpo.study.space import Choices, FloatRange, Range
from hpo.study.spec import Scoring, StudySpec
from hpo.study.widening import obstacles
from hpo.testing.trainer import FakeTrainer, make_record, make_spec
from hpo.testing.trials import claimed
from tests.search.test_starts import STARTS
from tests.wait import LIMIT

WIDER: dict[str, Range] = {
    "learning_rate": FloatRange(low=1e-6, high=0.3, log=True),
    # The new choice is the first: places of the old ones move in Optuna's tables.
    "loss": Choices(choices=("aucm_v2", "cross_entropy", "aucm_v1")),
}


def with_space(spec: StudySpec, **entries: Range) -> StudySpec:
    return spec.model_copy(update={"space": {**spec.space, **entries}})


def searched(database: Database, trials: int = 8, name: str = "s", **options: Any) -> Study:
    study = create_or_open(database, name, make_spec(trials, references=True, **options))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(study.spec.budget.epochs))
    return study


def seen_by_others(database: Database, name: str) -> list[optuna.trial.FrozenTrial]:
    """The trials of a study, read by Optuna alone."""
    url = database.engine.url.render_as_string(hide_password=False)
    return optuna.load_study(study_name=name, storage=url).trials


def is_in_the_wider_space(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether Optuna has a trial's loss and learning rate in the distributions of `WIDER`."""
    loss = optuna.distributions.CategoricalDistribution(WIDER["loss"].choices)
    rate = optuna.distributions.FloatDistribution(1e-6, 0.3, log=True)
    return (trial.distributions["loss"], trial.distributions["learning_rate"]) == (loss, rate)


@pytest.mark.slow
def test_old_trials_stay_as_they_are_and_new_ones_are_of_the_wider_space(any_database: Database, name: str) -> None:
    before = read_trials(searched(any_database, name=name))
    wide = with_space(make_spec(40, references=True), **WIDER)
    lines = widen(any_database, name, wide)
    assert {line.partition(": ")[0] for line in lines} == {"space.learning_rate.low", "space.loss.choices"}
    study = create_or_open(any_database, name, wide)
    assert study.spec == wide
    assert study.fingerprint == wide.fingerprint()
    assert [row.params for row in read_trials(study)] == [row.params for row in before]
    run_worker(study, identity=this_process("w"), train=FakeTrainer(4))
    new = read_trials(study)[len(before) :]
    assert "aucm_v2" in {row.params["loss"] for row in new}
    assert min(row.params["learning_rate"] for row in new) < 1e-4
    assert widen(any_database, name, wide) == []


def test_other_programs_see_old_and_new_trials_in_one_space(any_database: Database, name: str) -> None:
    study = searched(any_database, name=name)
    values = {row.number: row.params for row in read_trials(study) if row.params}
    widen(any_database, name, with_space(study.spec, **WIDER))
    trials = seen_by_others(any_database, name)
    assert {trial.number: trial.params for trial in trials if trial.number in values} == values
    assert all(is_in_the_wider_space(trial) for trial in trials)


def test_a_trial_sampled_before_is_stored_in_the_wider_space(any_database: Database, name: str) -> None:
    study = create_or_open(any_database, name, make_spec())
    held = claimed(study)
    suggestion = suggest(study, held.number)
    widen(any_database, name, with_space(study.spec, **WIDER))
    assert store_record(held, make_record({}, suggestion.values), drawn=suggestion.drawn)
    (trial,) = seen_by_others(any_database, name)
    assert trial.params == suggestion.values
    assert is_in_the_wider_space(trial)


def test_a_trial_that_is_stored_at_the_moment_of_a_widening_is_in_the_wider_space(
    any_database: Database, name: str
) -> None:
    study = create_or_open(any_database, name, make_spec())
    held = claimed(study)
    suggestion = suggest(study, held.number)
    wide = with_space(study.spec, **WIDER)
    widening = threading.Thread(target=widen, args=(any_database, name, wide))

    def widen_now(*event: Any) -> None:
        if "trial_params" in event[2] and widening.ident is None:
            widening.start()
            # It waits for the transaction that it is in the middle of; without a lock it would end before.
            widening.join(0.5)

    sa.event.listen(any_database.engine, "before_cursor_execute", widen_now)
    assert store_record(held, make_record({}, suggestion.values), drawn=suggestion.drawn)
    widening.join(LIMIT)
    assert open_study(any_database, name).spec == wide
    (trial,) = seen_by_others(any_database, name)
    assert trial.params == suggestion.values
    assert is_in_the_wider_space(trial)


@pytest.mark.slow
def test_a_worker_that_runs_goes_on_in_the_wider_space_from_its_next_trial(database: Database) -> None:
    study = create_or_open(database, "s", make_spec(30, sampler="random"))
    wide = with_space(study.spec, loss=Choices(choices=("aucm_v2", "aucm_v1", "cross_entropy")))
    epochs = []

    def extend(epoch: int) -> None:
        epochs.append(epoch)
        if len(epochs) == 10:
            widen(database, "s", wide)

    run_worker(study, identity=this_process("w"), train=FakeTrainer(4, on_epoch=extend))
    rows = read_trials(study)
    assert len(rows) == 30
    assert "aucm_v2" not in {row.params["loss"] for row in rows[:3]}
    assert "aucm_v2" in {row.params["loss"] for row in rows[3:]}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"learning_rate": FloatRange(low=1e-3, high=0.3, log=True)}, "space.learning_rate.low"),
        ({"learning_rate": FloatRange(low=1e-4, high=0.3)}, "space.learning_rate.log"),
        ({"loss": Choices(choices=("aucm_v1", "aucm_v2"))}, "space.loss.choices"),
        ({"batch_size": Choices(choices=(32, 64))}, "space.batch_size.choices"),
        ({"clip": FloatRange(low=0.0, high=1.0)}, "space.clip"),
    ],
)
def test_a_narrower_or_another_space_is_refused_and_nothing_changes(
    database: Database, change: dict[str, Range], line: str
) -> None:
    spec = create_or_open(database, "s", make_spec()).spec
    with pytest.raises(StudyConflictError, match=line):
        widen(database, "s", with_space(spec, margin=FloatRange(low=0.0, high=1.0), **change))
    assert open_study(database, "s").spec == spec


@pytest.mark.parametrize(
    "change",
    [{"fixed": {}}, {"dataset": "pneumonia"}, {"scoring": Scoring(folds=4)}, {"start": STARTS}],
    ids=["fixed", "dataset", "scoring", "start"],
)
def test_trials_that_would_not_compare_are_refused(database: Database, change: dict[str, Any]) -> None:
    spec = create_or_open(database, "s", make_spec()).spec
    with pytest.raises(StudyConflictError, match=next(iter(change))) as refused:
        widen(database, "s", with_space(spec, **WIDER).model_copy(update=change))
    assert "space" not in str(refused.value).partition("differ:")[2]


def test_a_launch_without_the_option_names_it_only_where_it_would_help(database: Database) -> None:
    spec = create_or_open(database, "s", make_spec()).spec
    with pytest.raises(StudyConflictError, match="--extend"):
        create_or_open(database, "s", with_space(spec, **WIDER))
    with pytest.raises(StudyConflictError) as refused:
        create_or_open(database, "s", spec.model_copy(update={"fixed": {}}))
    assert "--extend" not in str(refused.value)


def test_a_new_study_and_the_same_spec_need_no_widening(database: Database) -> None:
    assert widen(database, "new", make_spec()) == []
    spec = create_or_open(database, "s", make_spec()).spec
    assert widen(database, "s", spec) == []
    assert obstacles(spec, spec) == []


@pytest.mark.slow
def test_a_confirmation_that_was_made_before_still_opens_and_goes_on(database: Database) -> None:
    search = searched(database)
    made = create_or_open(database, "s-confirm", prepare_confirmation(search, "s-confirm", Wishes(top=2, seeds=2)).spec)
    widen(database, "s", with_space(search.spec, **WIDER))
    again = prepare_confirmation(open_study(database, "s"), "s-confirm", Wishes(seeds=3)).spec
    resumed = create_or_open(database, "s-confirm", again)
    assert resumed.spec.plan == made.spec.plan
    run_worker(resumed, identity=this_process("w"), train=FakeTrainer(4))


def test_what_an_older_spec_does_not_say_keeps_its_meaning(database: Database) -> None:
    spec = make_spec().model_copy(update={"scoring": Scoring(groups="none")})
    study = create_or_open(database, "s", spec)
    here = schema.studies.c.study_id == study.study_id
    with database.engine.begin() as connection:
        stored = json.loads(connection.scalar(sa.select(schema.studies.c.spec).where(here)))
        del stored["scoring"]["groups"], stored["start"]
        connection.execute(sa.update(schema.studies).where(here).values(spec=json.dumps(stored)))
    widen(database, "s", with_space(make_spec(), **WIDER).model_copy(update={"start": STARTS}))
    with database.engine.begin() as connection:
        after = json.loads(connection.scalar(sa.select(schema.studies.c.spec).where(here)))
    assert {key: value for key, value in after.items() if key != "space"} == {
        key: value for key, value in stored.items() if key != "space"
    }
