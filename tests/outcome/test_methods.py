"""What methods do: each recipe with and without each, measured in a study of its own."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

import hpo
from hpo.errors import StudyConflictError, StudyNotFoundError, UsageError
from hpo.outcome.leaderboard import Verdict
from hpo.outcome.method_costs import CostRatio, TrialCost
from hpo.outcome.method_effects import judge_methods
from hpo.outcome.method_plan import MethodWishes, Source, candidates_with, command_of, prepare_methods, recipes_of
from hpo.outcome.method_table import MethodEffect, MethodTable
from hpo.outcome.preparation import Wishes, prepare_confirmation
from hpo.outcome.report.document import Table, to_markdown_section
from hpo.outcome.report.result.methods import methods as section_of
from hpo.outcome.report.result.methods import sentence
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.trials import read_trials
from hpo.search.queue.workers import this_process
from hpo.search.study import open_study
from hpo.search.worker.loop import run_worker
from hpo.statistics.corrected_t_test import corrected_difference
from hpo.study.config import TrainConfig
from hpo.study.files import default_spec
from hpo.study.meaning import meaning
from hpo.study.methods import METHODS, find_methods
from hpo.study.plan import Candidate, Plan
from hpo.study.spec import Confirm, Scoring
from hpo.testing.trainer import FakeTrainer, make_spec
from hpo.testing.trials import recorded
from tests.mention import unmentioned
from tests.outcome.pages import blocks
from tests.search import planned

FEW = ("ema", "mixup")
NAMES = ("breast", "another", "later")


def made_plan() -> Plan:
    """Two recipes; the second one has its method."""
    config = TrainConfig()
    one, other = Candidate(name="one", config=config), Candidate(name="other", config=config)
    made = (
        one,
        other,
        Candidate(name="one with a", config=config, base="one", method="a"),
        Candidate(name="one with b", config=config, base="one", method="b"),
        Candidate(name="other without a", config=config, base="other", method="a", removes=True),
    )
    return Plan(search="", candidates=made, top=5, racing_level=0.0)


def judged(means: list[float], repeats: int = 4, **options: object) -> MethodTable:
    plan = made_plan()
    results = planned.simulated(means, repeats)
    spec = planned.make_confirmation(plan, repeats)
    return judge_methods("m", spec, plan, results, done=True, **options)  # type: ignore[arg-type]


def effect(table: MethodTable, recipe: int, method: str) -> MethodEffect:
    return next(one for one in table.recipes[recipe].effects if one.method == method)


def measured(database: Database, names: tuple[str, ...] = FEW, **options: object) -> MethodTable:
    """Methods on the digits, by a trainer without networks."""
    address = f"sqlite:///{database.engine.url.database}"
    return hpo.methods("digits", names, storage=address, trainer=FakeTrainer(), **options)  # type: ignore[arg-type]


def test_a_method_is_compared_with_its_own_recipe_and_one_that_was_taken_out_the_other_way() -> None:
    table = judged([0.80, 0.70, 0.85, 0.80, 0.60])
    assert [recipe.recipe for recipe in table.recipes] == ["one", "other"]
    assert effect(table, 0, "a").difference == pytest.approx(0.05, abs=0.02)
    assert effect(table, 1, "a").difference == pytest.approx(0.10, abs=0.02)
    assert (effect(table, 0, "a").in_recipe, effect(table, 1, "a").in_recipe) == (False, True)
    assert effect(table, 1, "a").verdict is Verdict.BETTER
    assert [one.method for one in table.recipes[0].effects] == ["a", "b"], "the largest first"


def test_intervals_hold_together_for_the_methods_of_one_recipe() -> None:
    results = planned.simulated([0.80, 0.70, 0.85, 0.80, 0.60], 4)
    rows = {number: np.array([results[number, repeat] for repeat in range(4)]) for number in range(5)}
    table = judged([0.80, 0.70, 0.85, 0.80, 0.60])
    # Two methods of the first recipe, one of the second; Sidak: .95 ** (1 / 2) for each of two.
    for recipe, place, base, count in ((0, 2, 0, 2), (1, 1, 4, 1)):
        found = effect(table, recipe, "a")
        expected = corrected_difference(rows[place] - rows[base], confidence=0.95 ** (1 / count))
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
        assert found.p == pytest.approx(1 - (1 - expected.p) ** count)
        assert found.detectable == pytest.approx(expected.detectable)


def test_a_method_that_is_behind_the_others_does_not_hold_them_up() -> None:
    plan = made_plan()
    results = planned.simulated([0.80, 0.70, 0.85, 0.80, 0.60], 4)
    partial = {key: value for key, value in results.items() if key[0] != 3}
    table = judge_methods("m", planned.make_confirmation(plan, 4), plan, partial, done=False)
    assert effect(table, 0, "a").repeats == 4
    behind = effect(table, 0, "b")
    assert (behind.repeats, behind.difference, bool(behind.note)) == (0, None, True)
    section_of(table)


def test_while_a_repeat_is_under_way_methods_are_compared_over_those_that_they_have() -> None:
    plan = made_plan()
    results = planned.simulated([0.80, 0.70, 0.85, 0.80, 0.60], 4)
    partial = {key: value for key, value in results.items() if key[1] < 3 or key[0] in (0, 1, 2)}
    table = judge_methods("m", planned.make_confirmation(plan, 4), plan, partial, done=False)
    ahead, behind = effect(table, 0, "a"), effect(table, 0, "b")
    assert (ahead.repeats, ahead.note) == (4, "")
    assert behind.repeats == 3
    assert unmentioned(behind.note, 3, 4) == []
    before = {key: value for key, value in results.items() if key[1] < 3}
    alone = judge_methods("m", planned.make_confirmation(plan, 3), plan, before, done=True)
    assert (behind.difference, behind.low, behind.high) == pytest.approx(
        (effect(alone, 0, "b").difference, effect(alone, 0, "b").low, effect(alone, 0, "b").high)
    )


def test_a_trial_that_failed_is_left_out_with_a_note() -> None:
    plan = made_plan()
    results = {**planned.simulated([0.80, 0.70, 0.85, 0.80, 0.60], 4), (2, 1): None}
    found = effect(judge_methods("m", planned.make_confirmation(plan, 4), plan, results, done=True), 0, "a")
    assert found.repeats == 3
    assert unmentioned(found.note, 2) == []


def test_cost_is_the_median_of_pairs_on_the_same_device() -> None:
    costs = {(0, repeat): TrialCost(10.0, 100, 0.9, "cpu") for repeat in range(4)}
    costs |= {(2, repeat): TrialCost(seconds, 150, 0.8, "cpu") for repeat, seconds in enumerate((20.0, 30.0, 90.0))}
    costs[2, 3] = TrialCost(1.0, 1, 0.8, "gpu")
    found = effect(judged([0.80, 0.70, 0.85, 0.80, 0.60], costs=costs), 0, "a").cost
    assert (found.time, found.memory) == (3.0, 1.5)
    assert found.training == pytest.approx(-0.1)
    assert effect(judged([0.80, 0.70, 0.85, 0.80, 0.60]), 0, "a").cost == CostRatio()


@pytest.mark.slow
def test_a_change_of_ones_own_is_measured_in_every_recipe_whose_loss_uses_it(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/studies.sqlite3"
    names = ["margin=0.9", "ema", "learning_rate=0.0003"]
    table = hpo.methods("digits", names, seeds=1, storage=address, trainer=FakeTrainer())
    found = [{one.method: (one.changes, one.in_recipe) for one in recipe.effects} for recipe in table.recipes]
    assert [sorted(effects) for effects in found] == [
        ["ema", "learning_rate=0.0003", "margin=0.9"],
        ["ema", "learning_rate=0.0003"],
    ]
    again = shlex.split(table.command)
    assert [word for word in again if word in names] == ["ema", "margin=0.9", "learning_rate=0.0003"]
    more = hpo.methods("digits", ["learning_rate=0.0003", "margin=0.7"], storage=address, trainer=FakeTrainer())
    assert sum(len(recipe.effects) for recipe in more.recipes) == 6


def test_the_section_of_a_report_has_a_table_for_each_recipe_and_sentences_on_what_is_apart() -> None:
    costs = {(number, repeat): TrialCost(10.0, 100, 0.9, "cpu") for number in range(5) for repeat in range(4)}
    section = section_of(judged([0.80, 0.70, 0.95, 0.80, 0.60], costs=costs, commits=("abc",), devices=("a CPU",)))
    assert [len(table.rows) for table in blocks(section, Table)] == [2, 1]
    text = to_markdown_section(section)
    assert unmentioned(text, "one", "other", "abc", "a CPU", "hpo methods breast") == []
    assert "**a** is better" in text


@pytest.mark.parametrize(
    ("difference", "training", "changes", "said"),
    [
        (0.05, 0.02, ("weight_decay = 0 (1)",), "learns more"),
        (0.05, -0.02, ("weight_decay = 0 (1)",), "overfits less"),
        (-0.05, 0.02, ("weight_decay = 0 (1)",), "overfits more"),
        (-0.05, -0.02, ("weight_decay = 0 (1)",), "learns less"),
        (-0.05, 0.001, ("weight_decay = 0 (1)",), "as well"),
        (-0.05, -0.02, ("augmentation = mixup (crop)",), "other batches"),
    ],
)
def test_why_is_said_by_the_training_auc_unless_the_method_changes_what_is_trained_on(
    difference: float, training: float, changes: tuple[str, ...], said: str
) -> None:
    verdict = Verdict.BETTER if difference > 0 else Verdict.WORSE
    cost = CostRatio(training=training)
    made = MethodEffect("a", "one with a", False, changes, 3, difference=difference, verdict=verdict, cost=cost)
    assert said in sentence(made)


@pytest.mark.parametrize("dataset", ["breast", "pneumonia", "adrenal3d", "digits"])
def test_shipped_study_files_have_a_recipe_of_each_family_to_which_methods_apply(dataset: str) -> None:
    spec = default_spec(dataset)
    recipes, _ = recipes_of(Source(dataset, spec))
    assert [recipe.config.loss for recipe in recipes] == ["aucm_v2", "cross_entropy"]
    for recipe in recipes:
        found = candidates_with(recipe, METHODS, spec)
        assert len({one.name for one in found}) == len(found) > 10
        assert all(meaning(one.config, spec.data) != meaning(recipe.config, spec.data) for one in found)
        assert {one.base for one in found} == {recipe.name}


def test_official_samples_do_not_pick_the_epoch_where_they_validate() -> None:
    recipe, selection = Candidate(name="r", config=TrainConfig()), find_methods(["official selection"])
    shipped = default_spec("breast")
    assert len(candidates_with(recipe, selection, shipped)) == 1
    official = shipped.model_copy(update={"scoring": Scoring(rows="official")})
    assert candidates_with(recipe, selection, official) == ()


def test_recipes_of_a_study_are_its_best_of_each_family_and_start_points_for_the_rest(database: Database) -> None:
    study = create_or_open(database, "breast", make_spec(12, references=True))
    run_worker(study, identity=this_process("w"), train=FakeTrainer())
    recipes, notes = recipes_of(Source("breast", study.spec, study))
    assert [recipe.config.loss for recipe in recipes] == ["aucm_v1", "cross_entropy"]
    best = {row.params["loss"]: row for row in sorted(read_trials(study), key=lambda row: row.auc) if row.params}
    assert [recipe.name for recipe in recipes] == [
        f"trial {best[loss].number}" for loss in ("aucm_v1", "cross_entropy")
    ]
    assert len(notes) == 2
    nothing = create_or_open(database, "nothing", default_spec("breast"))
    recipes, _ = recipes_of(Source("nothing", nothing.spec, nothing))
    assert [recipe.name for recipe in recipes] == [start.name for start in nothing.spec.start]


def test_a_family_that_the_confirmation_has_none_of_has_its_best_trial(database: Database) -> None:
    rules = Confirm(top=1, per_family=1, seeds=1, racing_level=0.0)
    spec = make_spec(12, references=True).model_copy(update={"confirm": rules})
    study = create_or_open(database, "breast", spec)
    run_worker(study, identity=this_process("w"), train=FakeTrainer())
    before = {recipe.config.loss: recipe for recipe in recipes_of(Source("breast", spec, study))[0]}
    prepared = prepare_confirmation(study, "breast-confirm", Wishes()).spec
    plan = prepared.plan
    assert plan is not None
    tuned = {one.config.loss: one.name for one in plan.candidates if one.trial is not None and not one.is_reference}
    assert set(tuned) == {"aucm_v1", "cross_entropy"}
    confirmation = create_or_open(database, "breast-confirm", prepared)
    failing = next(one.config for one in plan.candidates if one.name == tuned["cross_entropy"])
    run_worker(confirmation, identity=this_process("w"), train=FakeTrainer(fails=lambda config: config == failing))
    recipes, notes = recipes_of(Source("breast", spec, study))
    assert [recipe.name for recipe in recipes] == [tuned["aucm_v1"], before["cross_entropy"].name]
    assert ["breast-confirm" in note for note in sorted(notes, key=lambda note: "confirm" not in note)] == [True, False]


@pytest.mark.slow
def test_it_is_measured_resumed_and_extended_by_seeds_and_methods(database: Database) -> None:
    table = measured(database, seeds=2)
    assert table.done
    assert [[one.method for one in recipe.effects] for recipe in table.recipes] == [list(FEW)] * 2
    study = open_study(database, "digits-methods")
    first = read_trials(study)
    assert len(first) == 2 * 6
    assert measured(database, ()) == table, "what was planned, and no new trial"
    more = measured(database, ("swa",))
    assert {one.method: one.repeats for one in more.recipes[0].effects} == {"ema": 2, "mixup": 2, "swa": 2}
    again = measured(database, (), seeds=3)
    assert {one.repeats for recipe in again.recipes for one in recipe.effects} == {3}
    rows = read_trials(open_study(database, "digits-methods"))
    assert rows[: len(first)] == first
    assert len(rows) == 3 * 8
    assert len({(row.candidate, row.repeat) for row in rows}) == len(rows)


@pytest.mark.slow
def test_candidates_that_are_added_have_the_seeds_and_folds_of_their_repeat(database: Database) -> None:
    measured(database, ("ema",), seeds=2)
    trainer = FakeTrainer()
    hpo.methods("digits", ("mixup",), storage=f"sqlite:///{database.engine.url.database}", trainer=trainer)
    seeds = [seed for _, seed in trainer.trained]
    assert seeds == [seeds[0]] * 2 + [seeds[-1]] * 2
    assert len(set(seeds)) == len(set(trainer.divided)) == 2
    study = open_study(database, "digits-methods")
    stored = {row.repeat: row.number for row in read_trials(study)[:8]}
    assert {recorded(study, number).seeds.trial_seed for number in stored.values()} == set(seeds)


@pytest.mark.slow
def test_other_options_than_before_and_fewer_seeds_are_refused(database: Database) -> None:
    measured(database, seeds=2, epochs=3)
    assert measured(database, epochs=3).epochs == 3
    for options in ({"epochs": 4}, {"seeds": 1}, {"overrides": {"fixed.batch_size": 16}}):
        with pytest.raises(StudyConflictError):
            measured(database, **options)
    address = f"sqlite:///{database.engine.url.database}"
    with pytest.raises(StudyConflictError):
        hpo.methods("breast", storage=address, name="digits-methods")
    with pytest.raises(StudyNotFoundError):
        hpo.methods("no-such", storage=address)
    with pytest.raises(UsageError) as refused:
        measured(database, ("shape multiplier",))
    assert unmentioned(refused.value, "shape multiplier") == []
    with pytest.raises(UsageError):
        hpo.methods("digits-methods", storage=address)


def test_a_study_of_methods_is_not_taken_for_that_of_another_study(database: Database) -> None:
    """Neither for that of a study file whose data set has the name of the study."""
    for name in NAMES:
        create_or_open(database, name, default_spec("breast"))
    source, other, later = (Source(name, default_spec("breast"), open_study(database, name)) for name in NAMES)
    from_file, wishes = Source("breast", default_spec("breast")), MethodWishes(("ema",), 1)
    created = prepare_methods(database, source, "m", wishes)
    create_or_open(database, "m", created.spec)
    assert prepare_methods(database, source, "m", wishes).spec.plan == created.spec.plan
    for refused in (other, from_file):
        with pytest.raises(StudyConflictError) as caught:
            prepare_methods(database, refused, "m", wishes)
        assert unmentioned(caught.value, "m", "breast", "--name") == []
    create_or_open(database, "of a file", prepare_methods(database, from_file, "of a file", wishes).spec)
    assert prepare_methods(database, from_file, "of a file", wishes).notes == []
    (note,) = prepare_methods(database, later, "of a file", wishes).notes
    assert "later" in note


@pytest.mark.slow
def test_the_command_of_a_table_measures_the_same_again(database: Database) -> None:
    overrides = {"fixed.batch_size": 16, "scoring.rows": "kfold"}
    table = measured(database, seeds=2, epochs=3, folds=4, overrides=overrides)
    words = table.command.split()
    assert words[:5] == ["hpo", "methods", "digits", *FEW]
    options = set(zip(words[5::2], words[6::2], strict=True))
    assert options == {
        *(("--seeds", "2"), ("--epochs", "3"), ("--folds", "4")),
        *(("--set", "scoring.rows=kfold"), ("--set", "fixed.batch_size=16")),
    }
    spec = open_study(database, "digits-methods").spec
    assert command_of(spec, spec.plan, "other").split()[3:5] == ["--name", "other"]


@pytest.mark.slow
def test_a_study_of_methods_has_a_report_and_is_part_of_that_of_its_search(database: Database, tmp_path: Path) -> None:
    search = create_or_open(database, "breast", make_spec(6, references=True))
    run_worker(search, identity=this_process("w"), train=FakeTrainer())
    hpo.methods(search, FEW, seeds=1, trainer=FakeTrainer())
    for number, study in enumerate((search, open_study(database, "breast-methods"))):
        pages = hpo.report(study, out=tmp_path / str(number))
        assert unmentioned(pages[1].read_text(), "Methods on breast", *FEW) == []
        assert (tmp_path / str(number) / "figures" / "methods-2.svg").exists()


def test_it_is_no_search_and_has_no_winner(database: Database) -> None:
    measured(database, seeds=1)
    study = open_study(database, "digits-methods")
    for refused in (hpo.confirm, hpo.finalize):
        with pytest.raises(UsageError):
            refused(study)
    with pytest.raises(StudyConflictError) as conflict:
        create_or_open(database, "digits-methods", default_spec("digits"))
    assert unmentioned(conflict.value, "`hpo methods digits`") == []


def test_methods_of_repeats_that_were_added_are_held_at_the_level_of_two_looks() -> None:
    planned_first, added = (judged([0.80, 0.80, 0.84, 0.81, 0.8], first=first) for first in (4, 3))
    before, after = (effect(table, 0, "a") for table in (planned_first, added))
    assert before.p is not None
    assert after.p == pytest.approx(1 - (1 - before.p) ** 2)
    assert before.low is not None
    assert after.low is not None
    assert after.low < before.low
    assert len(added.notes) == len(planned_first.notes) + 1


def test_a_table_of_moderated_variances_says_what_moderation_takes_for_granted() -> None:
    recipe = Candidate(name="one", config=TrainConfig())
    methods = [Candidate(name=name, config=TrainConfig(), base="one", method=name) for name in "abcdef"]
    told = []
    for count in (2, 6):
        plan = Plan(search="", candidates=(recipe, *methods[:count]), top=5, racing_level=0.0)
        spec, results = planned.make_confirmation(plan, 4), planned.simulated([0.8] * (1 + count), 4)
        notes = judge_methods("m", spec, plan, results, done=True).notes
        told.append(sum("about equally noisy" in note for note in notes))
    assert told == [0, 1]
