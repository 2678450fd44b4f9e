"""Which candidates of a confirmation are dropped, when, and what becomes of their trials."""

from __future__ import annotations

import optuna
import pytest

from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.status import read_status
from hpo.search.queries.trial_rows import TrialRow
from hpo.search.queries.trials import read_trials
from hpo.search.queue.claiming import claim, release
from hpo.search.queue.lease import Claim
from hpo.search.queue.reporting import finish, record_report
from hpo.search.queue.workers import this_process
from hpo.search.strategy.racing import race
from hpo.search.study import Study
from hpo.search.worker.loop import run_worker
from hpo.study.spec import Scoring
from hpo.testing.trainer import FakeTrainer, make_report
from hpo.testing.trials import claimed
from tests.mention import numbers_in, unmentioned
from tests.search.planned import make_confirmation, make_plan, simulated

FOLDS = Scoring()


def test_a_candidate_that_is_clearly_worse_leaves_after_the_second_repeat_and_not_before() -> None:
    plan = make_plan(references=1, others=2)
    results = simulated([0.85, 0.90, 0.75], repeats=4)
    first = {key: value for key, value in results.items() if key[1] < 1}
    assert race(plan, first, FOLDS) == {}
    exits = race(plan, results, FOLDS)
    assert list(exits) == [2]
    assert exits[2].repeat == 1
    assert unmentioned(exits[2].reason, 2, "trial 0", 99) == []
    low, difference, high = sorted(number for number in numbers_in(exits[2].reason) if number < 0)
    assert low < difference < high
    assert -0.2 < difference < -0.1


def test_a_reference_is_never_dropped_however_bad_it_is() -> None:
    assert race(make_plan(references=1, others=2), simulated([0.5, 0.9, 0.9], repeats=5), FOLDS) == {}


def test_a_reference_that_leads_drops_what_is_clearly_worse_than_it() -> None:
    exits = race(make_plan(references=1, others=2), simulated([0.95, 0.7, 0.7], repeats=3), FOLDS)
    assert sorted(exits) == [1, 2]
    assert all("reference 0" in exit_.reason for exit_ in exits.values())


def test_the_best_of_a_loss_family_is_not_dropped_by_another_family_if_the_plan_compares_them() -> None:
    plan = make_plan(references=1, others=3)
    losses = ("cross_entropy", "aucm_v1", "cross_entropy", "cross_entropy")
    changed = [
        one.model_copy(update={"config": one.config.model_copy(update={"loss": loss})})
        for one, loss in zip(plan.candidates, losses, strict=True)
    ]
    plan = plan.model_copy(update={"candidates": tuple(changed)})
    results = simulated([0.8, 0.9, 0.75, 0.6], repeats=4)
    assert sorted(race(plan, results, FOLDS)) == [2, 3]
    assert sorted(race(plan.model_copy(update={"per_family": 1}), results, FOLDS)) == [3]


def test_without_racing_nothing_is_dropped() -> None:
    plan = make_plan(references=1, others=2, racing_level=0.0)
    assert race(plan, simulated([0.85, 0.90, 0.60], repeats=5), FOLDS) == {}


def test_a_candidate_that_failed_cannot_win_and_leaves_and_a_reference_stays() -> None:
    results = simulated([0.8, 0.9, 0.9], repeats=3)
    results[0, 0] = results[2, 0] = None
    exits = race(make_plan(references=1, others=2), results, FOLDS)
    assert {number: exit_.repeat for number, exit_ in exits.items()} == {2: 0}
    assert numbers_in(exits[2].reason) == [1]


def test_nothing_is_decided_on_a_repeat_that_is_not_whole() -> None:
    results = simulated([0.85, 0.90, 0.70], repeats=2)
    del results[0, 1]
    assert race(make_plan(references=1, others=2), results, FOLDS) == {}


def test_what_was_decided_stays_whatever_comes_later() -> None:
    plan, results = make_plan(references=1, others=6), simulated([0.85, 0.90, 0.80, 0.82, 0.84, 0.86, 0.88], repeats=6)
    earlier: dict[int, int] = {}
    for repeats in range(1, 7):
        known = {key: value for key, value in results.items() if key[1] < repeats}
        now = {number: exit_.repeat for number, exit_ in race(plan, known, FOLDS).items()}
        assert earlier.items() <= now.items()
        earlier = now
    assert len(earlier) > 2


