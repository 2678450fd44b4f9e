"""A launch as a process of its own, with its workers, and the commands that look on."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import psutil

from benchmarks.fault_harness.forks import REPOSITORY
from benchmarks.fault_harness.orders import Orders
from benchmarks.fault_harness.supervised import ORDERS, PATIENCE


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: as here, without hpo's own variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HPO_")}
    return {**kept, "PYTHONPATH": str(REPOSITORY), **more}


class Parent:
    """`hpo launch` with workers that train stand-ins."""

    def __init__(
        self, folder: Path, study_file: Path, orders: Orders, workers: int, patience: float, log: Path
    ) -> None:
        shim = folder / "python"
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m benchmarks.fault_harness.supervised "$@"\n')
        shim.chmod(0o755)
        self._log, self._worker_logs = log, folder / "worker-logs"
        command = [sys.executable, "-m", "benchmarks.fault_harness.launcher", str(shim), "launch"]
        command += ["--study-file", str(study_file), "--name", orders.study, "--storage", orders.address]
        command += ["--workers", str(workers), "--log-dir", str(self._worker_logs)]
        given = {ORDERS: json.dumps(asdict(orders)), PATIENCE: str(patience)}
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment(**given), stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        self._seen: set[int] = set()

    def workers(self) -> list[psutil.Process]:
        """The workers that live, also when the parent has ended."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if "--parent" in words and words[words.index("--parent") + 1] == str(self.process.pid):
                    found.append(process)
        return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]

    def wait(self, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> tuple[int | None, int]:
        """Return its exit code, None if it took too long, and how many workers lived when it had ended."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            meanwhile()
            time.sleep(0.02)
        return self.process.poll(), len(self.workers())

    def orphans_end(self, seconds: float) -> bool:
        """Wait until no worker lives; return whether that came."""
        end = time.monotonic() + seconds
        while (living := self.workers()) and time.monotonic() < end:
            time.sleep(0.05)
        return not living

    def traceback(self) -> str:
        """The first lines of a traceback in its log or in those of its workers; empty if there is none."""
        for path in (self._log, *self._worker_logs.rglob("*.log")):
            text = path.read_text(errors="replace")
            if "Traceback" in text:
                return f"{path.name}: {text[text.index('Traceback') :][-800:]}"
        return ""

    def last_line(self) -> str:
        """The last line that it wrote."""
        return (self._log.read_text(errors="replace").splitlines() or [""])[-1]

    def kill(self) -> None:
        """End it and its workers at once."""
        for process in [*self.workers(), psutil.Process(self.process.pid)] if self.process.poll() is None else []:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.wait()
