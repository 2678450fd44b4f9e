"""What is seen of the jobs of a study, and how its work is ended, with a stand-in for Slurm."""

from __future__ import annotations

import json
import math
import os

import pytest
import sqlalchemy as sa

from hpo.cli.common import plain
from hpo.cli.render.page import page
from hpo.cli.render.workers import read_workers_and_jobs, workers_view
from hpo.launch.backends.base import Jobs, JobState
from hpo.launch.backends.slurm import client
from hpo.launch.backends.slurm.queue import read_queue
from hpo.launch.jobs import JobWatch
from hpo.launch.stop import stop_study
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.queries.status import read_status
from hpo.search.queue.workers import (
    StopRequest,
    end_worker,
    read_jobs,
    read_stop_request,
    record_job,
    register_worker,
    this_process,
)
from hpo.search.study import Study
from hpo.testing.trainer import make_spec
from hpo.testing.trials import claimed
from tests.mention import unmentioned
from tests.slurm.fake import FakeSlurm
from tests.wait import until


@pytest.fixture
def study(database: Database) -> Study:
    """A study with an array of three jobs here, and one on another cluster."""
    study = create_or_open(database, "digits", make_spec(8))
    record_job(study, cluster="testcluster", job="4711", tasks=3, log_dir="/logs")
    record_job(study, cluster="faraway", job="12", tasks=9, log_dir="/far/logs")
    return study


def worker(study: Study, name: str, job: str | None = None) -> float:
    return register_worker(study, this_process(name, device="cuda", job=job))


def array(queue: Jobs, cluster: str = "testcluster") -> JobState:
    (found,) = (state for state in queue.jobs if state.cluster == cluster)
    return found


def request(study: Study, started: float) -> StopRequest | None:
    with study.database.engine.connect() as connection:
        return read_stop_request(connection, study, started)


def shown(study: Study) -> str:
    console = page()
    with console.capture() as capture:
        console.print(workers_view(read_status(study), read_workers_and_jobs(study)))
    return capture.get()


def test_jobs_are_counted_by_what_they_do(slurm: FakeSlurm, study: Study) -> None:
    slurm.queue("4711|0|RUNNING", "4711|1|COMPLETED", "4711|2|PENDING|Priority")
    queue = read_queue(read_jobs(study))
    here, far = (array(queue, cluster) for cluster in ("testcluster", "faraway"))
    assert (here.running, here.waiting, here.ended, here.reasons) == (1, 1, 1, ("Priority",))
    assert (far.cluster, far.running, far.waiting, far.ended) == ("faraway", None, None, None)
    assert queue.trouble is None
    assert slurm.calls("squeue")[0].split()[3] == "--jobs=4711"


def test_jobs_that_slurm_has_forgotten_have_ended(slurm: FakeSlurm, study: Study) -> None:
    slurm.answers("squeue", error="slurm_load_jobs error: Invalid job id specified\n", code=1)
    assert array(read_queue(read_jobs(study))).over


def test_a_job_that_is_requeued_waits(slurm: FakeSlurm, study: Study) -> None:
    slurm.queue("4711|0|REQUEUED|BeginTime", "4711|1|REQUEUE_HOLD", "4711|2|COMPLETING")
    queue = read_queue(read_jobs(study))
    assert queue.trouble is None
    here = array(queue)
    assert (here.waiting, here.running) == (2, 1)


def test_a_state_that_is_not_known_as_an_end_is_alive(slurm: FakeSlurm, study: Study) -> None:
    slurm.queue("4711|0|POWER_UP_NODE", "4711|1|A_STATE_OF_NEXT_YEAR", "4711|2|DEADLINE")
    here = array(read_queue(read_jobs(study)))
    assert (here.waiting, here.running, here.ended) == (0, 2, 1)
    assert stop_study(study, at_once=False, cancel_running=False).running == 2
    assert sorted(slurm.calls("scancel")[-1].split()[-2:]) == ["4711_0", "4711_1"]


