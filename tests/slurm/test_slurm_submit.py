"""A launch on Slurm, up to what `sbatch` gets, with a stand-in for Slurm."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hpo.errors import StorageError, UsageError
from hpo.launch.backends.base import LaunchRequest
from hpo.launch.backends.slurm import client
from hpo.launch.backends.slurm.backend import SlurmBackend
from hpo.launch.backends.slurm.plan import SlurmOptions
from hpo.launch.backends.slurm.submit import Prepared, prepare, submit_study
from hpo.launch.backends.slurm.submit import test_only as ask_the_cluster
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queue import workers
from hpo.search.study import Study
from hpo.testing.trainer import make_spec
from tests.mention import unmentioned
from tests.slurm.fake import FakeSlurm

SECRET = "s3cret-w0rd"
SERVER = f"postgresql://me:{SECRET}@db1:5432/hpo"


@pytest.fixture
def study(database: Database) -> Study:
    return create_or_open(database, "digits", make_spec(8))


def prepared(tmp_path: Path, storage: str | None = SERVER, **wishes: object) -> Prepared:
    return prepare(
        "digits",
        SlurmOptions(**wishes),
        storage=storage,
        data_dir=tmp_path / "data",
        checkpoint_dir=None,
        log_dir=tmp_path / "logs",
        device="auto",
    )


def test_a_submitted_array_is_noted_in_its_study(slurm: FakeSlurm, study: Study, tmp_path: Path) -> None:
    done = submit_study(study, prepared(tmp_path, workers=3, workers_per_gpu=2))
    assert (done.cluster, done.job, done.tasks, done.workers) == ("testcluster", "4711", 3, 6)
    (row,) = workers.read_jobs(study)
    assert (row.cluster, row.job, row.tasks, row.log_dir) == ("testcluster", "4711", 3, str(tmp_path / "logs/slurm"))
    assert slurm.calls("sbatch") == ["--parsable"]
    assert done.script.read_text() == slurm.script()


@pytest.mark.parametrize(
    ("queue", "submitted", "array"),
    [
        (("4711|0|RUNNING", "4711|1|PENDING", "4711|2|COMPLETED"), 1, "0-0"),
        (("4711|0|RUNNING", "4711|1|PENDING", "4711|2|CONFIGURING"), 0, ""),
        ((), 3, "0-2"),
    ],
    ids=["one has ended", "all are there", "Slurm has forgotten all"],
)
def test_a_second_launch_submits_the_jobs_that_are_missing(
    slurm: FakeSlurm, study: Study, tmp_path: Path, log: list[str], queue: tuple[str, ...], submitted: int, array: str
) -> None:
    wanted = LaunchRequest("digits", SERVER, tmp_path / "data", tmp_path / "logs", workers=3)
    assert SlurmBackend().submit(study, wanted).workers == 3
    slurm.queue(*queue)
    log.clear()
    slurm.answers("sbatch", "4712\n")
    again = SlurmBackend().submit(study, wanted)
    assert (again.workers, again.job) == (submitted, "4712" if submitted else None)
    assert [row.tasks for row in workers.read_jobs(study)] == [3, submitted][: 1 + bool(submitted)]
    if submitted:
        assert f"#SBATCH --array={array}\n" in slurm.script()
    if queue:
        assert unmentioned(log[0], *([1, 1, 1] if submitted else [1, 2, "--workers"])) == []


def test_a_launch_after_a_stop_replaces_the_jobs_that_are_ending(
    slurm: FakeSlurm, study: Study, tmp_path: Path, log: list[str]
) -> None:
    wanted = LaunchRequest("digits", SERVER, tmp_path / "data", tmp_path / "logs", workers=3)
    SlurmBackend().submit(study, wanted)
    slurm.queue("4711|0|RUNNING", "4711|1|COMPLETING", "4711|2|RUNNING")
    for name, job in (("a", "4711_0"), ("b", "4711_1"), ("before", "4711_2")):
        workers.register_worker(study, workers.this_process(name, job=job))
    workers.request_stop(study, at_once=False)
    workers.end_worker(study, "b", finished=1, message="")
    # Put back into the queue, and started since.
    workers.register_worker(study, workers.this_process("after", job="4711_2"))
    log.clear()
    slurm.answers("sbatch", "4712\n")
    assert SlurmBackend().submit(study, wanted).workers == 2
    assert unmentioned(log[0], 3, 2, "hpo stop") == []
    assert len(slurm.calls("squeue")) == 1


def test_jobs_of_a_slurm_that_does_not_answer_are_not_counted_and_that_is_said(
    slurm: FakeSlurm, study: Study, tmp_path: Path, log: list[str]
) -> None:
    wanted = LaunchRequest("digits", SERVER, tmp_path / "data", tmp_path / "logs", workers=2)
    SlurmBackend().submit(study, wanted)
    slurm.answers("squeue", error="slurm_load_jobs error: Unable to contact slurm controller\n", code=1)
    log.clear()
    assert SlurmBackend().submit(study, wanted).workers == 2
    assert unmentioned(log[0], "Unable to contact slurm controller") == []


def test_the_password_is_in_a_file_for_its_owner_and_nowhere_else(
    slurm: FakeSlurm, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_STORAGE", SERVER)
    monkeypatch.setenv("PGPASSWORD", SECRET)
    monkeypatch.setenv("DATABASE_URL", f"{SERVER}?sslmode=require")
    monkeypatch.setenv("HARMLESS", "kept")
    job = prepared(tmp_path, storage=None)
    assert SECRET not in repr(job)
    submit_study(study, job)
    assert stat.S_IMODE(job.address.file.stat().st_mode) == 0o600
    assert f"HPO_STORAGE=@{job.address.file}" in job.script
    inherited = slurm.environment()
    assert inherited["HARMLESS"] == "kept"
    assert not {"HPO_STORAGE", "PGPASSWORD", "DATABASE_URL"} & inherited.keys()
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert holders == [job.address.file]


def test_two_users_with_one_folder_of_logs_have_address_files_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, again = prepared(tmp_path).address.file, prepared(tmp_path).address.file
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    theirs = prepared(tmp_path).address.file
    assert mine == again
    assert mine != theirs
    assert mine.parent == theirs.parent


def test_a_password_that_only_postgresql_s_own_variable_held_reaches_the_workers_too(
    slurm: FakeSlurm, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    job = prepared(tmp_path, storage="postgresql://me@db1/hpo")
    submit_study(study, job)
    assert f"me:{SECRET}@db1" in job.address.file.read_text()


def test_an_address_file_of_the_user_is_used_as_it_is(
    slurm: FakeSlurm, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "my.address"
    own.write_text(SERVER)
    own.chmod(0o600)
    job = prepared(tmp_path, storage="@my.address")
    submit_study(study, job)
    assert job.address.file == own
    assert list((tmp_path / "logs" / "slurm").glob("*.address")) == []


def test_what_sbatch_says_against_a_job_is_reported_and_nothing_is_noted(
    slurm: FakeSlurm, study: Study, tmp_path: Path
) -> None:
    slurm.answers("sbatch", error="sbatch: error: Batch job submission failed: Invalid account\n", code=1)
    with pytest.raises(UsageError) as caught:
        submit_study(study, prepared(tmp_path))
    assert unmentioned(caught.value, "sbatch", "Batch job submission failed: Invalid account") == []
    assert workers.read_jobs(study) == []


def test_a_job_that_cannot_be_noted_is_cancelled_again(
    slurm: FakeSlurm, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise gone

    gone = StorageError("the database is gone")
    monkeypatch.setattr(workers, "record_job", fails)
    with pytest.raises(StorageError) as caught:
        submit_study(study, prepared(tmp_path))
    assert caught.value is gone
    assert slurm.calls("scancel") == ["--quiet 4711"]


def test_a_ctrl_c_before_a_job_is_noted_cancels_it(
    slurm: FakeSlurm, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "record_job", interrupted)
    with pytest.raises(KeyboardInterrupt):
        submit_study(study, prepared(tmp_path))
    assert slurm.calls("scancel") == ["--quiet 4711"]


def test_a_job_that_can_neither_be_noted_nor_cancelled_is_named_beside_the_reason(
    slurm: FakeSlurm, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise StorageError("the database is gone")

    monkeypatch.setattr(workers, "record_job", fails)
    slurm.answers("scancel", error="scancel: error: Unable to contact slurm controller\n", code=1)
    with pytest.raises(StorageError):
        submit_study(study, prepared(tmp_path))
    assert unmentioned(log[-1], "scancel 4711") == []


@pytest.mark.parametrize(
    "said",
    [
        "4711;testcluster\n",
        "-----\n  Welcome to the Supercomputer 6\n-----\n--> Verifying job request...OK\n4711\n",
    ],
    ids=["with a cluster", "after a page of the site's own"],
)
def test_the_number_of_a_job_is_found_in_what_sbatch_prints(
    slurm: FakeSlurm, study: Study, tmp_path: Path, said: str
) -> None:
    slurm.answers("sbatch", said)
    assert submit_study(study, prepared(tmp_path)).job == "4711"


def test_a_job_that_sbatch_gave_to_another_cluster_is_recorded_there_and_cancelled_there(
    slurm: FakeSlurm, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm.answers("sbatch", "4711;faster\n")
    assert submit_study(study, prepared(tmp_path)).cluster == "faster"
    assert [(row.cluster, row.job) for row in workers.read_jobs(study)] == [("faster", "4711")]

    def fails(*_arguments: object, **_options: object) -> None:
        raise StorageError("no database")

    monkeypatch.setattr(workers, "record_job", fails)
    with pytest.raises(StorageError):
        submit_study(study, prepared(tmp_path))
    assert slurm.calls("scancel") == ["--quiet --clusters=faster 4711"]


def test_a_job_whose_number_is_not_told_may_have_been_submitted(
    slurm: FakeSlurm, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm.answers("sbatch", "thank you\n")
    with pytest.raises(UsageError) as without_number:
        submit_study(study, prepared(tmp_path))
    slurm.answers("sbatch", error="sbatch: error: Batch job submission failed: Socket timed out\n", code=1)
    with pytest.raises(UsageError) as timed_out:
        submit_study(study, prepared(tmp_path))
    monkeypatch.setattr(client, "SECONDS", 0.5)
    slurm.hold("sbatch")
    with pytest.raises(client.SlurmSlowError) as silent:
        client.submit("#!/bin/bash\n", os.environ)
    slurm.let_go("sbatch")
    for caught in (without_number, timed_out, silent):
        assert unmentioned(caught.value, "squeue --me", "scancel") == []


def test_variables_of_the_user_do_not_override_the_options_of_the_job(
    slurm: FakeSlurm, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sbatch` prefers SBATCH_PARTITION to #SBATCH --partition."""
    for name in ("PARTITION", "ACCOUNT", "TIMELIMIT", "NO_REQUEUE", "SIGNAL", "GPUS_PER_NODE", "WAIT", "QOS"):
        monkeypatch.setenv(f"SBATCH_{name}", "1")
    submit_study(study, prepared(tmp_path, partition="gpu", gres="gpu:1", time="02:00:00"))
    # No account was given, so that the user's own counts, as does what hpo has no option for.
    assert sorted(name for name in slurm.environment() if name.startswith("SBATCH")) == [
        "SBATCH_ACCOUNT",
        "SBATCH_QOS",
    ]


