"""What each stage took and ran on."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from hpo.outcome.ablation import ablation_name
from hpo.outcome.report.build import Evidence, build
from hpo.outcome.report.document import Listing, Table
from hpo.outcome.report.gather import gather
from hpo.outcome.report.work import Work, cost, provenance, work_of_final
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queue.workers import this_process
from hpo.search.worker.loop import run_worker
from hpo.study.config import TrainConfig
from hpo.study.plan import Candidate
from hpo.study.record import NetworkRecord, Provenance, ResourceUsage
from hpo.testing.trainer import FakeTrainer, make_spec
from tests.outcome import simulated
from tests.outcome.pages import blocks, rows
from tests.search.planned import make_confirmation, make_plan

GPU = {"device name": "NVIDIA H200", "torch": "2.11.0"}
CONFIRMATION = Work(
    "confirmation",
    tuple(
        NetworkRecord(
            provenance=Provenance(code_version=f"{number:040d}", environment=GPU),
            usage=ResourceUsage(seconds=60.0 * number, energy_joules=1.8e6),
        )
        for number in (1, 2, 6)
    ),
)


def test_each_stage_tells_its_hours_its_energy_and_its_device() -> None:
    section = cost(simulated.search(6), [CONFIRMATION])
    told = rows(section)
    assert told["confirmation"] == ("3", "9 min", "2 min", "1.50 kWh", "-", "NVIDIA H200")
    # Trials 0, 1 and 3 run 9 epochs of 2 s, the other three 5.
    assert told["search"] == ("6", "84 s", "14 s", "-", "1.0 GiB", "AMD EPYC")
    assert "Energy" not in str(section.blocks[-1])


def test_energy_of_a_part_of_the_trials_says_of_how_many() -> None:
    without = NetworkRecord(provenance=Provenance(code_version="0"), usage=ResourceUsage(seconds=60.0))
    told = rows(cost(simulated.search(6), [Work("confirmation", (*CONFIRMATION.records, without))]))
    assert told["confirmation"][3] == "1.50 kWh (3 of 4)"


def test_where_no_device_tells_its_energy_that_is_reported() -> None:
    (_, listing) = cost(simulated.search(6)).blocks
    assert isinstance(listing, Listing)
    assert "Energy" in listing.items[-1]


def test_a_study_whose_trials_all_failed_is_not_said_to_have_none() -> None:
    trial = dataclasses.replace(simulated.trial(0, "failed", 0.5), curve=[], record=None)
    (began,), (ended,) = cost(simulated.of([])).blocks, cost(simulated.of([trial])).blocks
    assert began != ended
    assert blocks(provenance(simulated.of([trial])), Table) == []


def test_a_stage_of_several_versions_tells_how_many_trials_have_each() -> None:
    search = simulated.search(6)
    dirty = NetworkRecord(provenance=Provenance(code_version="f" * 40, dirty=True))
    clean = NetworkRecord(provenance=Provenance(code_version="e" * 40))
    told = rows(provenance(search, [CONFIRMATION, Work("ablation", (dirty, dirty, clean))]))
    assert told["code"][:2] == ("0123456789ab", "000000000000")
    assert re.fullmatch(r"f{12} \(\D+\) \(2\), e{12} \(1\)", told["code"][2])
    assert told["torch"] == ("-", "2.11.0", "-")


def test_networks_from_before_they_had_records_tell_their_code() -> None:
    old = simulated.final(seeds=2)
    assert work_of_final(old).records == (NetworkRecord(provenance=Provenance(code_version="abc1234")),) * 4
    sections = build(Evidence(simulated.search(6), final=old)).sections
    (found,) = [rows(section) for section in sections if section.title == cost(simulated.search(6)).title]
    assert found[work_of_final(old).stage] == ("4", "-", "-", "-", "-", "-")


def test_a_confirmation_in_the_database_is_a_stage_and_an_ablation_another(database: Database, tmp_path: Path) -> None:
    search = create_or_open(database, "search", make_spec(4, references=True))
    plan = make_plan(references=2, others=0)
    change = Candidate(name="clip = 0", config=TrainConfig(clip=0.0))
    ablation = plan.model_copy(update={"candidates": (plan.candidates[0], change)})
    for name, planned in (("search-confirm", plan), (ablation_name("search"), ablation)):
        run_worker(
            create_or_open(database, name, make_confirmation(planned, 2)),
            identity=this_process("w"),
            train=FakeTrainer(),
        )
    assert [(work.stage, len(work.records)) for work in gather(search, tmp_path).work] == [
        ("confirmation", 4),
        ("ablation", 4),
    ]
