"""Standard streams as a command needs them: open, and able to print any text."""

from __future__ import annotations

import io
import os
import select
import sys
import threading

from hpo.text import visible

_INPUT, _OUTPUT, _ERROR = 0, 1, 2

_printed = threading.Event()


def prepare_streams() -> None:
    """Open standard streams that the caller closed, and let none of them refuse a character."""
    # In this order, because each opened file takes the lowest free number. A database file must never become number 1.
    for number in (_INPUT, _OUTPUT, _ERROR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or open(_INPUT, closefd=False)  # noqa: SIM115 - a number, for the whole process
    sys.stdout = sys.stdout or open(_OUTPUT, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(_ERROR, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Standard error has this already. A terminal in Latin-1 shows `.912 \xb1 .014` and the command goes on.
        sys.stdout.reconfigure(errors="backslashreplace")


def note_output() -> None:
    """Note that this process prints something by other ways than `say` and `show`."""
    _printed.set()


def forget_output() -> None:
    """Forget what was printed so far."""
    _printed.clear()


def has_printed() -> bool:
    """Return whether anything was printed since."""
    return _printed.is_set()


def say(line: str) -> None:
    """Print a message to stderr; control characters of stored text are shown, not sent. Never fails."""
    note_output()
    try:
        print(visible(line), file=sys.stderr, flush=True)
    except BrokenPipeError:
        _discard(_ERROR)
    except OSError:
        # On a full disk the line stays in the buffer, and comes with the next one if there is room again.
        return


def show(result: object, end: str = "\n") -> None:
    """Print a result to stdout, with control characters as `say` does."""
    note_output()
    print(visible(str(result)), end=end, flush=True)


def finish_messages() -> None:
    """Discard messages that cannot be written: Python would end with code 120 where it fails to flush them at exit."""
    try:
        sys.stderr.flush()
    except OSError:
        _discard(_ERROR)


def is_output_read() -> bool:
    """Return whether somebody still reads standard output; False after `hpo trials STUDY | head -1`."""
    polling = select.poll()
    polling.register(_OUTPUT, 0)
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in polling.poll(0))


def discard_output() -> None:
    """Discard buffered standard output, which Python would otherwise fail to flush at exit, with exit code 120."""
    _discard(_OUTPUT)


def _discard(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