def test_output_that_is_not_utf_8_is_read(slurm: FakeSlurm, study: Study, tmp_path: Path) -> None:
    (tmp_path / "slurm/state/sbatch.err").write_bytes("Konto ungültig\n".encode("latin-1"))
    (tmp_path / "slurm/state/sbatch.code").write_text("1")
    with pytest.raises(UsageError, match="Konto"):
        submit_study(study, prepared(tmp_path))


def test_the_cluster_may_be_asked_without_submitting(slurm: FakeSlurm, tmp_path: Path) -> None:
    slurm.answers("sbatch", error="sbatch: Job 12 to start at 2026-11-22T16:09:01 using 4 processors\n")
    assert "2026-11-22T16:09:01" in ask_the_cluster(prepared(tmp_path))
    assert slurm.calls("sbatch") == ["--test-only"]
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("storage", "named"),
    [
        (None, ["hpo.sqlite3", "hpo db serve", "--one-node"]),
        ("sqlite:////tmp/a.db", ["/tmp/a.db", "hpo db serve", "--one-node"]),
        ("postgresql://me@localhost/hpo", ["localhost", os.uname().nodename, "--one-node"]),
        ("mysql://me@127.0.0.1/hpo", ["127.0.0.1", os.uname().nodename, "--one-node"]),
        ("postgresql:///hpo", ["socket", os.uname().nodename, "--one-node"]),
    ],
)
def test_an_address_that_other_hosts_cannot_use_is_refused(
    slurm: FakeSlurm, tmp_path: Path, storage: str | None, named: list[str]
) -> None:
    with pytest.raises(StorageError) as caught:
        prepared(tmp_path, storage=storage)
    assert unmentioned(caught.value, *named) == []


