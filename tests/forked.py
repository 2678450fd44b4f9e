"""Processes forked from one which has loaded what hpo trains with, where starting Python is not what is tested.

Loading takes 2 to 4 s of CPU of each process that trains: of a command, of the child that looks at the machine for it,
and of each of its workers.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, NoReturn

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        *("hpo.cli.launch", "hpo.cli.worker", "hpo.launch.attach", "hpo.launch.backends.local_launch"),
        *("hpo.training.loop.trial", "hpo.training.loop.refit", "hpo.training.probe.step_time", "tests.search.process"),
        *("hpo.data.digits", "hpo.search.database.optuna_storage", "hpo.training.machine.provenance"),
        *("hpo.training.model.resnet", "optuna.storages._rdb.models", "alembic.command"),
    ]
)


class ForkedHpo:
    """`hpo ARGUMENTS` in a folder and with an environment. Its workers, and what looks at the machine, are forks of it.

    Attributes:
        process: it runs from the beginning.
    """

    def __init__(self, *arguments: str, cwd: Path, environment: dict[str, str], most_bytes: int | None = None) -> None:
        """Start it. Each of its processes can hold `most_bytes` of private memory."""
        self._arguments = arguments
        self._folder = tempfile.TemporaryDirectory()
        streams = [str(Path(self._folder.name) / name) for name in ("out", "err")]
        self.process: BaseProcess = PROCESSES.Process(
            target=_command, args=(arguments, str(cwd), environment, streams, most_bytes)
        )
        self.process.start()
        # One that a failing test leaves is not waited for at the end of the tests.
        atexit.register(self.send_signal, signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.process.pid is not None and self.process.exitcode is None:
            os.kill(self.process.pid, number)

    def result(self, timeout: float = 1800) -> subprocess.CompletedProcess[str]:
        """Wait for its end. Raises TimeoutError."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise TimeoutError(f"hpo {' '.join(self._arguments)} has not ended after {timeout:.0f} s")
        out, err = ((Path(self._folder.name) / name).read_text() for name in ("out", "err"))
        self._folder.cleanup()
        atexit.unregister(self.send_signal)
        return subprocess.CompletedProcess(self._arguments, self.process.exitcode, out, err)


def _command(
    arguments: Sequence[str], cwd: str, environment: dict[str, str], streams: Sequence[str], most_bytes: int | None
) -> None:
    """Be `hpo ARGUMENTS`, in a process of the fork server."""
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))
    os.environ.clear()
    os.environ.update(environment)
    # As a Python that starts does: plug-ins of tests are found there.
    sys.path[:0] = [folder for folder in environment.get("PYTHONPATH", "").split(os.pathsep) if folder not in sys.path]
    os.chdir(cwd)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _write_to(streams)
    from hpo.launch import probe
    from hpo.launch.backends import local

    forks = types.SimpleNamespace(get_context=lambda _: multiprocessing.get_context("fork"))
    workers = types.SimpleNamespace(Popen=_Fork, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired)
    for module, name, stand_in in ((probe, "multiprocessing", forks), (local, "subprocess", workers)):
        getattr(module, name)
        setattr(module, name, stand_in)
    _main(arguments)


def printed_by(code: str, *arguments: str) -> str:
    """What a program prints that runs in a process of its own, with its arguments."""
    with tempfile.TemporaryDirectory() as folder:
        streams = [str(Path(folder) / name) for name in ("out", "err")]
        process = PROCESSES.Process(target=_program, args=(code, arguments, streams))
        process.start()
        process.join()
        out, err = (Path(stream).read_text() for stream in streams)
    assert process.exitcode == 0, err
    return out


def _program(code: str, arguments: Sequence[str], streams: Sequence[str]) -> None:
    _write_to(streams)
    sys.argv = ["-c", *arguments]
    exec(compile(code, "<program>", "exec"), {"__name__": "__main__"})


def _write_to(streams: Sequence[str]) -> None:
    """Let standard output and standard error be these files."""
    for descriptor, path in zip((1, 2), streams, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), descriptor)


def _main(arguments: Sequence[str]) -> None:
    # click names the program after the main module.
    sys.argv, sys.modules["__main__"] = ["hpo", *arguments], types.ModuleType("__main__")
    from hpo.cli import main

    main()


class _Fork:
    """What hpo uses of `subprocess.Popen` for a worker, as a fork of this process."""

    def __init__(
        self, command: Sequence[str], *, stdin: int, stdout: IO[bytes], stderr: IO[bytes], start_new_session: bool
    ) -> None:
        assert (stdin, stderr, start_new_session) == (subprocess.PIPE, stdout, True)
        self.returncode: int | None = None
        reading, writing = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(writing)
            _be_worker(command[command.index("-m") + 2 :], reading, stdout.fileno())
        os.close(reading)
        self.stdin = os.fdopen(writing, "wb")

    def poll(self) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float = 600.0) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired("hpo worker", timeout)
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _be_worker(arguments: Sequence[str], reading: int, log: int) -> NoReturn:
    """Go on as a worker. Never returns, so nothing that the parent has open is closed by this process."""
    code = 1
    try:
        os.setsid()
        for descriptor, source in enumerate((reading, log, log)):
            os.dup2(source, descriptor)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(descriptor, mode) for descriptor, mode in enumerate(("r", "w", "w"))
        )
        # The launch has loaded the plug-in of tests already, not as a worker.
        if (plugin := sys.modules.get("quick")) is not None:
            plugin.beat_often()
        _main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
