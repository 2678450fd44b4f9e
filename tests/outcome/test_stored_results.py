"""Final results as files: those that are committed, those of older and of newer versions of hpo."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import DataError
from hpo.outcome.final import RESULT, RESULT_VERSION, FinalResult, load, store
from hpo.outcome.judgement import judge_final
from hpo.outcome.report.build import Evidence, build
from hpo.outcome.report.document import Table, to_markdown
from hpo.outcome.report.gather import gather
from hpo.outcome.report.work import cost, work_of_final
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.study import open_study
from hpo.study.baselines import shown_name
from hpo.study.record import NetworkRecord, Provenance, ResourceUsage
from tests.outcome import simulated

ROOT = Path(__file__).parents[2] / "docs" / "results"
FOLDERS = sorted(path.parent for path in ROOT.rglob(RESULT))
DATABASES = sorted(path.parent for path in ROOT.glob("*/study.sqlite3"))


def named(folder: Path) -> str:
    return str(folder.relative_to(ROOT))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Store a simulated result, then change its JSON."""
    store(simulated.final(), folder)
    stored = json.loads((folder / RESULT).read_text())
    change(stored)
    (folder / RESULT).write_text(json.dumps(stored))


def test_four_results_are_committed() -> None:
    assert [named(folder) for folder in FOLDERS] == ["adrenal3d", "breast", "breast/first-opening", "pneumonia"]


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_a_committed_result_is_written_as_it_was_read_byte_for_byte(folder: Path) -> None:
    text = (folder / RESULT).read_text()
    assert FinalResult.from_json(text).to_json() == text


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_a_committed_result_is_judged(folder: Path) -> None:
    final = load(folder)
    assert final is not None
    judgement = judge_final(final, draws=100)
    assert judgement.entries[0].name == final.result.winner
    assert [len(entry.networks) for entry in final.result.entries] == [final.result.protocol.seeds] * len(final.scores)
    records = work_of_final(final).records
    assert len(records) == final.result.protocol.seeds * len(final.result.entries)
    assert all(len(record.provenance.code_version) >= 40 for record in records)


@pytest.fixture(params=DATABASES, ids=named)
def evidence(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Evidence]:
    """All that the report of a committed study rests on."""
    copy = tmp_path / "study.sqlite3"
    shutil.copyfile(request.param / "study.sqlite3", copy)
    database = open_database(resolve_address(f"sqlite:///{copy}"), create=False)
    yield gather(open_study(database, request.param.name), request.param)
    database.close()


def test_a_committed_study_has_its_result_and_the_cost_of_each_stage(evidence: Evidence) -> None:
    assert evidence.final is not None
    assert evidence.confirmation is not None
    table = next(block for block in cost(evidence.search, evidence.work).blocks if isinstance(block, Table))
    assert [row[:2] for row in table.rows] == [
        ("search", str(len(evidence.search.trials))),
        *((work.stage, str(len(work.records))) for work in evidence.work),
    ]
    assert all(trial.record is not None and trial.roc and trial.config for trial in evidence.search.trials)
    for work in evidence.work:
        assert len(work.known("seconds")) == len(work.known("peak_memory")) == len(work.records) > 0


@pytest.mark.slow
def test_the_report_of_a_committed_study_is_built(evidence: Evidence) -> None:
    page = to_markdown(build(evidence))
    assert evidence.final is not None
    assert shown_name(evidence.final.result.winner) in page
    assert " nan" not in page


def test_the_records_of_networks_are_kept(tmp_path: Path) -> None:
    record = NetworkRecord(
        provenance=Provenance(code_version="abc1234", environment={"torch": "2.11.0"}, data_md5="d41d8"),
        usage=ResourceUsage(seconds=60.0, peak_memory=1024),
    )
    final = simulated.final(seeds=1)
    entries = tuple(
        entry.model_copy(update={"networks": (entry.networks[0].model_copy(update={"record": record}),)})
        for entry in final.result.entries
    )
    store(simulated.changed(final, entries=entries), tmp_path)
    again = load(tmp_path)
    assert again is not None
    assert again.result.entries == entries
    stored = json.loads((tmp_path / RESULT).read_text())["entries"][0]["networks"][0]["record"]
    assert stored == {
        "code_version": "abc1234",
        "dirty": False,
        "environment": {"torch": "2.11.0"},
        "data_md5": "d41d8",
        "seconds": 60.0,
        "peak_memory": 1024,
    }


def test_a_network_without_a_record_has_none(tmp_path: Path) -> None:
    rewrite(tmp_path, lambda stored: stored["entries"][0]["networks"][0].update(record={}))
    final = load(tmp_path)
    assert final is not None
    assert final.result.entries[0].networks[0].record is None


def test_keys_of_a_newer_hpo_are_passed_over(tmp_path: Path) -> None:
    def add(stored: dict[str, Any]) -> None:
        stored["calibration"] = {"slope": 1.0}
        stored["entries"][0]["seeds"] = [1, 2]
        stored["entries"][0]["networks"][0]["digest"] = "00"

    rewrite(tmp_path, add)
    final = load(tmp_path)
    assert final is not None
    assert final.result == simulated.final().result


def test_a_result_of_a_newer_version_is_refused_as_such(tmp_path: Path) -> None:
    rewrite(tmp_path, lambda stored: stored.update(version=RESULT_VERSION + 1, protocol="see elsewhere"))
    with pytest.raises(DataError, match="newer hpo"):
        load(tmp_path)


@pytest.mark.parametrize("key", ["winner", "entries", "protocol", "ledger_row"])
def test_a_result_that_lacks_a_key_is_refused_with_its_name(tmp_path: Path, key: str) -> None:
    rewrite(tmp_path, lambda stored: stored.pop(key))
    with pytest.raises(DataError, match=key):
        load(tmp_path)
