"""Reporters are told everything in order, and can neither break nor hold up a trial."""

from __future__ import annotations

import logging
import os
import sys
import threading
import types
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hpo.errors import OutputError, UsageError
from hpo.launch.backends.local_launch import tell_ends
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.status import read_status
from hpo.search.queue.workers import this_process
from hpo.search.study import Study
from hpo.search.worker import reporter as module
from hpo.search.worker.deadline import Deadline
from hpo.search.worker.loop import run_worker
from hpo.search.worker.reporter import (
    REPORTERS,
    ReportedTrial,
    Reporter,
    TrialEnd,
    check_reporters,
    make_reporters,
    register_reporter,
)
from hpo.testing.trainer import FakeTrainer, StopAfter, make_spec
from tests.mention import unmentioned
from tests.plugins import kept_registries

TRIAL = ReportedTrial("s", "breast", 0, "", {"margin": 0.5, "loss": "aucm_v1"}, {}, 2, 1, "w")


class Heard(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, Any]] = []
        self.threads: set[str] = set()

    def trial_started(self, trial: ReportedTrial) -> None:
        self.calls.append(("start", trial))

    def epoch_ended(self, trial: ReportedTrial, report: Any) -> None:
        self.threads.add(threading.current_thread().name)
        self.calls.append(("epoch", report.scalars()))

    def trial_ended(self, trial: ReportedTrial, end: TrialEnd) -> None:
        self.calls.append(("end", end))

    def close(self) -> None:
        self.calls.append(("close", None))

    @property
    def words(self) -> str:
        return " ".join(word for word, _ in self.calls)


class Direct(Heard):
    background: ClassVar[bool] = False


class Broken(Heard):
    def epoch_ended(self, trial: ReportedTrial, report: Any) -> None:
        super().epoch_ended(trial, report)
        raise ConnectionError("the server\nis away")