def test_filters_that_a_user_has_set_for_squeue_do_not_hide_jobs(
    slurm: FakeSlurm, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = slurm.bin / "squeue"
    program.write_text(program.read_text().replace("#!/bin/sh\n", '#!/bin/sh\n[ -z "$SQUEUE_PARTITION" ] || exit 0\n'))
    monkeypatch.setenv("SQUEUE_PARTITION", "other")
    slurm.queue("4711|0|RUNNING")
    assert array(read_queue(read_jobs(study))).running == 1


def test_a_study_without_jobs_asks_slurm_nothing(slurm: FakeSlurm, database: Database) -> None:
    study = create_or_open(database, "local", make_spec(2))
    assert read_queue(read_jobs(study)).jobs == ()
    assert slurm.calls("scontrol") == slurm.calls("squeue") == []


def test_a_slurm_that_fails_changes_nothing_but_what_is_shown_of_it(slurm: FakeSlurm, study: Study) -> None:
    slurm.answers("squeue", error="slurm_load_jobs error: Unable to contact slurm controller\n", code=1)
    worker(study, "w1", "4711_0")
    text = shown(study)
    assert unmentioned(text, "squeue", "slurm_load_jobs error: Unable to contact slurm controller") == []
    assert [idle.name for idle in read_workers_and_jobs(study).idle()] == ["w1"]


def test_a_slow_slurm_does_not_hold_up_a_view_that_is_drawn_anew(slurm: FakeSlurm, study: Study) -> None:
    slurm.queue("4711|0|RUNNING")
    slurm.hold("scontrol")
    watch = JobWatch(every=math.inf)
    assert watch.look(study).jobs == ()
    slurm.let_go("scontrol")
    until(lambda: watch.look(study).jobs)
    assert len(slurm.calls("squeue")) == 1


def test_workers_are_shown_with_what_they_hold_and_how_they_ended(slurm: FakeSlurm, study: Study) -> None:
    slurm.queue("4711|0|RUNNING")
    for name in ("busy", "idle", "gone", "forgotten"):
        worker(study, name, "4711_0")
    worker(study, "ended")
    claimed(study, "busy")
    end_worker(study, "ended", finished=2, message="the disk was full")
    workers = schema.workers
    with study.database.engine.begin() as connection:
        for name, silent in (("gone", 3600), ("forgotten", 90000)):
            here = sa.update(workers).where(workers.c.worker == name)
            connection.execute(here.values(seen=workers.c.seen - silent))
    state = read_workers_and_jobs(study)
    found = [[each.name for each in some] for some in (state.idle(), state.lost(), state.lost_long_ago())]
    assert found == [["idle"], ["gone"], ["forgotten"]]

    def line(word: str) -> str:
        (found,) = [line for line in shown(study).splitlines() if word in line]
        return found

    assert unmentioned(line("busy"), "cuda", "0/4") == []
    assert unmentioned(line("gone"), 1, "60 min") == []
    assert unmentioned(line("a day"), 1) == []
    assert "forgotten" not in shown(study)
    assert line("the disk was full")
    assert unmentioned(line("testcluster"), 4711, 3, 1, 0, 2, "/logs") == []
    assert unmentioned(line("faraway"), 12, 9) == []


def test_a_look_writes_nothing(slurm: FakeSlurm, study: Study) -> None:
    worker(study, "w1", "4711_0")
    slurm.queue("4711|0|RUNNING")
    statements: list[str] = []
    sa.event.listen(study.database.engine, "before_cursor_execute", lambda *event: statements.append(event[2]))
    state = read_workers_and_jobs(study)
    assert statements
    assert {text.split()[0] for text in statements} <= {"SELECT", "BEGIN"}
    assert slurm.calls("scancel") == []
    assert all(call == "show config" for call in slurm.calls("scontrol"))
    document = json.loads(json.dumps(plain(state.as_json()), allow_nan=False))
    assert document["workers"][0]["job"] == "4711_0"
    assert {job["job"]: job["running"] for job in document["jobs"]} == {"4711": 1, "12": None}


def test_a_drain_cancels_what_waits_and_lets_workers_finish(slurm: FakeSlurm, study: Study) -> None:
    started = worker(study, "w0", "4711_0")
    slurm.queue("4711|0|RUNNING", "4711|1|PENDING", "4711|2|COMPLETED")
    done = stop_study(study, at_once=False, cancel_running=False)
    assert (done.asked, done.waiting, done.running) == (1, 1, 0)
    assert set(slurm.calls("scancel")) == {"--quiet --state=PENDING 4711_1"}
    assert done.elsewhere == ["faraway:12"]
    assert request(study, started) == StopRequest(at_once=False)


def test_now_asks_for_the_trials_at_once(slurm: FakeSlurm, study: Study) -> None:
    started = worker(study, "w0")
    stop_study(study, at_once=True, cancel_running=False)
    assert request(study, started) == StopRequest(at_once=True)


def test_a_job_that_runs_without_a_worker_yet_is_cancelled_since_it_would_come_too_late_to_be_asked(
    slurm: FakeSlurm, study: Study
) -> None:
    worker(study, "w0", "4711_0")
    slurm.queue("4711|0|RUNNING", "4711|1|RUNNING")
    done = stop_study(study, at_once=False, cancel_running=False)
    assert (done.waiting, done.running) == (0, 1)
    assert slurm.calls("scancel") == ["--quiet 4711_1"]


def test_cancel_ends_the_jobs_that_run_too(slurm: FakeSlurm, study: Study) -> None:
    worker(study, "w0", "4711_0")
    slurm.queue("4711|0|RUNNING", "4711|1|PENDING")
    done = stop_study(study, at_once=True, cancel_running=True)
    assert (done.waiting, done.running) == (1, 1)
    assert slurm.calls("scancel")[-1] == "--quiet 4711_0"


def test_jobs_of_another_user_are_named_and_those_of_this_one_cancelled(
    slurm: FakeSlurm, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    slurm.queue("4711|0|PENDING", "4711|1|RUNNING", owner=1000)
    ours = (slurm.bin.parent / "state/squeue.out").read_text()
    slurm.queue("4711|2|PENDING", "4711|3|RUNNING", owner=1001)
    slurm.answers("squeue", ours + (slurm.bin.parent / "state/squeue.out").read_text())
    done = stop_study(study, at_once=False, cancel_running=True)
    assert (done.waiting, done.running, done.trouble) == (1, 1, [])
    assert set(slurm.calls("scancel")) == {"--quiet --state=PENDING 4711_0", "--quiet 4711_1"}
    assert set(done.elsewhere) == {"faraway:12", "testcluster:4711_2 of user1001", "testcluster:4711_3 of user1001"}


def test_workers_are_asked_to_end_even_if_slurm_does_not_answer_and_that_is_reported(
    slurm: FakeSlurm, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = worker(study, "w0", "4711_0")
    slurm.no_more(monkeypatch)
    done = stop_study(study, at_once=False, cancel_running=False)
    assert done.asked == 1
    assert request(study, started) is not None
    (trouble,) = done.trouble
    assert "scontrol" in trouble


def test_a_job_on_its_own_has_no_task(slurm: FakeSlurm) -> None:
    slurm.queue("99|N/A|RUNNING")
    (task,) = client.tasks(["99"])
    assert (task.label, task.task, task.running) == ("99", None, True)
