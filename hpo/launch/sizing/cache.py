"""Cache the tuned number of workers per device, data, packages and configurations, in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.files import atomic_write, expanded
from hpo.launch.sizing.tuning import TunedWorkers

_FORMAT = 1


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of cached results: `hpo/packing` in XDG_CACHE_HOME, else in ~/.cache."""
    named = environment.get("XDG_CACHE_HOME", "")
    base = Path(named) if Path(named).is_absolute() else expanded("~/.cache")
    return base / "hpo" / "packing"


class Kept:
    """The cache file for one set of circumstances: everything that affects the best number of workers."""

    def __init__(self, circumstances: Mapping[str, Any], folder: Path | None = None) -> None:
        text = json.dumps({"format": _FORMAT, **circumstances}, sort_keys=True, default=str)
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.file = (cache_folder() if folder is None else folder) / f"{name}.json"

    def read(self) -> TunedWorkers | None:
        """Return the cached result; None if there is no file, or a damaged one."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(self.file.read_text(encoding="utf-8"))
            workers, lines = content["workers"], content["lines"]
            if type(workers) is int and workers >= 1 and all(isinstance(line, str) for line in lines):
                return TunedWorkers(workers, tuple(lines))
        return None

    def write(self, settled: TunedWorkers) -> bool:
        """Store the result; return False if the folder is not writable."""
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic_write(self.file) as part:
                part.write_text(json.dumps({"workers": settled.workers, "lines": settled.lines}), encoding="utf-8")
            return True
        return False