class Stuck(Heard):
    """Hangs in its first call until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()

    def trial_started(self, trial: ReportedTrial) -> None:
        self.free.wait(60)


def work(database: Database, *reporters: Reporter, trials: int = 2, **options: Any) -> Study:
    study = create_or_open(database, "study", make_spec(trials, epochs=2))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(2), reporters=reporters, **options)
    return study


@pytest.mark.parametrize("kind", [Heard, Direct])
def test_it_is_told_of_starts_epochs_and_ends_in_order(database: Database, kind: type[Heard]) -> None:
    heard = kind()
    work(database, heard)
    assert heard.words == "start epoch epoch end start epoch epoch end close"
    trial = heard.calls[0][1]
    assert (trial.study, trial.number, trial.epochs, trial.attempt, trial.worker) == ("study", 0, 2, 1, "w")
    assert set(trial.params) <= set(trial.config)
    assert heard.calls[1][1]["auc"] < heard.calls[2][1]["auc"]
    assert (heard.calls[3][1].outcome, heard.calls[3][1].report.epoch) == ("complete", 2)
    assert heard.threads == {"MainThread" if kind is Direct else "hpo-reporter"}


def test_a_trial_that_is_given_back_is_told_as_released(database: Database) -> None:
    heard = Direct()
    work(database, heard, stop=StopAfter(15))
    assert heard.words == "start epoch end close"
    assert heard.calls[-2][1].outcome == "released"


def test_a_bug_in_training_ends_the_told_trial_too(database: Database) -> None:
    def bug(_: int) -> None:
        raise ZeroDivisionError

    heard = Direct()
    study = create_or_open(database, "study", make_spec(2))
    with pytest.raises(ZeroDivisionError):
        run_worker(study, identity=this_process("w"), train=FakeTrainer(on_epoch=bug), reporters=[heard])
    assert heard.words == "start end close"


@pytest.mark.parametrize("background", [True, False])
def test_one_that_raises_is_dropped_with_one_warning_and_the_others_go_on(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    monkeypatch.setattr(Broken, "background", background)
    broken, heard = Broken(), Direct()
    study = work(database, broken, heard)
    assert read_status(study).complete == 2
    assert broken.words == "start epoch"
    assert heard.words.endswith("end close")
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == 1
    assert unmentioned(lines[0], "Broken", "ConnectionError", "server") == []


@pytest.mark.parametrize("background", [True, False])
def test_one_that_exits_is_dropped_too(database: Database, caplog: pytest.LogCaptureFixture, background: bool) -> None:
    class Exits(Heard):
        def trial_started(self, trial: ReportedTrial) -> None:
            raise SystemExit("no login")

    Exits.background = background
    assert read_status(work(database, Exits())).complete == 2
    assert unmentioned(caplog.text, "Exits", "dropped", "login") == []


def test_who_launched_the_workers_is_told_once_of_a_reporter_that_was_dropped(
    database: Database, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Broken, "background", False)
    study = create_or_open(database, "study", make_spec(3, epochs=2))
    for name, limit in (("first", 1), ("second", 1), ("whole", None)):
        reporters = [Direct()] if name == "whole" else [Broken()]
        run_worker(study, identity=this_process(name), train=FakeTrainer(2), limit=limit, reporters=reporters)
    log.clear()
    tell_ends(study, ["whole"])
    assert log == []
    tell_ends(study, ["first", "second", "whole"])
    (line,) = log
    assert unmentioned(line, "Broken", "ConnectionError") == []


def test_who_launched_the_workers_is_told_why_they_were_interrupted(database: Database, log: list[str]) -> None:
    study = create_or_open(database, "study", make_spec(3))
    for name in ("first", "second"):
        run_worker(study, identity=this_process(name), train=FakeTrainer(2), deadline=Deadline(60.0, 60.0))
    log.clear()
    tell_ends(study, ["first", "second"], interrupted=["first", "second"])
    (line,) = log
    assert unmentioned(line, 2, "too little time left in its job") == []


def test_one_that_hangs_holds_up_nothing(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    stuck = Stuck()
    try:
        assert read_status(work(database, stuck, trials=3)).complete == 3
        assert unmentioned(caplog.text, "Stuck", "dropped", 3) == []
        assert caplog.text.count("dropped") == 1
    finally:
        stuck.free.set()


def test_names_are_checked_before_and_one_that_cannot_be_made_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with kept_registries():

        @register_reporter("picky", description="nobody")
        class Picky(Reporter):
            def __init__(self, target: str = "") -> None:
                raise OSError("no network")

        assert REPORTERS.find("picky") is Picky
        check_reporters(["picky=somewhere"])
        assert make_reporters(["picky=somewhere"]) == []
        assert unmentioned(caplog.text, "picky", "no network") == []
        for use in (check_reporters, make_reporters):
            with pytest.raises(UsageError, match="pikky"):
                use(["pikky"])


def test_tensorboard_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for target, fact in (("", "DIR"), (str(tmp_path), "pip install")):
        with pytest.raises(UsageError, match=fact):
            check_reporters([f"tensorboard={target}"])


def test_tensorboard_is_refused_for_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    (tmp_path / "file").touch()
    for target in ("file", "file/below"):
        with pytest.raises(OutputError):
            check_reporters([f"tensorboard={tmp_path / target}"])
    check_reporters([f"tensorboard={tmp_path / 'new' / 'below'}"])
    # Root may write wherever it likes, whatever the mode of a folder.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(OutputError):
        check_reporters([f"tensorboard={tmp_path / 'new' / 'below'}"])


def test_tensorboard_writes_curves_settings_and_outcome_by_trial(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[Any, ...]] = []

    class SummaryWriter:
        """What is used of tensorboardX's."""

        def __init__(self, logdir: str, flush_secs: int) -> None:
            self.logdir, self.file_writer = Path(logdir), self

        def add_scalar(self, name: str, value: float, epoch: int) -> None:
            written.append((self.logdir.name, name, value, epoch))

        def add_text(self, name: str, text: str, epoch: int) -> None:
            written.append((self.logdir.name, name, text, epoch))

        def add_summary(self, summary: object) -> None:
            written.append((self.logdir.name, "settings", summary))

        def close(self) -> None:
            written.append((self.logdir.name, "closed"))

    package: Any = types.ModuleType("tensorboardX")
    package.SummaryWriter = SummaryWriter
    package.summary = types.ModuleType("tensorboardX.summary")
    package.summary.hparams = lambda params, metrics: [(params, metrics)]
    monkeypatch.setitem(sys.modules, "tensorboardX", package)
    monkeypatch.setitem(sys.modules, "tensorboardX.summary", package.summary)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    (board,) = make_reporters([f"tensorboard={tmp_path}"])
    work(database, board)
    curve = [entry for entry in written if entry[:2] == ("trial-0001", "auc")]
    assert [epoch for *_, epoch in curve] == [1, 2]
    assert [entry[1] for entry in written if entry[0] == "trial-0000"][-2:] == ["outcome", "closed"]
    (settings,) = [entry[2][0] for entry in written if entry[:2] == ("trial-0000", "settings")]
    assert "learning_rate" in settings


def test_event_files_are_tensorboards(database: Database, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter  # noqa: F401

    work(database, *make_reporters([f"tensorboard={tmp_path}"]))
    (file,) = (tmp_path / "study" / "trial-0000").glob("events.out.tfevents.*")
    data, tags = file.read_bytes(), []
    while data:
        length = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + length])
        tags += [(value.tag, event.step) for value in event.summary.value]
        data = data[12 + length + 4 :]
    assert [step for tag, step in tags if tag == "auc"] == [1, 2]
    assert any(tag.startswith("_hparams_") for tag, _ in tags)
