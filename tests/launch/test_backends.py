"""Launch backends, with one that is registered in this process."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import hpo
from hpo.cli.main import cli
from hpo.launch.backends.base import BACKENDS
from hpo.launch.jobs import jobs_of
from hpo.launch.stop import stop_study
from hpo.search.queue.workers import register_worker, this_process
from hpo.search.study import Study, open_named_study
from tests.plugins import kept_registries


class Scheduler:
    """What a backend did, and the labels of its jobs."""

    def __init__(self) -> None:
        self.submitted: list[tuple[str, str, hpo.LaunchRequest]] = []
        self.cancels: list[set[str] | None] = []
        self.waiting: set[str] = set()
        self.running: set[str] = set()
        self.left = 0


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    """A scheduler whose backend is registered as "mine"."""
    scheduler = Scheduler()

    class Mine(hpo.Backend):
        def __exit__(self, *_: object) -> None:
            scheduler.left += 1

        def submit(self, study: Study, request: hpo.LaunchRequest) -> hpo.Submission:
            scheduler.submitted.append((study.name, request.address(), request))
            scheduler.running, scheduler.waiting = {"7_0", "7_1"}, {"7_2"}
            return hpo.Submission(job="7", workers=3)

        def status(self, study: Study) -> hpo.Jobs:
            count = {"running": len(scheduler.running), "waiting": len(scheduler.waiting)}
            if study.name not in {name for name, *_ in scheduler.submitted}:
                return hpo.Jobs()
            return hpo.Jobs((hpo.JobState("mine", "7", 3, 0.0, "/logs", **count),))

        def cancel(self, study: Study, *, spared: Collection[str] | None = None) -> hpo.Cancelled:
            assert study.name == "s"
            scheduler.cancels.append(None if spared is None else set(spared))
            waiting = frozenset(scheduler.waiting)
            running = frozenset() if spared is None else frozenset(scheduler.running - set(spared))
            scheduler.waiting -= waiting
            scheduler.running -= running
            return hpo.Cancelled(waiting, running)

    with kept_registries():
        hpo.register_backend("mine", Mine)
        yield scheduler


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


def test_a_backend_starts_shows_and_cancels_the_workers_of_a_study(scheduler: Scheduler, storage: str) -> None:
    study = hpo.launch("digits", storage, "s", trials=5, on="mine", workers=3, device="cpu")
    ((name, address, request),) = scheduler.submitted
    assert (name, address) == ("s", storage)
    assert (request.study, request.workers, request.device) == ("s", 3, "cpu")
    assert open_named_study("s", storage).spec.budget.trials == 5
    assert scheduler.left == 1

    (job,) = jobs_of(study).jobs
    assert (job.job, job.running, job.waiting, job.over) == ("7", 2, 1, False)

    register_worker(study, this_process("w", job="7_0"))
    done = stop_study(study, at_once=False, cancel_running=False)
    assert (done.asked, done.waiting, done.running, done.trouble) == (1, 1, 1, [])
    assert scheduler.cancels == [None, {"7_0"}]
    assert scheduler.running == {"7_0"}


def test_commands_take_a_backend_that_is_registered(scheduler: Scheduler, storage: str, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        outcome = CliRunner().invoke(cli, [*words, "--storage", storage], catch_exceptions=False)
        assert outcome.exit_code == 0
        return outcome.stdout

    launch = ["launch", "--dataset", "digits", "--name", "s", "--log-dir", str(tmp_path), "--on"]
    assert run(*launch, "mine") == "7\n"
    assert [name for name, *_ in scheduler.submitted] == ["s"]
    assert [job["job"] for job in json.loads(run("status", "s", "--json"))["jobs"]] == ["7"]
    assert json.loads(run("stop", "s", "--cancel", "--json"))["running"] == 2
    assert scheduler.cancels == [None, set()]
    assert CliRunner().invoke(cli, [*launch, "theirs", "--storage", storage]).exit_code == 2


def test_a_backend_that_fails_hides_nothing_and_does_not_keep_workers_from_being_asked(storage: str) -> None:
    with kept_registries():
        hpo.register_backend("broken", "no_such_module:Backend")
        study = hpo.launch("digits", storage, "s", on="none")
        register_worker(study, this_process("w"))
        trouble = jobs_of(study).trouble
        assert trouble is not None
        assert "no_such_module" in trouble
        done = stop_study(study, at_once=True, cancel_running=False)
        assert done.asked == 1
        assert len(done.trouble) == 1
        with pytest.raises(hpo.UsageError):
            hpo.launch("digits", storage, "other", on="broken")


def test_a_backend_that_answers_with_nothing_hides_nothing_either(storage: str) -> None:
    class Silent(hpo.Backend):
        def submit(self, *_: object) -> Any: ...

        def status(self, *_: object) -> Any: ...

        def cancel(self, *_: object, **__: object) -> Any: ...

    with kept_registries():
        hpo.register_backend("silent", Silent)
        study = hpo.create_study("digits", storage, "s")
        register_worker(study, this_process("w"))
        assert "silent" in (jobs_of(study).trouble or "")
        stopped = stop_study(study, at_once=False, cancel_running=False)
    assert stopped.asked == 1
    assert "silent" in " ".join(stopped.trouble)


def test_what_a_backend_refuses_leaves_no_study(tmp_path: Path, storage: str) -> None:
    with kept_registries():

        @hpo.register_backend("full")
        class Full(hpo.Backend):
            def check(self, spec: hpo.StudySpec, request: hpo.LaunchRequest) -> None:
                raise hpo.UsageError("full")

            def submit(self, study: Study, request: hpo.LaunchRequest) -> hpo.Submission:
                raise AssertionError

        with pytest.raises(hpo.UsageError):
            hpo.launch("digits", storage, "s", on="full")
    assert list(tmp_path.iterdir()) == []


def test_the_built_in_backends_are_registered() -> None:
    assert BACKENDS.names()[:3] == ("local", "slurm", "none")
    assert [BACKENDS.find(name).waits for name in ("local", "slurm", "none")] == [True, False, False]
