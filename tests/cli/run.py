"""Runs the command as a user does: in a process of its own or, where that is the same, a forked one or this one."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.cli import main
from tests.forked import ForkedHpo

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def hpo(*arguments: str, cwd: Path, timeout: float = 1800, **environment: str) -> subprocess.CompletedProcess[str]:
    """`hpo ARGUMENTS` in a folder; HPO_* variables only as given."""
    return subprocess.run(
        [sys.executable, "-m", "hpo", *arguments],
        cwd=cwd,
        env={**_kept(), **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def hpo_forked(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As `hpo` does, without a new Python for the command and its workers: see `tests.forked`."""
    return start_hpo(*arguments, cwd=cwd, **environment).result()


def start_hpo(*arguments: str, cwd: Path, **environment: str) -> ForkedHpo:
    """As `hpo_forked` does, without waiting for its end."""
    return ForkedHpo(*arguments, cwd=cwd, environment={**_kept(), **environment})


def hpo_here(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As `hpo` does, without a new Python: arguments, folder, environment, streams and exit code are the same.

    For commands that leave this process as it was: not for those that train in it, serve, or set limits of memory.
    """
    out, err = _Stream(), _Stream()
    with (
        _as_a_process(("hpo", *arguments), cwd, environment),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        main()
    assert isinstance(end.value.code, int), end.value.code
    return subprocess.CompletedProcess(arguments, end.value.code, out.text, err.text)


class _Stream(io.TextIOWrapper):
    """A stream that keeps what is written to it, as text or as bytes."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    @property
    def text(self) -> str:
        self.seek(0)
        return self.read()


@contextlib.contextmanager
def _as_a_process(words: tuple[str, ...], cwd: Path, environment: dict[str, str]) -> Iterator[None]:
    """What a process has and may change: its arguments, environment, folder and signals, and no program but hpo."""
    before = dict(os.environ), Path.cwd(), sys.argv, sys.modules["__main__"]
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    wanted = {**_kept(), **environment}
    os.environ.clear()
    os.environ.update(wanted)
    os.chdir(cwd)
    # click names the program after the main module, and a child of multiprocessing would load it.
    sys.argv, sys.modules["__main__"] = list(words), types.ModuleType("__main__")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before[0])
        os.chdir(before[1])
        sys.argv, sys.modules["__main__"] = before[2:]
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _kept() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("HPO_")}
