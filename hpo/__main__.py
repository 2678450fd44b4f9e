"""Run the command `hpo`; `python -m hpo` is the same.

Ctrl-C is answered from the first import on: the modules that a command needs take a while to load.
"""

from __future__ import annotations

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command, and exit with its documented exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from hpo.cli.main import main as run

    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End at once: nothing has begun, and an exception may not leave an import that is half done."""
    try:
        os.write(2, b"hpo: interrupted\n")
    finally:
        os._exit(130)


if __name__ == "__main__":
    main()
