"""What each worker was told by the database, written down by the worker itself, one file each."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One thing that a worker did. began, ended: seconds of the monotonic clock that all processes here share."""

    worker: str
    event: str
    began: float
    ended: float
    fields: dict[str, Any]


class Journal:
    """A worker's own file. A line is one write, so that a kill leaves whole lines."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._worker = worker
        self._descriptor = os.open(folder / f"{worker}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, event: str, began: float | None = None, **fields: Any) -> None:
        """Appends one entry that ends now."""
        now = time.monotonic()
        line = {"worker": self._worker, "event": event, "began": now if began is None else began, "ended": now}
        os.write(self._descriptor, (json.dumps({**line, "fields": fields}) + "\n").encode())


def read_journals(folder: Path) -> list[Entry]:
    """All entries of all workers in the order in which they began; a line cut short by a kill is left out."""
    entries = []
    for path in folder.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            try:
                entries.append(Entry(**json.loads(line)))
            except ValueError:
                continue
    return sorted(entries, key=lambda entry: entry.began)
