"""Checkpoints of a study that is in two databases: moved on purpose they are used, side by side they are kept apart."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from hpo.control import Stop, StopReason
from hpo.search.admin.backup import backup
from hpo.search.admin.copy import copy_study
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.queue.workers import this_process
from hpo.search.study import open_study
from hpo.search.worker.loop import run_worker
from hpo.search.worker.trainer import Task
from hpo.testing.trainer import FakeTrainer, make_spec
from hpo.testing.trials import recorded
from hpo.training.loop.checkpoint import Checkpoint, remove_checkpoints, trials_with_checkpoints
from hpo.training.report import EpochReport


class Saving(FakeTrainer):
    """Saves a checkpoint after each epoch, and goes on from it.

    began: epoch of the checkpoint of each attempt.
    known: what each attempt was told of the reports that are stored.
    """

    def __init__(self, folder: Path, on_epoch: Callable[[int], None]) -> None:
        super().__init__(on_epoch=on_epoch)
        self.folder = folder
        self.began: list[int] = []
        self.known: list[dict[int, int]] = []

    def __call__(self, task: Task) -> Iterator[EpochReport]:
        checkpoint = Checkpoint(self.folder, task.number, task.fence, "same", attempts=task.attempts)
        found = checkpoint.load()
        self.began.append(found[0]["epoch"] if found else 0)
        self.known.append(dict(task.known))
        for report in super().__call__(task):
            if report.epoch > self.began[-1]:
                checkpoint.save({"epoch": report.epoch}, [])
                yield report

    def kept(self) -> set[int]:
        return trials_with_checkpoints(self.folder)

    def forget(self, number: int, attempts: Collection[str]) -> None:
        remove_checkpoints(self.folder, number, attempts)


@pytest.fixture
def original(tmp_path: Path) -> Iterator[Database]:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/original.sqlite3"), create=True)
    create_or_open(database, "s", make_spec(2))
    yield database
    database.close()


def opened(path: Path) -> Database:
    return open_database(resolve_address(f"sqlite:///{path}"), create=True)


def begun(database: Database, folder: Path, stopped_at: int = 0) -> list[int]:
    """Work until an epoch is trained, or the study is done; return at which epoch each attempt began."""
    stop = Stop()
    trainer = Saving(folder, lambda epoch: stop.request(StopReason.SIGNAL) if epoch == stopped_at else None)
    run_worker(open_study(database, "s"), identity=this_process("w"), train=trainer, stop=stop)
    return trainer.began


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_study_that_is_carried_to_another_database_and_back_goes_on_from_its_checkpoints(
    original: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoints"
    assert begun(original, folder, stopped_at=1) == [0]
    backup(original, tmp_path / "there.sqlite3")
    there = opened(tmp_path / "there.sqlite3")
    assert begun(there, folder, stopped_at=2) == [1]
    backup(there, tmp_path / "back.sqlite3")
    there.close()
    back = opened(tmp_path / "back.sqlite3")
    assert begun(back, folder) == [2, 0]
    back.close()
    assert files(folder) == []


def test_copies_that_are_worked_on_side_by_side_keep_their_checkpoints_apart(
    original: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoints"
    backup(original, tmp_path / "copy.sqlite3")
    assert begun(original, folder, stopped_at=2) == [0]
    ours = files(folder)
    copy = opened(tmp_path / "copy.sqlite3")
    assert begun(copy, folder) == [0, 0]
    copy.close()
    assert files(folder) == ours
    assert begun(original, folder) == [2, 0]
    assert files(folder) == []


def test_a_single_copied_study_restarts_its_trials_and_leaves_their_checkpoints(
    original: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoints"
    assert begun(original, folder, stopped_at=2) == [0]
    target = opened(tmp_path / "target.sqlite3")
    copy_study(open_study(original, "s"), target, "s")
    assert recorded(open_study(target, "s"), 0).attempt_names is None
    assert begun(target, folder) == [0, 0]
    target.close()
    assert begun(original, folder) == [2, 0]


def test_a_worker_says_which_reports_are_stored_to_a_trainer_whose_checkpoint_may_be_beyond_them(
    original: Database, tmp_path: Path
) -> None:
    """The database is restored from a backup that was made within an attempt."""
    stop, folder = Stop(), tmp_path / "checkpoints"

    def backup_after_the_first_epoch(epoch: int) -> None:
        if epoch == 2:
            backup(original, tmp_path / "earlier.sqlite3")
        if epoch == 3:
            stop.request(StopReason.SIGNAL)

    first = Saving(folder, backup_after_the_first_epoch)
    run_worker(open_study(original, "s"), identity=this_process("w"), train=first, stop=stop)
    assert first.known == [{}]
    with closing(opened(tmp_path / "earlier.sqlite3")) as earlier:
        restored = open_study(earlier, "s")
        earlier.write(lambda connection: connection.execute(sa.update(schema.trials).values(lease_until=0)))
        second = Saving(folder, lambda _: None)
        run_worker(restored, identity=this_process("v"), train=second, stop=Stop())
    assert second.began[0] == 3
    assert second.known == [{1: 5}, {}]