def test_one_node_keeps_every_job_on_this_host(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = prepared(tmp_path, storage="sqlite:///a.db", one_node=True)
    assert job.plan.node is not None
    assert f"#SBATCH --nodelist={job.plan.node}" in job.script


def test_a_machine_without_slurm_is_an_error_that_names_the_missing_command(
    slurm: FakeSlurm, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm.no_more(monkeypatch)
    with pytest.raises(client.SlurmSilentError, match=r"\bscontrol\b"):
        submit_study(study, prepared(tmp_path))


def test_a_slurm_that_is_silent_is_not_waited_for(slurm: FakeSlurm) -> None:
    slurm.hold("squeue")
    with pytest.raises(client.SlurmSilentError, match=r"\bsqueue\b"):
        client.tasks(["1"], seconds=0.1)
    slurm.let_go("squeue")


def test_a_job_has_its_paths_also_where_the_password_is_the_name_of_the_user() -> None:
    around = {
        "USER": "jdoe",
        "HOME": "/home/jdoe",
        "PATH": "/scratch/jdoe/env/bin:/home/jdoe:/usr/bin",
        "SCRATCH": "/scratch/jdoe/",
    }
    with_password = {"DATABASE_URL": "postgresql://jdoe:jdoe@db1/hpo", "DSN": "password=jdoe", "SECRET": "jdoe"}
    assert client.job_environment({**around, **with_password}, secret="jdoe") == around


def test_a_job_does_not_inherit_a_password_that_is_escaped_in_an_address() -> None:
    around = {"DATABASE_URL": "postgresql://me:p%40ss%2Fw@db1/hpo", "DSN": "password='p@ss/w'", "HOME": "/home/me"}
    assert client.job_environment(around, secret="p@ss/w") == {"HOME": "/home/me"}


def test_a_job_does_not_inherit_the_job_that_submits_it() -> None:
    around = {"SLURM_JOB_ID": "1", "SLURM_MEM_PER_CPU": "100", "SLURM_CONF": "/etc/slurm.conf", "HOME": "/home/me"}
    assert client.job_environment(around) == {"SLURM_CONF": "/etc/slurm.conf", "HOME": "/home/me"}
