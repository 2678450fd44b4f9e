"""Whether a process has ended, as another on the same host sees it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.search.queue.process_identity import has_ended, own_host, own_identity, visible_identity_prefix
from tests.container import in_container

pytestmark = pytest.mark.linux


def _identity_of_a_child() -> tuple[subprocess.Popen[str], str]:
    code = "from hpo.search.queue.process_identity import own_identity; print(own_identity(), flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert child.stdout is not None
    return child, child.stdout.readline().strip()


def test_a_process_that_runs_is_not_over_and_one_that_was_killed_is() -> None:
    child, identity = _identity_of_a_child()
    assert identity.startswith(visible_identity_prefix())
    assert not has_ended(child.pid, identity)
    child.kill()
    child.wait()
    assert has_ended(child.pid, identity)


def test_a_process_that_was_killed_and_not_waited_for_is_over() -> None:
    child, identity = _identity_of_a_child()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(child.pid, identity)
    child.wait()


def test_another_process_of_the_same_number_has_another_identity() -> None:
    home, _, started = own_identity().rpartition("/")
    assert has_ended(os.getpid(), f"{home}/{int(started) - 1}")


def test_of_a_process_on_another_host_or_without_an_identity_nothing_is_known() -> None:
    assert not has_ended(2**22 - 1, "another-boot/4026531836/1")
    assert not has_ended(2**22 - 1, "")


def test_processes_of_this_host_and_of_containers_with_its_name_have_hosts_of_different_names() -> None:
    program = "from hpo.search.queue.process_identity import own_host; print(own_host(), flush=True); input()"
    command = in_container(sys.executable, "-c", program)
    names = [own_host()]
    with contextlib.ExitStack() as containers:
        for _ in range(2):
            container = containers.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            assert container.stdout is not None
            names.append(container.stdout.readline().strip())
    assert len(set(names)) == len(names)
    assert all(name.startswith(os.uname().nodename) for name in names)
