"""Asynchronous successive halving, against tables made by hand."""

from __future__ import annotations

import statistics

import pytest

from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.trials import read_curve, read_trials
from hpo.search.queue.reporting import record_report
from hpo.search.queue.workers import this_process
from hpo.search.strategy.asha import SuccessiveHalving
from hpo.search.strategy.pruner import Pruner, Reached, Rung, make_pruner
from hpo.search.study import Study
from hpo.search.worker.loop import run_worker
from hpo.study.choices import PRUNERS
from hpo.study.spec import RungSpec, Scoring
from hpo.study.stages import Stage
from hpo.testing.trainer import FakeTrainer, make_report, make_spec
from hpo.testing.trials import claimed, ended
from tests.plugins import kept_registries


def _pruned_study(database: Database, **options: object) -> Study:
    return create_or_open(
        database, "study", make_spec(30, epochs=30, pruner="asha", rungs="epochs", first_rung=2, **options)
    )


def _report(study: Study, auc: float, epoch: int = 2) -> bool:
    return record_report(claimed(study), make_report(epoch, auc))


@pytest.mark.parametrize(
    ("first", "reduction", "epochs", "expected"),
    [(5, 3, 45, (5, 15)), (5, 3, 46, (5, 15, 45)), (4, 2, 30, (4, 8, 16)), (30, 3, 30, ())],
)
def test_rungs_grow_by_the_reduction_and_end_below_the_last_epoch(
    first: int, reduction: int, epochs: int, expected: tuple[int, ...]
) -> None:
    spec = make_spec(epochs=epochs, pruner="asha", rungs="epochs", first_rung=first, reduction=reduction)
    assert make_pruner(spec).rungs() == tuple(Stage(5, rung) for rung in expected)


def test_without_a_pruner_there_are_no_rungs() -> None:
    assert make_pruner(make_spec(epochs=100, pruner="none")).rungs() == ()


@pytest.mark.parametrize(
    ("better", "recorded", "expected"),
    [(0, 1, True), (1, 2, True), (0, 3, True), (1, 3, False), (1, 5, False), (1, 6, True), (2, 6, False)],
)
def test_the_best_third_goes_on(better: int, recorded: int, expected: bool) -> None:
    pruner = SuccessiveHalving(make_spec(pruner="asha", reduction=3))
    assert pruner.goes_on(Rung(2, 0.5, better, recorded)) is expected


def test_trials_are_stopped_by_their_rank_among_those_recorded_at_the_rung(database: Database) -> None:
    study = _pruned_study(database)
    # Of n values at the rung the best n // 3 go on; with one or two, all.
    table = [(0.5, True), (0.4, True), (0.6, True), (0.55, False), (0.3, False), (0.58, True), (0.59, True)]
    assert [_report(study, auc) for auc, _ in table] == [expected for _, expected in table]


def test_between_rungs_every_trial_goes_on(database: Database) -> None:
    study = _pruned_study(database)
    assert all(_report(study, auc, epoch=3) for auc in (0.9, 0.8, 0.1, 0.05))


def test_the_decision_is_that_of_the_pure_function_on_any_order(database: Database) -> None:
    study, seen = _pruned_study(database), []
    for step in range(20):
        auc = ((step * 7) % 20) / 20
        seen.append(auc)
        better = sum(other > auc for other in seen)
        assert _report(study, auc) is make_pruner(study.spec).goes_on(Rung(2, auc, better, len(seen), 5))


@pytest.mark.slow
def test_baselines_are_never_pruned(database: Database) -> None:
    study = _pruned_study(database, references=True)
    run_worker(study, identity=this_process("w"), train=FakeTrainer(30), limit=12)
    rows = read_trials(study)
    assert [row.state for row in rows[:2]] == ["complete", "complete"]
    assert "pruned" in {row.state for row in rows[2:]}
    assert {row.epochs for row in rows if row.state == "pruned"} <= {2, 6, 18}


class UpperHalf(Pruner):
    """Stops what is below the median of all trials at the same epoch; needs three of them."""

    def rungs(self) -> tuple[int, ...]:
        return (2, 5)

    def goes_on(self, rung: Rung) -> bool:
        return rung.recorded < 3 or rung.auc >= statistics.median(rung.aucs())


def test_a_registered_pruner_decides_from_the_reports_at_its_rungs(any_database: Database, name: str) -> None:
    with kept_registries():
        PRUNERS.register("upper_half", UpperHalf)
        study = create_or_open(any_database, name, make_spec(30, epochs=30, pruner="upper_half"))
        table = [(0.5, True), (0.4, True), (0.6, True), (0.45, False), (0.5, True), (0.3, False)]
        assert [_report(study, auc) for auc, _ in table] == [expected for _, expected in table]
        assert all(_report(study, auc, epoch=3) for auc in (0.1, 0.2))


def test_a_pruner_sees_the_reports_of_its_own_study_and_epoch(database: Database) -> None:
    seen: list[tuple[Rung, tuple[float, ...]]] = []

    class Curious(UpperHalf):
        def goes_on(self, rung: Rung) -> bool:
            seen.append((rung, rung.aucs()))
            return True

    with kept_registries():
        PRUNERS.register("curious", Curious)
        studies = [create_or_open(database, name, make_spec(epochs=9, pruner="curious")) for name in "ab"]
        for study in studies:
            for auc in (0.5, 0.7, 0.6):
                _report(study, auc)
    assert [rung for rung, _ in seen[:3]] == [
        Rung(2, 0.5, 0, 1, 5, 0),
        Rung(2, 0.7, 0, 2, 5, 1),
        Rung(2, 0.6, 1, 3, 5, 2),
    ]
    assert seen[2][1] == (0.7, 0.6, 0.5)
    assert seen[:3] == seen[3:]


