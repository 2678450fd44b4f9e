"""The worker's life: limits, stops, lost leases, failures, bugs."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa

from hpo.control import Stop, StopReason
from hpo.errors import DataError, UsageError
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_curve, read_trials
from hpo.search.queue.claiming import MAX_CRASHES, NothingToClaim, claim, release
from hpo.search.queue.process_identity import start_time, visible_identity_prefix
from hpo.search.queue.reporting import finish, record_report
from hpo.search.queue.workers import WorkerIdentity, register_worker, this_process
from hpo.search.study import Study
from hpo.search.worker.deadline import LEAST_SECONDS, MOST_JOBS, Deadline, seconds_to_get_anywhere
from hpo.search.worker.loop import WorkerSummary, run_worker
from hpo.search.worker.trainer import Task
from hpo.testing.trainer import FakeTrainer, StopAfter, make_report, make_spec
from hpo.testing.trials import claimed, expire, recorded
from hpo.training.report import EpochReport
from tests.clock import Clock
from tests.mention import unmentioned
from tests.wait import until


def _study(database: Database, trials: int = 3) -> Study:
    return create_or_open(database, "study", make_spec(trials))


def test_a_worker_with_a_limit_does_that_many(database: Database) -> None:
    assert run_worker(_study(database), identity=this_process("w"), train=FakeTrainer(), limit=2).finished == 2
    assert read_status(_study(database)).finished == 2


def test_a_worker_that_is_reported_to_stop_gives_its_trial_back(database: Database) -> None:
    study = _study(database)
    summary = run_worker(study, identity=this_process("w"), train=FakeTrainer(), stop=StopAfter(15))
    assert summary.ended is StopReason.SIGNAL
    assert summary.interrupted
    status = read_status(study)
    assert (status.finished, status.free, status.running) == (0, 1, [])


def test_a_keyboard_interrupt_gives_the_trial_back(database: Database) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    study = _study(database)
    assert run_worker(study, identity=this_process("w"), train=FakeTrainer(on_epoch=interrupt)).interrupted
    assert read_status(study).free == 1


def test_a_bug_in_training_gives_the_trial_back_and_comes_out(database: Database) -> None:
    def bug(_: int) -> None:
        raise ZeroDivisionError

    study = _study(database)
    with pytest.raises(ZeroDivisionError):
        run_worker(study, identity=this_process("w"), train=FakeTrainer(on_epoch=bug))
    assert read_status(study).free == 1


def test_a_configuration_that_fails_by_its_own_fault_counts_and_has_its_reason(database: Database) -> None:
    study = _study(database)
    summary = run_worker(
        study, identity=this_process("w"), train=FakeTrainer(fails=lambda config: config.loss == "cross_entropy")
    )
    rows = read_trials(study)
    assert summary.finished == 3
    assert summary.failed == sum(row.params["loss"] == "cross_entropy" for row in rows) > 0
    assert {row.reason for row in rows if row.state == "failed"} == {"diverged"}


def test_samples_that_a_resplit_cannot_divide_fail_that_trial_only(database: Database) -> None:
    def refuse(_: int) -> None:
        raise DataError("no row of label 1 is left to train on")

    study = _study(database)
    assert run_worker(study, identity=this_process("w"), train=FakeTrainer(on_epoch=refuse)).failed == 3


def test_a_worker_that_gets_other_arrays_of_a_function_than_earlier_ones_trains_nothing(database: Database) -> None:
    spec = make_spec(3).model_copy(update={"dataset": "digits"})
    study = create_or_open(database, "study", spec)
    run_worker(study, identity=this_process("w"), train=FakeTrainer(), limit=1)
    other = FakeTrainer()
    other.provenance = other.provenance.model_copy(update={"data_md5": "other"})
    with pytest.raises(DataError):
        run_worker(study, identity=this_process("w"), train=other)
    assert not other.trained
    assert run_worker(study, identity=this_process("w"), train=FakeTrainer()).finished == 2


def test_a_worker_that_lost_its_lease_drops_the_trial_and_takes_the_next(database: Database) -> None:
    study, thefts = _study(database, 2), []

    def steal(epoch: int) -> None:
        if epoch == 2 and not thefts:
            thefts.append(epoch)
            expire(study)
            claimed(study, "thief")

    summary = run_worker(study, identity=this_process("w"), train=FakeTrainer(on_epoch=steal), wait=False)
    assert summary.finished == 1
    assert [row.state for row in read_trials(study)] == ["running", "complete"]


@pytest.mark.usefixtures("quick_heartbeat")
def test_the_lease_is_renewed_while_an_epoch_lasts_longer_than_it(database: Database) -> None:
    def last(epoch: int) -> None:
        for _ in range(2):
            expire(study)
            until(lambda: read_status(study).running)
        running = read_status(study).running
        assert [(trial.worker, trial.progress) for trial in running] == [("w", 0.9)]

    study = _study(database, 1)
    assert run_worker(study, identity=this_process("w"), train=FakeTrainer(1, on_epoch=last)).finished == 1
    assert read_trials(study)[0].state == "complete"


def test_a_worker_waits_for_the_rest_and_takes_up_what_a_dead_one_left(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.search.worker.loop.POLL_SECONDS", (0.01, 0.01))
    study, asked = _study(database, 1), itertools.count()

    class ExpiresTheLease(Stop):
        # Polled before each claim and while the worker waits, so that at least one claim was in vain.
        @property
        def requested(self) -> bool:
            if next(asked) == 3:
                expire(study)
            return False

    claimed(study, "dead")
    assert run_worker(study, identity=this_process("heir"), train=FakeTrainer(1), wait=False).finished == 0
    assert run_worker(study, identity=this_process("heir"), train=FakeTrainer(1), stop=ExpiresTheLease()).finished == 1
    assert read_trials(study)[0].worker == "heir"


def test_a_trial_that_someone_ended_in_the_dashboard_still_ends_for_hpo(database: Database) -> None:
    def end(epoch: int) -> None:
        if epoch == 2:
            shown = optuna.load_study(study_name="study", storage=database.optuna)
            shown.tell(0, state=optuna.trial.TrialState.FAIL)

    study = _study(database, 1)
    assert run_worker(study, identity=this_process("w"), train=FakeTrainer(on_epoch=end)).finished == 1
    assert read_trials(study)[0].state == "complete"


def test_the_record_holds_what_a_trial_needs_to_be_run_again(database: Database) -> None:
    study = _study(database, 1)
    run_worker(study, identity=this_process("w"), train=FakeTrainer())
    record = recorded(study, 0)
    assert set(record.model_dump()) == {
        *("config", "params", "study_seed", "trial_seed", "code_version", "dirty"),
        *("environment", "data_md5", "seconds", "peak_memory", "energy_joules", "lives", "roc"),
        "attempt_names",
    }
    assert record.config["schedule"] == "constant"
    assert record.roc == tuple(round(rate, 4) for rate in make_report(1, 0.5).roc)
    assert record.usage.energy_joules == 3.0


def test_energy_adds_up_over_the_attempts_of_a_trial(database: Database) -> None:
    study = _study(database, 1)
    run_worker(study, identity=this_process("first"), train=FakeTrainer(), stop=StopAfter(3))
    assert read_trials(study)[0].state == "free"
    run_worker(study, identity=this_process("second"), train=FakeTrainer())
    assert recorded(study, 0).usage.energy_joules == 6.0


def test_where_the_device_does_not_tell_there_is_no_energy(database: Database) -> None:
    class Silent(FakeTrainer):
        def energy(self) -> float | None:
            return None

    study = _study(database, 1)
    run_worker(study, identity=this_process("w"), train=Silent())
    assert recorded(study, 0).usage.energy_joules is None
    assert "energy_joules" not in recorded(study, 0).model_dump()


def test_optuna_shows_the_last_report_as_the_value_and_every_report_as_a_step(database: Database) -> None:
    run_worker(_study(database, 1), identity=this_process("w"), train=FakeTrainer(3))
    trial = optuna.load_study(study_name="study", storage=database.optuna).trials[0]
    assert sorted(trial.intermediate_values) == [1, 2, 3]
    assert trial.value == trial.intermediate_values[3]
    assert trial.user_attrs["standard_error"] == make_report(1, 0.5).standard_error


def test_a_trial_on_which_workers_die_time_after_time_fails_and_the_next_is_claimed(database: Database) -> None:
    study = _study(database, 2)
    for _ in range(MAX_CRASHES):
        assert claimed(study, "dies").number == 0
        expire(study)
    assert claimed(study, "lives").number == 1
    (failed, _) = read_trials(study)
    assert failed.state == "failed"
    assert unmentioned(failed.reason, MAX_CRASHES) == []
    assert read_status(study).finished == 1
    assert optuna.load_study(study_name="study", storage=database.optuna).trials[0].state.name == "FAIL"


def test_a_report_or_a_clean_return_between_two_deaths_begins_the_count_anew(database: Database) -> None:
    study = _study(database, 1)
    for life in range(2 * MAX_CRASHES):
        held = claimed(study)
        if life % 3 == 0:
            record_report(held, make_report(1, 0.5))
        expire(study)
    assert read_status(study).finished == 0


@pytest.mark.linux
def test_a_trial_of_a_process_of_this_host_that_was_killed_is_taken_up_at_once(database: Database) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    study = _study(database, 1)
    home = visible_identity_prefix()
    started = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
    register_worker(study, WorkerIdentity("child", "here", child.pid, f"{home}{started}", "cpu"))
    claimed(study, "child")
    assert claim(study, "heir") is NothingToClaim.ELSEWHERE
    child.kill()
    child.wait()
    claimed(study, "heir")


@pytest.mark.linux
def test_a_worker_does_not_take_the_name_of_one_that_is_at_work(database: Database) -> None:
    """Else the trial of the first would be given away once the second has ended."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    study = _study(database, 1)
    life = f"{visible_identity_prefix()}{start_time(child.pid)}"
    register_worker(study, WorkerIdentity("w", "here", child.pid, life, "cpu"))
    try:
        with pytest.raises(UsageError) as caught:
            register_worker(study, this_process("w"))
    finally:
        child.kill()
        child.wait()
    assert unmentioned(caught.value, "w", str(child.pid), "--worker-name") == []
    register_worker(study, this_process("w"))


