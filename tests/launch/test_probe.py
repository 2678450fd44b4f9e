"""The child process that measures: it answers, it passes errors on, and it does not outlive who asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpo.errors import DeviceError
from hpo.launch.probe import Probe
from hpo.search.queue.process_identity import start_time
from tests.wait import until

pytestmark = pytest.mark.slow

HOLDER = """
import time
from hpo.launch.probe import Probe
if __name__ == "__main__":
    probe = Probe()
    probe._ask(time.time)
    print(*probe._child._processes, flush=True)
    time.sleep(600)
"""


def test_a_script_that_asks_at_its_top_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("print('runs')\nfrom hpo.launch.probe import Probe\nProbe().gpus('cpu')\n")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["runs"]


def test_a_device_that_is_not_there_is_reported_across_the_processes() -> None:
    with Probe() as probe:
        assert probe.gpus("cpu") >= 0
        with pytest.raises(DeviceError, match=r"\bcuda:99\b"):
            probe.gpus("cuda:99")


def _fails() -> None:
    from hpo.training.machine.failure import TrainingFailure

    raise TrainingFailure("out of memory", "12 GB")


def test_a_step_that_cannot_be_measured_is_a_sentence() -> None:
    """Before there is a trial that could fail: for lack of memory, or by the system's killer."""
    with Probe() as probe:
        with pytest.raises(DeviceError, match="12 GB"):
            probe._ask(_fails)
        with pytest.raises(DeviceError):
            probe._ask(os._exit, 9)
        with pytest.raises(DeviceError):
            probe.gpus("cpu")


def test_an_interrupt_ends_what_is_being_measured() -> None:
    probe = Probe()
    probe._ask(time.time)
    (child,) = probe._child._processes
    measured = probe._child.submit(time.sleep, 600)
    until(measured.running)
    with pytest.raises(KeyboardInterrupt), probe:
        raise KeyboardInterrupt
    until(lambda: not _lives(child))
    until(measured.done)


def test_the_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "holder.py"
    script.write_text(HOLDER)
    holder = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    until(lambda: not _lives(child))


def _lives(process: int) -> bool:
    return start_time(process) is not None