def _staged(database: Database, **options: object) -> Study:
    return create_or_open(
        database, "staged", make_spec(30, epochs=9, pruner="asha", rungs="folds", first_rung=3, **options)
    )


def test_trials_are_compared_on_the_folds_that_they_have_in_common(database: Database) -> None:
    """A report that rests on more folds counts at the rungs of fewer by its first ones."""
    study = _staged(database)
    for number in range(3):
        held = claimed(study)
        assert record_report(held, make_report(3, 0.6, fold_aucs=(0.6 + number / 100,)))
        # Over all folds, and better than before on the first: what counts is the first.
        record_report(held, make_report(3, 0.9, fold_aucs=(0.6 + number / 100, *[0.99] * 4)))
        assert ended(held)
    better, worse = claimed(study), claimed(study)
    assert record_report(better, make_report(3, 0.7, fold_aucs=(0.7,)))
    assert not record_report(worse, make_report(3, 0.61, fold_aucs=(0.61,)))


def test_a_stages_of_a_study_file_decides_at_its_rungs_and_with_its_shares() -> None:
    rungs = (RungSpec(folds=1, epochs=4, keep=0.5), RungSpec(folds=3, epochs=9))
    pruner = make_pruner(make_spec(epochs=9, pruner="asha", rungs=rungs, reduction=4))
    assert pruner.stages() == (Stage(1, 4), Stage(3, 9), Stage(5, 9))
    assert [pruner.goes_on(Rung(4, 0.5, 1, recorded, 1)) for recorded in (2, 3, 4)] == [False, False, True]
    assert [pruner.goes_on(Rung(9, 0.5, 1, recorded, 3)) for recorded in (3, 4, 8)] == [True, False, True]
    assert "1 fold, 4 epochs (the best 1/2); 3 folds, 9 epochs (the best 1/4)" in pruner.describe()


def test_a_share_holds_where_a_rung_has_more_folds_than_the_trials() -> None:
    spec = make_spec(epochs=9, pruner="asha", rungs=(RungSpec(folds=2, epochs=4, keep=0.9),), reduction=3)
    pruner = make_pruner(spec.model_copy(update={"scoring": Scoring(rows="holdout")}))
    assert pruner.stages() == (Stage(1, 4), Stage(1, 9))
    assert pruner.goes_on(Rung(4, 0.5, 8, 10, 1))
    assert not pruner.goes_on(Rung(4, 0.5, 9, 10, 1))


@pytest.mark.slow
def test_baselines_train_all_folds_together_and_others_one_after_the_other(database: Database) -> None:
    study = create_or_open(
        database, "study", make_spec(14, epochs=9, references=True, pruner="asha", rungs="folds", first_rung=3)
    )
    run_worker(study, identity=this_process("w"), train=FakeTrainer(9))
    rows = read_trials(study)
    folds = {row.number: {len(report.fold_aucs) for report in read_curve(study, row.number)} for row in rows}
    assert folds[0] == folds[1] == {5}
    assert {"pruned", "complete"} <= {row.state for row in rows}
    for row in rows[2:]:
        assert folds[row.number] in (({5},) if row.state == "complete" else ({1}, {3}))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hyperband", "median", "wilcoxon"])
def test_every_pruner_ends_bad_trials_and_lets_the_best_be_complete(database: Database, name: str) -> None:
    options = {"pruner": name, "rungs": "folds", "first_rung": 3, "sampler": "random", "seed": 3}
    study = create_or_open(database, "study", make_spec(40, epochs=9, **options))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(9))
    rows = read_trials(study)
    states = [row.state for row in rows]
    assert 4 <= states.count("pruned") < 40
    best = max(rows, key=lambda row: (row.epochs, row.auc or 0.0))
    assert best.state == "complete"


def test_hyperband_compares_within_brackets_that_begin_at_different_rungs() -> None:
    pruner = make_pruner(make_spec(epochs=9, pruner="hyperband", rungs="folds", first_rung=3))
    field = tuple(Reached(number, (0.9 - number / 1000,)) for number in range(300))

    def goes_on(number: int, epoch: int) -> bool:
        folds = 1 if epoch == 3 else 3
        return pruner.goes_on(Rung(epoch, field[number].auc, number, 300, folds, number, lambda: field))

    first = [goes_on(number, 3) for number in range(300)]
    # All of the two later brackets pass the first rung, of the others only the best third.
    assert 0.4 < sum(first) / 300 < 0.75
    assert all(first[:80])
    assert not all(first[-80:])
    assert sum(goes_on(number, 9) for number in range(300)) < sum(first)


def test_wilcoxon_stops_what_is_worse_on_every_fold_and_nothing_closer() -> None:
    pruner = make_pruner(make_spec(epochs=9, pruner="wilcoxon"))
    assert pruner.stages() == (Stage(4, 9), Stage(5, 9))
    best = Reached(0, (0.8, 0.81, 0.82, 0.83))

    def goes_on(*aucs: float) -> bool:
        own = Reached(1, aucs)
        return pruner.goes_on(Rung(9, own.auc, 1, 2, 4, 1, lambda: (best, own)))

    assert not goes_on(0.7, 0.72, 0.74, 0.76)
    assert goes_on(0.7, 0.72, 0.74, 0.84)
    assert goes_on(*best.fold_aucs)
