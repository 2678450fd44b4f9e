"""Training that costs nothing but sleep, with a checkpoint after each epoch."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from benchmarks.fault_harness.orders import stand_in_auc
from hpo.search.worker.trainer import Task
from hpo.study.record import Provenance
from hpo.training.report import EpochReport

_log = logging.getLogger(__name__)


class StandInFailure(Exception):  # noqa: N818 - what a configuration's own fault is called; no stand-in has any
    """A configuration that fails by its own fault."""


class StandIn:
    """A trainer whose epochs are sleep; it goes on from its checkpoint, which it writes once a report is accepted."""

    def __init__(self, epochs: int, epoch_seconds: float, folder: Path) -> None:
        self.provenance = Provenance(code_version="faults")
        self.failure: type[Exception] = StandInFailure
        self.checkpoints: str | None = str(folder)
        self._epochs, self._epoch_seconds, self._folder = epochs, epoch_seconds, folder

    def __call__(self, task: Task) -> Iterator[EpochReport]:
        """Reports of one trial, from the epoch after its checkpoint."""
        for epoch in range(self._reached(task) + 1, self._epochs + 1):
            for step in range(5):
                task.control.progress((epoch - 1 + step / 5) / self._epochs)
                if task.control.stop.requested:
                    return
                time.sleep(self._epoch_seconds / 5)
            auc = stand_in_auc(task.seed, epoch)
            yield EpochReport(epoch, auc, 0.02, (auc, auc), 0.9, 0.1, 0.05)
            # After the report: a checkpoint whose report was refused would leave a hole in the curve of the next life.
            self._save(task, epoch)

    def kept(self) -> set[int]:
        """Numbers of the trials of which there are checkpoints."""
        return {int(path.stem) for path in self._folder.glob("*.json")}

    def forget(self, number: int, attempts: Collection[str]) -> None:
        """Removes the checkpoint of a trial that has ended."""
        self._path(number).unlink(missing_ok=True)

    def peak_memory(self) -> int | None:
        """None: there is no device."""
        return None

    def needs_restart(self) -> bool:
        """It never runs out of memory."""
        return False

    def energy(self) -> float | None:
        """None: there is no device."""
        return None

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.json"

    def _reached(self, task: Task) -> int:
        try:
            saved = json.loads(self._path(task.number).read_text())
        except (FileNotFoundError, ValueError):
            return 0
        return int(saved["epoch"]) if saved["seed"] == task.seed else 0

    def _save(self, task: Task, epoch: int) -> None:
        partial = self._folder / f"{task.number}.{task.fence}.partial"
        try:
            partial.write_text(json.dumps({"epoch": epoch, "seed": task.seed, "weights": "x" * 2000}))
            partial.replace(self._path(task.number))
        except OSError as error:
            partial.unlink(missing_ok=True)
            _log.warning("trial %d: no checkpoint of epoch %d: %s", task.number, epoch, error)
