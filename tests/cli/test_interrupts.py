"""Ctrl-C is answered at once: while modules load, and by a worker in a step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.cli.interrupts import Echoes
from tests.container import in_container
from tests.wait import until

SLOW_MODULE = """
import pathlib, time
pathlib.Path({ready!r}).touch()
time.sleep(600)
"""

WORKER = """
import time
from hpo.cli.worker import stop_at_signals
from hpo.control import Stop
stop = Stop()
stop_at_signals(stop)
print("ready", flush=True)
while not stop.requested:
    time.sleep(0.01)
print("stopping", flush=True)
while True:
    time.sleep(0.01)
"""

KILLED = """
import signal, time
from hpo.cli import interrupts
from hpo.cli.worker import stop_at_signals
from hpo.control import Stop
stop_at_signals(Stop())
signal.raise_signal(signal.SIGINT)
time.sleep(2 * interrupts.AT_ONCE)
signal.raise_signal(signal.SIGINT)
print("goes on")
"""


def test_an_interrupt_while_modules_load_is_no_traceback(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    (tmp_path / "click.py").write_text(SLOW_MODULE.format(ready=str(ready)))
    process = subprocess.Popen(
        [sys.executable, "-m", "hpo", "status", "x"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        stderr=subprocess.PIPE,
        text=True,
    )
    until(ready.exists)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines() == ["hpo: interrupted"]


def test_an_interrupt_while_python_cleans_up_is_no_traceback() -> None:
    cleaning = "import atexit, sys, time; atexit.register(lambda: (print(flush=True), time.sleep(600)))"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{cleaning}; sys.argv = ['hpo', '--version']; from hpo.cli import main; main()"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("hpo, version")
    assert process.stdout.readline() == "\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")


def test_a_worker_answers_the_first_interrupt_and_is_killed_by_the_second() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert "stopping" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert len(said.splitlines()) == 1


@pytest.mark.linux
def test_a_second_interrupt_also_kills_a_worker_that_is_the_first_process_of_a_container() -> None:
    command = in_container(sys.executable, "-c", KILLED)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (130, "")


@pytest.mark.linux
def test_a_worker_stops_also_where_its_answer_cannot_be_written() -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, stderr=full, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT


TWICE = """
import importlib, signal
command = importlib.import_module("hpo.cli.main")
def call():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        signal.raise_signal(signal.SIGINT)
        print("stopped cleanly")
    return 0
command._call = call
command.main()
"""

WORKER_TWICE = """
import signal
from hpo.cli.worker import stop_at_signals
from hpo.control import Stop
stop = Stop()
stop_at_signals(stop)
signal.raise_signal(signal.SIGINT)
signal.raise_signal(signal.SIGINT)
print("stopped cleanly" if stop.requested else "")
"""


@pytest.mark.parametrize("program", [TWICE, WORKER_TWICE], ids=["command", "worker"])
def test_an_interrupt_that_comes_twice_at_once_as_from_timeout_is_one(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "stopped cleanly\n")


def test_an_interrupt_that_comes_later_is_another_one() -> None:
    echoes = Echoes(seconds=0.0)
    assert [echoes.has(signal.SIGINT) for _ in range(3)] == [False] * 3
    echoes = Echoes(seconds=1000.0)
    assert [echoes.has(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT)] == [False, False, True]
