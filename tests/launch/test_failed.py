"""A launch, or a worker by itself, ends with an error where all trials of a study have failed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from hpo.errors import StudyStoppedError
from hpo.launch import attach as attach_module
from hpo.launch.attach import attach
from hpo.launch.backends.base import BACKENDS, LaunchRequest, Submission
from hpo.launch.backends.nowhere import NoWorkers
from hpo.launch.failed import check_failed
from hpo.launch.session import launch
from hpo.search.database import schema
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_trials
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, open_named_study
from hpo.search.worker.loop import run_worker
from hpo.study.config import TrainConfig
from hpo.study.files import default_spec
from hpo.study.spec import StudySpec
from hpo.testing.trainer import FakeTrainer
from tests.plugins import kept_registries

Fails = Callable[[TrainConfig], bool]


def digits(trials: int) -> StudySpec:
    return default_spec("digits", (f"budget.trials={trials}", "budget.epochs=2"))


def every(_config: TrainConfig) -> bool:
    return True


def the_adam_ones(config: TrainConfig) -> bool:
    return config.optimizer == "adam"


@pytest.fixture
def launched(tmp_path: Path) -> Callable[[StudySpec, Fails], Study]:
    """A launch of the study `s` whose only worker trains in this process, with a log."""

    def begin(spec: StudySpec, fails: Fails) -> Study:
        class Here(NoWorkers):
            waits = True

            def submit(self, study: Study, request: LaunchRequest) -> Submission:
                folder = request.log_dir / study.folder
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "w.log").touch()
                run_worker(study, identity=this_process("w"), train=FakeTrainer(2, fails=fails))
                return Submission(None, 1)

        with kept_registries():
            BACKENDS.register("here", Here)
            request = LaunchRequest("s", f"sqlite:///{tmp_path}/s.db", tmp_path, log_dir=tmp_path / "logs")
            return launch(spec, request, on="here").study

    return begin


def test_a_launch_whose_trials_all_failed_says_why_and_where_the_log_is(
    launched: Callable[[StudySpec, Fails], Study], tmp_path: Path
) -> None:
    for _ in ("when they end", "when the same command is given again"):
        with pytest.raises(StudyStoppedError) as caught:
            launched(digits(3), every)
        study = open_named_study("s", f"sqlite:///{tmp_path}/s.db")
        assert "diverged" in str(caught.value)
        assert str(tmp_path / "logs" / study.folder / "w.log") in str(caught.value)
        assert caught.value.exit_code == 10


def test_a_launch_of_which_some_trials_failed_ends_well_and_tells_the_first(
    launched: Callable[[StudySpec, Fails], Study], log: list[str]
) -> None:
    launched(digits(6), the_adam_ones)
    assert any("diverged" in line and "w.log" in line for line in log)
    log.clear()
    launched(digits(6), the_adam_ones)
    assert any("diverged" in line for line in log)


def test_a_failed_trial_that_was_opened_again_since_is_not_told(launched: Callable[[StudySpec, Fails], Study]) -> None:
    study = launched(digits(6), the_adam_ones)
    status = read_status(study)
    assert "diverged" in check_failed(study, status)
    failed = [row.number for row in read_trials(study) if row.state == "failed"]
    assert len(failed) == status.failed > 0
    with study.database.engine.begin() as connection:
        connection.execute(sa.update(schema.trials).values(state="finished", outcome="complete"))
    assert check_failed(study, status) == ""


def test_a_launch_without_failures_tells_of_none(launched: Callable[[StudySpec, Fails], Study], log: list[str]) -> None:
    launched(digits(3), lambda _config: False)
    assert not any("w.log" in line for line in log)


@pytest.mark.parametrize("parent", [None, os.getppid()], ids=["by hand", "of a launch"])
def test_a_worker_by_itself_ends_with_that_error_and_that_of_a_launch_leaves_it_to_the_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parent: int | None
) -> None:
    storage = f"sqlite:///{tmp_path}/s.db"
    launch(digits(2), LaunchRequest("s", storage, tmp_path), on="none")
    for name in ("set_up_process", "limit_memory"):
        monkeypatch.setattr(attach_module, name, lambda *_: None)
    monkeypatch.setattr(attach_module, "trainer_of", lambda *_: FakeTrainer(2, fails=every))
    if parent is None:
        with pytest.raises(StudyStoppedError):
            attach("s", storage=storage, device="cpu", worker_name="w")
    else:
        done = attach("s", storage=storage, device="cpu", worker_name="w", parent=parent)
        assert done.summary.failed == 2
