"""Asynchronous successive halving, against tables made by hand."""

from __future__ import annotations

import statistics

import pytest

from hpo.search.database.database import Database
from hpo.search.queries.trials import read_trials
from hpo.search.queue.reporting import record_report
from hpo.search.queue.workers import this_process
from hpo.search.strategy.asha import SuccessiveHalving
from hpo.search.strategy.pruner import Pruner, Rung, make_pruner
from hpo.search.study import Study, create_or_open
from hpo.search.worker.loop import run_worker
from hpo.study.choices import PRUNERS
from hpo.testing.trainer import FakeTrainer, make_report, make_spec
from hpo.testing.trials import claimed
from tests.plugins import kept_registries


def _pruned_study(database: Database, **options: object) -> Study:
    return create_or_open(database, "study", make_spec(30, epochs=30, pruner="asha", first_rung=2, **options))


def _report(study: Study, auc: float, epoch: int = 2) -> bool:
    return record_report(claimed(study), make_report(epoch, auc))


@pytest.mark.parametrize(
    ("first", "reduction", "epochs", "expected"),
    [(5, 3, 45, (5, 15)), (5, 3, 46, (5, 15, 45)), (4, 2, 30, (4, 8, 16)), (30, 3, 30, ())],
)
def test_rungs_grow_by_the_reduction_and_end_below_the_last_epoch(
    first: int, reduction: int, epochs: int, expected: tuple[int, ...]
) -> None:
    spec = make_spec(epochs=epochs, pruner="asha", first_rung=first, reduction=reduction)
    assert make_pruner(spec).rungs() == expected


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
        assert _report(study, auc) is make_pruner(study.spec).goes_on(Rung(2, auc, better, len(seen)))


def test_baselines_are_never_pruned(database: Database) -> None:
    study = _pruned_study(database, references=True)
    run_worker(study, identity=this_process("w"), train=FakeTrainer(30), limit=12)
    rows = read_trials(study)
    assert [row.state for row in rows[:2]] == ["complete", "complete"]
    assert "pruned" in {row.state for row in rows[2:]}
    assert {row.epochs for row in rows if row.state == "pruned"} <= {2, 6, 18}


class Median(Pruner):
    """Stops what is below the median of all trials at the same epoch; needs three of them."""

    def rungs(self) -> tuple[int, ...]:
        return (2, 5)

    def goes_on(self, rung: Rung) -> bool:
        return rung.recorded < 3 or rung.auc >= statistics.median(rung.aucs())


def test_a_registered_pruner_decides_from_the_reports_at_its_rungs(any_database: Database, name: str) -> None:
    with kept_registries():
        PRUNERS.register("median", Median)
        study = create_or_open(any_database, name, make_spec(30, epochs=30, pruner="median"))
        table = [(0.5, True), (0.4, True), (0.6, True), (0.45, False), (0.5, True), (0.3, False)]
        assert [_report(study, auc) for auc, _ in table] == [expected for _, expected in table]
        assert all(_report(study, auc, epoch=3) for auc in (0.1, 0.2))


def test_a_pruner_sees_the_reports_of_its_own_study_and_epoch(database: Database) -> None:
    seen: list[tuple[Rung, tuple[float, ...]]] = []

    class Curious(Median):
        def goes_on(self, rung: Rung) -> bool:
            seen.append((rung, rung.aucs()))
            return True

    with kept_registries():
        PRUNERS.register("curious", Curious)
        studies = [create_or_open(database, name, make_spec(epochs=9, pruner="curious")) for name in "ab"]
        for study in studies:
            for auc in (0.5, 0.7, 0.6):
                _report(study, auc)
    assert [rung for rung, _ in seen[:3]] == [Rung(2, 0.5, 0, 1), Rung(2, 0.7, 0, 2), Rung(2, 0.6, 1, 3)]
    assert seen[2][1] == (0.7, 0.6, 0.5)
    assert seen[:3] == seen[3:]
