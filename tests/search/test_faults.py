"""The fault harness in a short form, and that it would see what it looks for."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fault_harness import clock_campaign, parent_campaign
from benchmarks.fault_harness.campaign import Plan, run
from benchmarks.fault_harness.invariants import INVARIANTS, TrialFacts, broken
from benchmarks.fault_harness.journal import Entry
from benchmarks.fault_harness.leftovers import leftovers
from benchmarks.fault_harness.orders import stand_in_auc
from benchmarks.fault_harness.schedule import Kind, draw
from benchmarks.fault_harness.servers import postgres_programs
from benchmarks.fault_harness.stand_in import StandIn
from hpo.search.admin.studies import delete_study
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queue.workers import this_process
from hpo.search.worker.loop import run_worker
from hpo.search.worker.trainer import Task
from hpo.testing.trainer import make_spec
from hpo.testing.trials import trained
from hpo.training.report import EpochReport

NOTHING: dict[str, list[str]] = {name: [] for name in INVARIANTS}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_a_study_under_faults_ends_with_exactly_its_budget_and_nothing_lost(backend: str) -> None:
    _skip_without(backend)
    plan = Plan(
        backend, workers=5, trials=24, more=4, epochs=6, epoch_seconds=0.15, lease=1.2, seconds=9.0, limit=600.0
    )
    result = run("hpo", plan)
    assert [phase["hung"] for phase in result["phases"].values()] == [False, False, False]
    found = {name: phase["broken"] for name, phase in result["phases"].items()}
    assert found == dict.fromkeys(found, NOTHING)
    assert result["phases"]["relaunched when finished"]["finished trials that were begun again"] == 0
    assert result["counts"].get("workers that died of an error", 0) == 0
    struck = {kind: result["counts"].get(kind, 0) for kind in ("kill", "terminate", "freeze")}
    assert all(struck.values()), struck
    assert result["trials taken up from another worker"] > 0
    assert result["checkpoints left behind"] == 0


@pytest.mark.slow
def test_setting_a_clock_takes_no_trial_from_a_live_worker() -> None:
    # A lease that no worker overruns because the machine is busy.
    plan = Plan("sqlite", workers=3, trials=12, epochs=10, epoch_seconds=0.3, lease=4.0, limit=600.0)
    result = clock_campaign.run(plan)
    assert _broken(result) == {}
    phases = result["phases"].values()
    assert all(phase["times a clock was set"] > 0 for phase in phases)
    assert [phase["trials taken from a live worker"] for phase in phases] == [0, 0, 0]


@pytest.mark.slow
def test_a_launch_ends_after_its_workers_through_outages_and_kills() -> None:
    _skip_without("postgresql")
    plan = Plan("postgresql", workers=2, trials=12, epochs=6, epoch_seconds=0.3, lease=3.0, seconds=12.0, limit=600.0)
    result = parent_campaign.run(plan, last_only=True)
    assert _broken(result) == {}
    assert all(result["counts"][kind] for kind in ("outages", "cut", "workers killed"))


def _skip_without(backend: str) -> None:
    if backend == "postgresql":
        try:
            postgres_programs()
        except RuntimeError as error:
            pytest.skip(str(error))


def _broken(result: dict[str, Any]) -> dict[str, list[str]]:
    """What broke in any phase."""
    assert not any(phase["hung"] for phase in result["phases"].values()), result
    return {name: found for phase in result["phases"].values() for name, found in phase["broken"].items() if found}


def test_what_is_left_of_a_study_is_seen(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(3))
    trained(study)
    assert {"hpo_study", "hpo_trial", "hpo_report", "studies", "trials"} <= set(leftovers(database, study))
    delete_study(database, "study")
    assert leftovers(database, study) == {}
    lost = "INSERT INTO trial_values (trial_id, objective, value_type) VALUES (7, 0, 'FINITE')"
    with contextlib.closing(sqlite3.connect(str(database.url.database))) as connection, connection:
        connection.execute(lost)
    assert leftovers(database, study) == {"trial_values": 1}


def test_a_worker_that_dies_after_its_last_checkpoint_leaves_a_trial_that_another_completes(
    database: Database, tmp_path: Path
) -> None:
    class DiesAtTheEnd(StandIn):
        def __call__(self, task: Task) -> Iterator[EpochReport]:
            yield from super().__call__(task)
            raise KeyboardInterrupt

    study = create_or_open(database, "study", make_spec(1, epochs=3))
    assert run_worker(study, identity=this_process("dies"), train=DiesAtTheEnd(3, 0.0, tmp_path)).finished == 0
    assert run_worker(study, identity=this_process("heir"), train=StandIn(3, 0.0, tmp_path)).finished == 1
    shown = database.optuna.get_all_trials(study.study_id)[0]
    assert shown.state.name == "COMPLETE"
    assert shown.value == shown.intermediate_values[3]


def test_faults_are_the_same_for_the_same_seed() -> None:
    kinds: tuple[Kind, ...] = ("kill", "freeze", "restart")
    assert draw(3, 60.0, 8, 2.0, kinds) == draw(3, 60.0, 8, 2.0, kinds) != draw(4, 60.0, 8, 2.0, kinds)
    assert {fault.kind for fault in draw(3, 60.0, 8, 2.0, kinds)} == set(kinds)
    assert all(fault.seconds > 2.0 for fault in draw(3, 60.0, 8, 2.0, ("freeze",)))


def _trial(number: int = 0, **changed: object) -> TrialFacts:
    curve = {epoch: stand_in_auc(7, epoch) for epoch in (1, 2)}
    sound = TrialFacts(number, "finished", "complete", 2, 2, 7, curve, "COMPLETE", frozenset({1, 2}), curve[2])
    return replace(sound, **changed)  # type: ignore[arg-type]


def _entry(event: str, began: float, *, trial: int = 0, fence: int = 2, **fields: object) -> Entry:
    return Entry(f"w{fence}", event, began, began + 0.1, {"trial": trial, "fence": fence, **fields})


SOUND = [
    _entry("claim", 1.0, fence=1),
    _entry("report", 2.0, fence=1, epoch=1),
    _entry("claim", 3.0),
    _entry("report", 4.0, epoch=2),
    _entry("finish", 5.0, outcome="complete"),
]


def test_a_sound_study_breaks_nothing() -> None:
    assert broken([_trial()], SOUND, 1) == NOTHING


@pytest.mark.parametrize(
    ("invariant", "trials", "more"),
    [
        ("finished is the budget", [_trial(0), _trial(1)], []),
        ("no trial finished twice", [_trial()], [_entry("finish", 6.0, outcome="complete")]),
        ("no trial lost", [_trial(1)], []),
        ("no trial lost", [_trial(0, optuna_state="missing")], []),
        ("no trial left running", [_trial(0, optuna_state="RUNNING")], []),
        ("no trial left running", [_trial(), _trial(1, state="claimed")], []),
        ("no finish forgotten", [_trial(0, state="claimed")], []),
        ("no finish forgotten", [_trial(0, outcome="pruned")], []),
        ("no report forgotten", [_trial(0, curve={2: stand_in_auc(7, 2)})], []),
        ("no write without a lease", [_trial()], [_entry("report", 3.5, fence=1, epoch=2)]),
        ("no write without a lease", [_trial()], [_entry("renew", 3.5, fence=1)]),
        ("curves complete", [_trial(0, optuna_steps=frozenset({2}))], []),
        ("curves complete", [_trial(0, epoch=3)], []),
        ("curves complete", [_trial(0, optuna_value=None)], []),
        ("curves complete", [_trial(0, epoch=None, curve={}, optuna_steps=frozenset())], []),
        ("curves true", [_trial(0, seed=8)], []),
    ],
)
def test_what_breaks_an_invariant_is_seen(invariant: str, trials: list[TrialFacts], more: list[Entry]) -> None:
    assert broken(trials, SOUND + more, 1)[invariant]


def test_a_write_that_overlaps_the_claim_of_the_next_worker_is_not_held_against_it() -> None:
    assert broken([_trial()], [*SOUND, _entry("renew", 3.05, fence=1)], 1)["no write without a lease"] == []
