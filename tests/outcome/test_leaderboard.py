"""What a confirmation says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sqlalchemy as sa

from hpo.cli.common import plain
from hpo.cli.render.leaderboard import verdict_of
from hpo.errors import StorageError
from hpo.outcome.influences import read_influences
from hpo.outcome.leaderboard import Confirmation, Difference, Verdict, judge, read_confirmation
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.queue.workers import this_process
from hpo.search.strategy.racing import Results
from hpo.search.study import open_study
from hpo.search.worker.loop import run_worker
from hpo.statistics.delong import delong_interval
from hpo.statistics.intervals import Comparison
from hpo.statistics.selection import Selection, noise_share, repeated_difference, selection_quantile
from hpo.study.spec import Scoring
from hpo.testing.scores import SAMPLES, make_scores
from hpo.testing.trainer import FakeTrainer
from hpo.testing.trials import claimed, ended
from tests.mention import numbers_in, unmentioned
from tests.search.planned import make_confirmation, make_plan, simulated


def _judged(
    results: Results,
    others: int = 2,
    repeats: int = 4,
    *,
    done: bool = True,
    racing_level: float = 0.0,
    **scoring: object,
) -> Confirmation:
    plan = make_plan(references=1, others=others, racing_level=racing_level)
    spec = make_confirmation(plan, repeats).model_copy(update={"scoring": Scoring(**scoring)})  # type: ignore[arg-type]
    return judge("search-confirm", spec, plan, results, done=done)


def _difference(found: Confirmation, candidate: str, to: str) -> Difference:
    row = next(row for row in found.leaderboard if row.candidate == candidate)
    return next(difference for difference in row.differences if difference.to == to)


def test_the_winner_has_the_best_mean_and_is_compared_with_references_and_the_runner_up() -> None:
    found = _judged(simulated([0.80, 0.90, 0.89], repeats=4))
    assert (found.winner, found.whole, found.done) == ("trial 0", 4, True)
    assert [(row.rank, row.candidate) for row in found.leaderboard] == [
        (1, "trial 0"),
        (2, "trial 1"),
        (3, "reference 0"),
    ]
    assert [difference.to for difference in found.leaderboard[0].differences] == ["reference 0", "trial 1"]
    assert [difference.to for difference in found.leaderboard[1].differences] == ["reference 0", "trial 0"]
    assert [difference.to for difference in found.leaderboard[2].differences] == ["trial 0"]
    assert _difference(found, "trial 0", "reference 0").verdict is Verdict.BETTER
    assert _difference(found, "reference 0", "trial 0").verdict is Verdict.WORSE
    assert _difference(found, "trial 0", "trial 1").verdict is Verdict.INDISTINGUISHABLE


def test_a_difference_and_its_interval_are_those_of_the_corrected_t_test() -> None:
    results = simulated([0.80, 0.90, 0.89], repeats=4)
    found = _difference(_judged(results), "trial 0", "reference 0")
    differences = np.array([[np.array(results[1, r]) - np.array(results[0, r])] for r in range(4)]).ravel()
    error = math.sqrt((1 / 20 + 1 / 4) * differences.var(ddof=1))
    assert found.difference == pytest.approx(differences.mean())
    repeats = np.array([[results[number, r] for r in range(4)] for number in range(3)])
    share = noise_share(list(repeats), error)
    reach = selection_quantile(Selection(tried=2, confirmed=2, baselines=1, repeats=4), share, 19) * error
    assert found.low == pytest.approx(differences.mean() - reach, abs=1e-6)
    assert reach > 2.093024 * error  # t of 19 degrees, 97.5 %, of two that were chosen beforehand
    assert found.detectable == pytest.approx(_detectable(found, error, 19), abs=1e-6)


def test_with_one_division_a_repeat_the_shared_rows_follow_from_the_share() -> None:
    results = simulated([0.80, 0.90, 0.89], repeats=4, folds=1)
    found = _difference(_judged(results, rows="holdout", share=0.2), "trial 0", "reference 0")
    differences = np.array([results[1, r][0] - results[0, r][0] for r in range(4)])  # type: ignore[index]
    error = math.sqrt((1 / 4 + 0.2 / 0.8) * differences.var(ddof=1))
    assert found.detectable == pytest.approx(_detectable(found, error, 3), rel=1e-5)
    official = _difference(_judged(results, rows="official"), "trial 0", "reference 0")
    error = math.sqrt(1 / 4) * differences.std(ddof=1)
    assert official.detectable == pytest.approx(_detectable(official, error, 3), rel=1e-5)


def _detectable(found: Difference, error: float, degrees: float) -> float:
    """What would have been found, had the difference this standard error; it grows with the error."""
    assert found.low is not None
    assert found.high is not None
    return Comparison(found.difference, error, found.low, found.high, math.nan, 0.95, degrees).detectable


@pytest.mark.slow
def test_the_more_configurations_were_searched_the_longer_the_intervals_and_the_optimism() -> None:
    results = simulated([0.80, 0.83, 0.82], repeats=4)
    plan = make_plan(references=1, others=2, racing_level=0.0)
    spec = make_confirmation(plan, 4)
    few, many = (judge("c", spec, plan, results, done=True, tried=tried) for tried in (2, 200))
    widths = [
        difference.high - difference.low
        for found in (few, many)
        if (difference := _difference(found, "trial 0", "reference 0")).low is not None and difference.high is not None
    ]
    assert 1.1 * widths[0] < widths[1] < 2 * widths[0]
    assert few.remaining is not None
    assert many.remaining is not None
    assert 0 < few.remaining.expected < many.remaining.expected < many.remaining.most
    assert unmentioned(" ".join(many.notes), 200, f"{many.remaining.most:.3f}", "leader") == []


@pytest.mark.slow
def test_repeats_that_are_only_planned_do_not_shorten_an_interval() -> None:
    results = simulated([0.80, 0.83, 0.82], repeats=3)
    now, later = (
        _difference(judge("c", make_confirmation(plan, repeats), plan, results, done=False, tried=200), "trial 0", to)
        for plan, to in [(make_plan(references=1, others=2, racing_level=0.0), "reference 0")]
        for repeats in (3, 40)
    )
    assert now == later


def test_without_spread_the_optimism_that_is_left_is_not_known() -> None:
    perfect = {(number, repeat): (1.0,) * 5 for number in range(3) for repeat in range(4)}
    found = _judged(perfect)
    assert found.remaining is None
    assert _judged(simulated([0.80, 0.83, 0.82], repeats=4)).remaining is not None
    assert len(found.notes) == len(_judged({}).notes)


def test_the_optimism_that_is_left_is_told_where_a_baseline_failed() -> None:
    results = simulated([0.80, 0.83, 0.82], repeats=4)
    for failed in (range(4), range(1)):
        found = _judged(results | {(0, repeat): None for repeat in failed})
        assert found.remaining is not None
        assert found.remaining.expected > 0


@pytest.mark.slow
def test_two_baselines_are_compared_as_chosen_beforehand() -> None:
    results = simulated([0.80, 0.84, 0.83, 0.82], repeats=4)
    plan = make_plan(references=2, others=2, racing_level=0.0)
    spec = make_confirmation(plan, 4)
    few, many = (
        _difference(judge("c", spec, plan, results, done=True, tried=tried), "reference 1", "reference 0")
        for tried in (2, 500)
    )
    assert few == many


def test_out_of_fold_scores_take_the_place_of_the_corrected_t_test() -> None:
    results = simulated([0.80, 0.86, 0.85], repeats=5)
    plan = make_plan(references=1, others=2, racing_level=0.0)
    spec = make_confirmation(plan, 5)
    random = np.random.default_rng(0)
    # Samples that suit a candidate do so in every repeat: a standard error of about .01 of each.
    suits = 0.01 / np.sqrt(300) * random.normal(size=(3, 300))
    influences = {(number, repeat): suits[number] for number in range(3) for repeat in range(5)}
    with_scores = judge("c", spec, plan, results, done=True, tried=40, influences=influences)
    found, without = (
        _difference(one, "trial 0", "reference 0") for one in (with_scores, judge("c", spec, plan, results, done=True))
    )
    assert found.difference == pytest.approx(without.difference)
    repeats = np.array([np.mean(results[1, r]) - np.mean(results[0, r]) for r in range(5)])  # type: ignore[arg-type]
    error = math.hypot(repeats.std(ddof=1) / 5**0.5, np.linalg.norm(suits[1] - suits[0]) * math.sqrt(5 / 4))
    degrees = repeated_difference(repeats, np.tile(suits[1] - suits[0], (5, 1)), 5)[0].degrees
    assert found.detectable == pytest.approx(_detectable(found, error, degrees))
    assert "out-of-fold" in with_scores.notes[0]
    del influences[2, 3]
    assert "out-of-fold" not in judge("c", spec, plan, results, done=True, influences=influences).notes[0]


def test_the_value_in_the_search_stands_beside_the_mean_with_its_optimism() -> None:
    row = _judged(simulated([0.80, 0.86, 0.84], repeats=4)).leaderboard[0]
    assert row.search_auc == 0.9
    assert row.mean is not None
    assert row.optimism == pytest.approx(0.9 - row.mean)
    assert row.low is not None
    assert row.high is not None
    assert row.low < row.mean < row.high < 1


def test_the_json_of_a_confirmation_has_the_keys_that_it_always_had() -> None:
    document = plain(_judged(simulated([0.80, 0.86, 0.84], repeats=4)))
    assert {"winner", "standings", "notes"} <= document.keys()
    assert {"rank", "candidate", "is_reference", "flattered", "differences"} <= document["standings"][0].keys()
    verdicts = {each["verdict"] for row in document["standings"] for each in row["differences"]}
    assert verdicts == {"better", "worse", "cannot be told apart"}


def test_a_baseline_can_win() -> None:
    found = _judged(simulated([0.92, 0.80, 0.81], repeats=4))
    assert found.winner == "reference 0"
    assert unmentioned(verdict_of(found), "best mean", "baseline reference 0", ".918") == []


def test_before_all_is_done_there_is_a_leader_and_no_winner_and_only_whole_repeats_count() -> None:
    results = simulated([0.80, 0.90, 0.89], repeats=4)
    del results[2, 3]
    found = _judged(results, done=False)
    assert (found.winner, found.leader, found.whole) == (None, "trial 0", 3)
    assert {row.repeats for row in found.leaderboard} == {3}
    assert numbers_in(verdict_of(found))[:2] == [3, 4]
    assert unmentioned(verdict_of(found), "trial 0") == []
    assert _judged({}, done=False).leader is None


def test_a_dropped_candidate_cannot_win_is_shown_last_and_compared_over_the_repeats_it_had() -> None:
    results = {
        key: value for key, value in simulated([0.80, 0.90, 0.70], repeats=4).items() if key[0] < 2 or key[1] < 2
    }
    found = _judged(results, racing_level=0.01)
    last = found.leaderboard[-1]
    assert (found.whole, last.candidate, last.rank, last.repeats) == (4, "trial 1", None, 2)
    assert unmentioned(last.note, "racing", 2) == []
    assert [(difference.to, difference.repeats) for difference in last.differences] == [
        ("reference 0", 2),
        ("trial 0", 2),
    ]


def test_a_dropped_candidate_cannot_win_although_a_running_trial_still_ended() -> None:
    results = simulated([0.80, 0.90, 0.70], repeats=3)
    found = _judged(results, repeats=3, racing_level=0.01)
    last = found.leaderboard[-1]
    assert (found.whole, last.candidate, last.rank, last.repeats) == (3, "trial 1", None, 3)
    assert unmentioned(last.note, "racing", 2) == []


def test_after_the_last_repeat_nobody_is_dropped() -> None:
    results = simulated([0.80, 0.90, 0.70], repeats=2)
    found = _judged(results, repeats=2, racing_level=0.01)
    assert [(row.rank, row.candidate, row.note) for row in found.leaderboard][-1] == (3, "trial 1", "")
    more = _judged(results, repeats=3, racing_level=0.01, done=False)
    assert [(row.rank, bool(row.note)) for row in more.leaderboard][-1] == (None, True)


def test_a_candidate_that_failed_once_cannot_win_whatever_its_mean() -> None:
    results = simulated([0.80, 0.90, 0.99], repeats=4)
    results[2, 1] = None
    found = _judged(results)
    assert found.winner == "trial 0"
    assert numbers_in(found.leaderboard[-1].note) == [2]


def test_if_every_candidate_failed_there_is_no_winner() -> None:
    results = dict.fromkeys(simulated([0.8, 0.9, 0.9], repeats=4))
    found = _judged(results)
    assert (found.winner, found.leaderboard[0].mean) == (None, None)
    names = [row.candidate for row in found.leaderboard]
    assert unmentioned(verdict_of(found), *names) == names


def test_a_single_value_shows_no_spread_and_everything_is_indistinguishable() -> None:
    found = _judged(simulated([0.5, 0.9, 0.6], repeats=1, folds=1), repeats=1, rows="holdout")
    difference = _difference(found, "trial 0", "reference 0")
    assert (difference.low, difference.high, difference.verdict) == (None, None, Verdict.INDISTINGUISHABLE)
    assert found.leaderboard[0].standard_error is None


def test_official_rows_are_named_as_the_limit_of_what_is_reported() -> None:
    results = simulated([0.8, 0.9, 0.9], repeats=4, folds=1)
    *usual, limit = _judged(results, rows="official").notes
    assert len(usual) == len(_judged(results, rows="holdout").notes)
    assert unmentioned(limit, "official", "seeds") == []


def test_what_workers_have_stored_is_what_is_judged(database: Database) -> None:
    study = create_or_open(database, "c", make_confirmation(make_plan(1, 2), repeats=3))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(2), limit=7)
    found = read_confirmation(study)
    assert (found.name, found.search, found.dataset, found.done, found.whole) == ("c", "search", "breast", False, 2)
    run_worker(study, identity=this_process("w"), train=FakeTrainer(2))
    found = read_confirmation(study)
    assert (found.done, found.winner) == (True, "trial 0")
    # FakeTrainer: .9 at a learning rate of .01, less .1 / 2 epochs.
    assert found.leaderboard[0].mean == pytest.approx(0.85, abs=1e-5)


def test_a_complete_trial_that_lost_its_last_report_is_told(database: Database) -> None:
    study = create_or_open(database, "c", make_confirmation(make_plan(1, 2), repeats=1))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(2))
    with database.engine.begin() as connection:
        connection.execute(sa.delete(schema.reports).where(schema.reports.c.trial_number == 1))
    with pytest.raises(StorageError) as refused:
        read_confirmation(study)
    assert unmentioned(refused.value, "slot 1", "study c") == []


def test_a_study_knows_how_many_repeats_were_planned_when_it_was_created(database: Database) -> None:
    plan = make_plan(1, 2)
    notes = []
    for repeats in (2, 3):
        study = create_or_open(database, "c", make_confirmation(plan, repeats), budget="extend")
        run_worker(study, identity=this_process("w"), train=FakeTrainer(2))
        notes.append(read_confirmation(open_study(database, "c")).notes)
    assert open_study(database, "c").first_trials == 6
    assert [unmentioned(note, "2 repeats", "Sidak") for note in notes[1] if note not in notes[0]][-1] == []


def test_repeats_that_are_added_before_a_trial_has_ended_are_as_good_as_planned(database: Database) -> None:
    plan = make_plan(1, 2)
    create_or_open(database, "c", make_confirmation(plan, 2))
    study = create_or_open(database, "c", make_confirmation(plan, 3))
    assert (study.first_trials, study.spec.budget.trials) == (9, 9)
    stored = open_study(database, "c")
    assert (stored.first_trials, stored.fingerprint, stored.spec) == (9, study.fingerprint, study.spec)
    assert ended(claimed(study))
    later = create_or_open(database, "c", make_confirmation(plan, 4))
    assert (later.first_trials, later.spec.budget.trials) == (9, 12)


def test_candidates_that_were_added_before_a_trial_has_ended_do_not_change_the_repeats_planned_at_first() -> None:
    plan = make_plan(1, 2)
    more = plan.with_more((plan.candidates[-1].model_copy(update={"name": "other"}),), 2)
    assert [one.repeats_of(one.trials_at_first(5 * len(one.candidates))) for one in (plan, more)] == [5, 5]


@pytest.mark.slow
def test_the_scores_that_workers_have_stored_are_used(database: Database) -> None:
    plan = make_plan(1, 2)
    study = create_or_open(database, "c", make_confirmation(plan, repeats=3))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(2))
    influences = read_influences(study, plan)
    assert set(influences) == {(number, repeat) for number in range(3) for repeat in range(3)}
    assert {len(one) for one in influences.values()} == {5 * SAMPLES}
    assert "out-of-fold" in read_confirmation(study).notes[0]
    # DeLong's error of a mean over five folds of 30 positives and 30 negatives.
    row = make_scores(0.85, 1, 0)
    error = delong_interval(row.logits[:, 0], row.labels[:, 0]).error / math.sqrt(5)
    assert np.linalg.norm(influences[1, 0]) == pytest.approx(error, rel=0.15)
    with database.engine.begin() as connection:
        connection.execute(sa.delete(schema.scores).where(schema.scores.c.trial_number == 4))
    assert read_influences(study, plan) == {}
    assert "out-of-fold" not in read_confirmation(study).notes[0]


def test_scores_of_folds_with_one_positive_are_not_used_to_compare_candidates(database: Database) -> None:
    plan = make_plan(1, 2)
    study = create_or_open(database, "c", make_confirmation(plan, repeats=3))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(2))
    assert read_influences(study, plan) != {}
    labels = np.eye(1, SAMPLES, dtype=np.uint8)
    with database.engine.begin() as connection:
        stored = schema.scored_samples
        connection.execute(sa.update(stored).values(labels=labels.tobytes()))
    assert read_influences(study, plan) == {}


def test_variances_of_many_candidates_moderate_each_other_and_of_few_do_not() -> None:
    few = _judged(simulated([0.80, 0.90, 0.89], repeats=1, folds=3), repeats=1)
    assert "Smyth 2004" not in few.notes[0]
    results = simulated([0.80, *(0.9 - 0.001 * number for number in range(11))], repeats=1, folds=3)
    many = _judged(results, others=11, repeats=1)
    assert "Smyth 2004" in many.notes[0]
    widths = [
        d.high - d.low for row in many.leaderboard for d in row.differences if d.high is not None and d.low is not None
    ]
    # By Student with 2 degrees, differences that scatter by .028 would have intervals .22 wide, half of them more.
    assert max(widths) < 0.2
    assert max(widths) < 3 * min(widths)


def test_repeats_that_were_added_count_as_a_second_look() -> None:
    results = simulated([0.80, 0.84, 0.83], repeats=5)
    plan = make_plan(references=1, others=2, racing_level=0.0)
    spec = make_confirmation(plan, 5)
    planned, added, ahead = (judge("c", spec, plan, results, done=True, first=first) for first in (5, 3, 9))
    before, after = (_difference(one, "trial 0", "reference 0") for one in (planned, added))
    assert before.low is not None
    assert after.low is not None
    assert after.low < before.low
    assert before == _difference(ahead, "trial 0", "reference 0")
    assert [note for note in added.notes if note not in planned.notes] != []
    assert planned.notes == ahead.notes
