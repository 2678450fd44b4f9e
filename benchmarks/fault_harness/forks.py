"""The other side of `nursery`: asks it for worker processes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.fault_harness.orders import Orders

REPOSITORY = Path(__file__).resolve().parents[2]


class Forks:
    """A process that starts workers as forks of itself."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fault_harness.nursery"],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self, orders: Orders) -> int:
        """Start a worker with a log of its name; return its PID."""
        process: int = self._ask({"start": asdict(orders), "log": str(self.log_of(orders.worker))})["pid"]
        return process

    def log_of(self, worker: str) -> Path:
        """Return the log file of a worker."""
        return self._logs / f"{worker}.log"

    def ended(self) -> dict[int, int]:
        """Return PID and exit code of the workers that have ended since the last call; negative: of a signal."""
        return {int(process): code for process, code in self._ask({"ended": True})["ended"].items()}

    def close(self) -> None:
        """End it, and kill what is left of its workers."""
        if self._nursery.stdin is not None:
            self._nursery.stdin.close()
        self._nursery.wait()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        if self._nursery.stdin is None or self._nursery.stdout is None:
            raise RuntimeError("the nursery has no pipes")
        print(json.dumps(question), file=self._nursery.stdin, flush=True)
        answer = self._nursery.stdout.readline()
        if not answer:
            raise RuntimeError("the nursery has ended")
        found: dict[str, Any] = json.loads(answer)
        return found
