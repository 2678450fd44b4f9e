"""Define the findings of `hpo doctor`, and run checks so that none hides the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from hpo.errors import HpoError

Verdict = Literal["ok", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """One line: what was checked, its state, what to do. exit_code: that of hpo.errors for a fault, else 0."""

    check: str
    verdict: Verdict
    text: str
    cure: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class Check:
    """A check. seconds: its timeout. kind: the error reported on timeout."""

    name: str
    look: Callable[[], Iterable[Finding]]
    kind: type[HpoError]
    seconds: float = 20.0


def ok(check: str, text: str) -> Finding:
    """Report that all is well."""
    return Finding(check, "ok", text)


def warning(check: str, text: str, cure: str) -> Finding:
    """Report something that works but deserves attention."""
    return Finding(check, "warning", text, cure)


def fault(check: str, text: str, cure: str, kind: type[HpoError]) -> Finding:
    """Report something that does not work."""
    return Finding(check, "fault", text, cure, kind.exit_code)


def from_error(check: str, error: HpoError) -> Finding:
    """Turn an hpo error, whose message includes the cure, into a fault."""
    return Finding(check, "fault", str(error), "", error.exit_code)


def run_checks(checks: Iterable[Check]) -> Iterator[Finding]:
    """Yield the findings of all checks in turn; a check that raises or times out yields a fault."""
    for check in checks:
        yield from _run(check)


def _run(check: Check) -> list[Finding]:
    found: list[Finding] = []
    ended: list[Finding] = []

    def look() -> None:
        try:
            for finding in check.look():
                found.append(finding)
        except HpoError as error:
            ended.append(from_error(check.name, error))
        except Exception as error:
            text = f"the check itself failed: {type(error).__name__}: {error}"
            ended.append(Finding(check.name, "fault", text, "internal error; please report it", 1))

    # A thread that hangs in a dead file system cannot be killed; a daemon thread does not keep the process alive.
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(check.seconds)
    if thread.is_alive():
        found = [*found, fault(check.name, f"no answer within {check.seconds:.0f} s", "", check.kind)]
    return found + ended