def test_after_an_outage_holders_get_the_time_of_a_lease_to_renew_theirs(database: Database) -> None:
    study = _study(database, 1)
    claimed(study, "holder")
    expire(study)
    database.answered_again = time.monotonic()
    assert claim(study, "next") is NothingToClaim.ELSEWHERE
    database.answered_again -= study.lease
    claimed(study, "next")


def test_a_claim_whose_answer_was_lost_is_the_same_claim_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _study(database, 2)
    monkeypatch.setattr(Database, "write", _twice(Database.write))
    held = claimed(study)
    assert (held.number, held.fence) == (0, 1)
    assert record_report(held, make_report(1, 0.6))
    assert finish(held, "complete", make_report(1, 0.6))
    assert read_status(study).finished == 1
    assert release(claimed(study))
    assert [row.state for row in read_trials(study)] == ["complete", "free"]


def _twice(write: Callable[..., Any]) -> Callable[..., Any]:
    """Every transaction is committed, its answer lost, and run again, as after a cut connection."""

    def wrapped(self: Database, work: Callable[[sa.Connection], Any], **options: Any) -> Any:
        write(self, work, **options)
        return write(self, work, **options)

    return wrapped


def test_no_trial_is_begun_that_the_job_of_the_worker_leaves_no_time_for(database: Database) -> None:
    study = _study(database)
    summary = run_worker(
        study, identity=this_process("w"), train=FakeTrainer(), deadline=Deadline(LEAST_SECONDS + 60, margin=61)
    )
    assert (summary.finished, summary.ended, summary.interrupted) == (0, StopReason.DEADLINE, True)
    assert read_trials(study) == []


