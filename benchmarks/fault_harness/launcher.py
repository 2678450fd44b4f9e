"""`hpo launch` with stand-ins for workers' training: python -m benchmarks.fault_harness.launcher SHIM launch ...

What is left out is what looks at the machine and the data before workers start. SHIM is the interpreter of the workers.
"""

from __future__ import annotations

import sys
from typing import Any

from hpo.cli.main import main
from hpo.launch.backends import local_launch


class _NoProbe:
    """A machine without a GPU."""

    def __enter__(self) -> _NoProbe:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def gpus(self, _device: str) -> int:
        """None."""
        return 0


def _pretend(module: Any, **names: object) -> None:
    for name, value in names.items():
        if not hasattr(module, name):
            raise AttributeError(f"{module.__name__} has no {name} any more")
        setattr(module, name, value)


if __name__ == "__main__":
    _pretend(local_launch, load_data=lambda *_: range(500), Probe=_NoProbe)
    _pretend(local_launch, _estimate=lambda *_: (None, 0.01), _log_estimate=lambda *_: None, _ask=lambda *_: None)
    sys.executable = sys.argv.pop(1)
    main()
