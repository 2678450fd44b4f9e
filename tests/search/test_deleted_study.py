"""A worker whose study is deleted ends with StudyNotFoundError, whatever it was about to do, on every database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hpo.errors import StudyNotFoundError
from hpo.search.admin.studies import delete_study
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.database.optuna_storage import plain_storage
from hpo.search.queries.listing import list_studies
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_curve
from hpo.search.queue.claiming import claim, release, renew, store_record
from hpo.search.queue.reporting import LeaseLost, record_report
from hpo.search.queue.workers import record_job, request_stop, this_process
from hpo.search.study import Study
from hpo.search.worker import heartbeat, loop
from hpo.search.worker.loop import run_worker
from hpo.testing.trainer import FakeTrainer, make_record, make_report, make_spec
from hpo.testing.trials import claimed, ended
from tests.wait import until


def _by_hpo(study: Study) -> None:
    delete_study(study.database, study.name, force=True)


def _by_optuna(study: Study) -> None:
    """As `optuna delete-study` does: on SQLite it leaves hpo's rows behind."""
    plain_storage(study.database.url).delete_study(study.study_id)


WAYS = {"hpo": _by_hpo, "optuna": _by_optuna}

POINTS = {
    "it registers": (loop, "register_worker"),
    "it asks whether to stop": (loop, "check_in"),
    "it claims a trial": (loop, "claim"),
    "it samples": (loop, "suggest"),
    "it stores a record": (loop, "store_record"),
    "it reports": (loop, "record_report"),
    "it finishes a trial": (loop, "finish"),
    "its heartbeat": (heartbeat, "renew"),
}


@pytest.mark.usefixtures("quick_heartbeat")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("limit", [None, 1])
def test_a_worker_ends_when_its_study_is_deleted_before(
    any_database: Database, name: str, point: str, way: str, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = create_or_open(any_database, name, make_spec(3))
    module, function = POINTS[point]
    usual: Callable[..., Any] = getattr(module, function)
    deleted: list[str] = []

    def delete_before(*arguments: Any, **options: Any) -> Any:
        if not deleted:
            WAYS[way](study)
            deleted.append(name)
        return usual(*arguments, **options)

    monkeypatch.setattr(module, function, delete_before)
    train = FakeTrainer(2)
    if point == "its heartbeat":
        train = FakeTrainer(2, on_epoch=lambda _: until(lambda: bool(deleted)))
    with pytest.raises(StudyNotFoundError):
        run_worker(study, identity=this_process("w"), train=train, limit=limit)
    assert deleted == [name]
    assert name not in {row.name for row in list_studies(any_database)}


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_of_a_deleted_study_leaves_another_of_the_same_name_alone(
    any_database: Database, name: str, way: str
) -> None:
    old = create_or_open(any_database, name, make_spec(3))
    lost = claimed(old, "old")
    WAYS[way](old)
    new = create_or_open(any_database, name, make_spec(2, epochs=9))
    held = claimed(new, "new")
    assert (held.slot, held.fence) == (lost.slot, lost.fence)
    with pytest.raises(LeaseLost):
        record_report(lost, make_report(1, 0.9))
    assert not renew(lost, 0.5).held
    assert not ended(lost)
    assert not store_record(lost, make_record({}))
    assert not release(lost)
    with pytest.raises(StudyNotFoundError):
        claim(old, "old")
    with pytest.raises(StudyNotFoundError):
        read_status(old)
    assert read_curve(new, held.number) == []
    assert ended(held)


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_that_waits_for_another_ends_too(
    any_database: Database, name: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = create_or_open(any_database, name, make_spec(1))
    claim(study, "another")
    monkeypatch.setattr(loop, "POLL_SECONDS", (0.01, 0.01))
    usual = claim

    def delete_after(*arguments: Any) -> Any:
        found = usual(*arguments)
        WAYS[way](study)
        return found

    monkeypatch.setattr(loop, "claim", delete_after)
    with pytest.raises(StudyNotFoundError):
        run_worker(study, identity=this_process("w"), train=FakeTrainer())


@pytest.mark.parametrize("way", WAYS)
def test_what_is_recorded_for_a_deleted_study_says_so_or_does_nothing(
    any_database: Database, name: str, way: str
) -> None:
    study = create_or_open(any_database, name, make_spec(1))
    WAYS[way](study)
    request_stop(study, at_once=True)
    if way == "optuna" and any_database.url.get_backend_name() == "sqlite":
        return
    with pytest.raises(StudyNotFoundError):
        record_job(study, cluster="c", job="1", tasks=1, log_dir="/")