def test_without_checkpoints_a_whole_trial_must_fit_into_the_time_that_is_left(database: Database) -> None:
    study = _study(database, 1)
    record_report(claimed(study), make_report(1, 0.6, seconds=100.0))
    assert seconds_to_get_anywhere(study, keeps_checkpoints=True) == 100.0
    assert seconds_to_get_anywhere(study, keeps_checkpoints=False) == 400.0


def test_a_trial_is_given_back_when_the_time_of_the_job_is_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("hpo.search.worker.deadline.time", clock)
    study, train = _study(database), FakeTrainer(4, on_epoch=lambda _: clock.sleep(50.0))
    deadline = Deadline(LEAST_SECONDS + 60, margin=30.0, _since=0.0)
    summary = run_worker(study, identity=this_process("w"), train=train, deadline=deadline)
    assert len(read_curve(study, 0)) == 2
    assert (summary.finished, summary.ended) == (0, StopReason.DEADLINE)
    assert read_status(study).free == 1


class Resuming(FakeTrainer):
    """Goes on where the last attempt ended, a tenth further each time, until it is stopped."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock, self.checkpoints = clock, "here:/checkpoints"

    def __call__(self, task: Task) -> Iterator[EpochReport]:
        task.control.progress(0.1 * task.fence)
        self.clock.sleep(100.0)
        task.control.progress(0.1 * task.fence + 0.1)
        yield from ()


def test_jobs_that_bring_a_trial_no_further_end_with_the_walltime_that_would(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("hpo.search.worker.deadline.time", clock)
    study = _study(database, 1)

    def job(seconds: float) -> WorkerSummary:
        train = FakeTrainer(4, on_epoch=lambda _: clock.sleep(50.0))
        # Else an epoch that was reported tells before the trial begins that the job is too short.
        monkeypatch.setattr("hpo.search.worker.loop.seconds_to_get_anywhere", lambda *_, **__: 0.0)
        return run_worker(study, identity=this_process("w"), train=train, deadline=Deadline(seconds, 20.0, clock.now))

    for _ in range(MOST_JOBS - 1):
        assert job(120.0).ended is StopReason.DEADLINE
    with pytest.raises(UsageError) as refused:
        job(120.0)
    assert unmentioned(refused.value, "trial 0", MOST_JOBS, "--time", "--checkpoint-dir") == []
    assert read_status(study).free == 1
    assert job(300.0).finished == 1


def test_jobs_that_are_shorter_than_an_epoch_go_on_from_checkpoints(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("hpo.search.worker.deadline.time", clock)
    study = _study(database, 1)
    record_report(claimed(study), make_report(1, 0.6, seconds=1000.0))
    expire(study)
    for number in range(2 * MOST_JOBS):
        deadline = Deadline(120.0, 20.0, clock.now)
        run_worker(study, identity=this_process(f"w{number}"), train=Resuming(clock), deadline=deadline)
    assert recorded(study, 0).attempts == 1 + 2 * MOST_JOBS


def test_seconds_are_counted_over_all_attempts_of_a_trial(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("hpo.training.machine.usage.time", clock)
    study = _study(database, 1)
    train = FakeTrainer(4, on_epoch=lambda _: clock.sleep(100.0))
    run_worker(study, identity=this_process("w"), train=train, stop=StopAfter(25))
    assert recorded(study, 0).usage.seconds == 200.0
    clock.sleep(1000.0)
    run_worker(study, identity=this_process("w"), train=FakeTrainer(1, on_epoch=lambda _: clock.sleep(50.0)))
    record = recorded(study, 0)
    assert (record.usage.seconds, record.attempts) == (250.0, 2)


class Keeping(FakeTrainer):
    """Has checkpoints, by the numbers of their trials."""

    def __init__(self, *files: int, on_epoch: Callable[[int], None] = lambda _: None) -> None:
        super().__init__(on_epoch=on_epoch)
        self.files = set(files)

    def kept(self) -> set[int]:
        return set(self.files)

    def forget(self, number: int, attempts: Collection[str]) -> None:
        self.files.discard(number)


def test_checkpoints_of_trials_that_have_ended_are_removed_and_those_of_others_kept(database: Database) -> None:
    study = _study(database, 1)
    trainer = Keeping(0, 7)
    claimed(study, "other")
    run_worker(study, identity=this_process("w"), train=trainer, wait=False)
    assert trainer.files == {0}


def test_a_checkpoint_that_is_written_after_another_worker_finished_the_trial_is_removed(database: Database) -> None:
    study = _study(database, 1)

    def be_late(epoch: int) -> None:
        if epoch == 2:
            expire(study)
            assert run_worker(study, identity=this_process("heir"), train=FakeTrainer()).finished == 1
            trainer.files.add(0)

    trainer = Keeping(on_epoch=be_late)
    assert run_worker(study, identity=this_process("w"), train=trainer).finished == 0
    assert trainer.files == set()