def test_one_division_for_each_repeat_needs_more_of_a_difference_than_folds_do() -> None:
    plan = make_plan(references=0, others=2)
    holdout = Scoring(rows="holdout", share=0.2)
    results = simulated([0.90, 0.84], repeats=3, folds=1)
    assert race(plan, results, holdout) == {}
    assert list(race(plan, simulated([0.90, 0.84], repeats=3, folds=5), FOLDS)) == [1]


def test_the_best_of_ten_is_dropped_less_than_once_in_a_hundred_races() -> None:
    plan = make_plan(references=0, others=10)
    means = [0.90, *(0.90 - 0.005 * step for step in range(1, 10))]
    lost = sum(0 in race(plan, simulated(means, repeats=5, seed=seed), FOLDS) for seed in range(100))
    assert lost == 0


def _end(held: Claim, fold_aucs: tuple[float, ...]) -> None:
    report = make_report(1, sum(fold_aucs) / len(fold_aucs), fold_aucs=fold_aucs)
    assert record_report(held, report)
    assert finish(held, "complete", report)


def _raced(database: Database, name: str, repeats: int = 4) -> Study:
    """A confirmation of a reference, a good and a bad candidate, of which two repeats are done."""
    spec = make_confirmation(make_plan(references=1, others=2), repeats, epochs=1)
    study, results = create_or_open(database, name, spec), simulated([0.85, 0.90, 0.70], repeats=2)
    for slot in range(6):
        aucs = results[slot % 3, slot // 3]
        assert aucs is not None
        _end(claimed(study), aucs)
    return study


def _told(rows: list[TrialRow]) -> list[tuple[str | None, int | None, str]]:
    return [(row.candidate, row.repeat, row.state) for row in rows]


def test_trials_of_a_dropped_candidate_end_without_training_and_say_why(any_database: Database, name: str) -> None:
    study = _raced(any_database, name)
    train = FakeTrainer(1)
    assert run_worker(study, identity=this_process("w"), train=train).finished == 4
    assert len(train.trained) == 4
    rows = read_trials(study)
    assert [row.number for row in rows] == list(range(12))
    assert _told(rows[6:9]) == [("reference 0", 3, "complete"), ("trial 0", 3, "complete"), ("trial 1", 3, "pruned")]
    assert unmentioned(rows[8].reason, 2, "trial 0", 99) == []
    assert rows[8].auc is None
    status = read_status(study)
    assert (status.finished, status.pruned, status.complete) == (12, 2, 10)
    shown = optuna.load_study(study_name=name, storage=any_database.optuna).trials
    assert [trial.state.name for trial in shown].count("PRUNED") == 2
    assert shown[8].user_attrs["reason"] == rows[8].reason


def test_a_trial_given_back_before_its_candidate_was_dropped_ends_too(database: Database) -> None:
    spec = make_confirmation(make_plan(references=1, others=2), 3, epochs=1)
    study, results = create_or_open(database, "early", spec), simulated([0.85, 0.90, 0.70], repeats=2)
    held = [claimed(study, f"w{number}") for number in range(9)]
    for one in held[:6]:
        aucs = results[one.slot % 3, one.slot // 3]
        assert aucs is not None
        _end(one, aucs)
    assert release(held[8])
    assert not isinstance(claim(study, "next"), Claim)
    assert [(row.state, row.number) for row in read_trials(study) if row.state == "pruned"] == [("pruned", 8)]


@pytest.mark.parametrize("repeats", [5, 6])
def test_more_seeds_later_add_repeats_of_those_still_in_the_race(database: Database, repeats: int) -> None:
    study = _raced(database, "longer")
    run_worker(study, identity=this_process("w"), train=FakeTrainer(1))
    longer = study.spec.model_copy(update={"budget": study.spec.budget.model_copy(update={"trials": 3 * repeats})})
    again = create_or_open(database, "longer", longer)
    assert run_worker(again, identity=this_process("w"), train=FakeTrainer(1)).finished == 2 * (repeats - 4)
    assert read_status(again).finished == 3 * repeats
