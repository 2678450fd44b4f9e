"""Tell somebody elsewhere how a study went: an HTTP POST, or a shell command, for each event."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import urlsplit

from hpo.errors import DeclinedError, UsageError, first_line
from hpo.text import brief

URL_SECONDS = 10.0
"""Time limit of a POST."""

COMMAND_SECONDS = 60.0
"""Time limit of a command."""

_MOST_OUTPUT = 2000

_log = logging.getLogger(__name__)


class Event(StrEnum):
    """What is told of a study."""

    ENDED = "ended"
    """All of its trials are finished."""
    STOPPED = "stopped"
    """Its workers have ended and trials are left: after `hpo stop` or `--hours`."""
    FAILED = "failed"
    """The command ends with an error."""
    BEST = "best"
    """Its confirmation is done, and the winner is none of the baselines."""


@dataclass(frozen=True)
class Notice:
    """What is told. text: a sentence for people; details: more for programs, as JSON has it."""

    study: str
    event: Event
    text: str
    details: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> str:
        """Return the document that is sent: one line."""
        about = {"study": self.study, "event": self.event.value, "text": self.text}
        return json.dumps({**about, "host": os.uname().nodename, "time": _now(), **self.details})


def check_target(target: str) -> None:
    """Raise UsageError unless `--notify` could be an HTTP address or a command."""
    if not target.strip() or "\0" in target:
        raise UsageError("--notify: give an address that begins with http:// or https://, or a shell command")
    scheme, mark, _ = target.partition("://")
    if not mark or not scheme.isalpha():
        return
    if scheme.lower() not in ("http", "https") or not target.isprintable() or " " in target or not _can_be_sent(target):
        raise UsageError(
            f"--notify {brief(target)}: give an address as https://HOST[:PORT]/PATH, with letters beyond ASCII as %XX "
            "and without a user's name, or a shell command"
        )


def _can_be_sent(address: str) -> bool:
    """Return whether urllib can send to an address: it fails on a user's name, and on a path that is not ASCII."""
    try:
        parts = urlsplit(address)
        return (
            bool(parts.hostname)
            and parts.port != 0
            and "@" not in parts.netloc
            and (parts.path + parts.query).isascii()
        )
    except ValueError:
        return False


def send(targets: Sequence[str], notice: Notice) -> None:
    """Tell every target. One that cannot be told is a warning, and never an error."""
    for target in targets:
        try:
            if _is_url(target):
                _post(target, notice)
            else:
                _run(target, notice)
        except Exception as error:
            _log.warning("%s was not told that %s: %s", _shown(target), notice.text, first_line(error))


class Notifier:
    """Tells the targets of a command about its study. study: its name, None until it is known."""

    def __init__(self, targets: Sequence[str] = (), study: str | None = None) -> None:
        self.targets, self.study = tuple(targets), study

    def tell(self, study: str, event: Event, text: str, **details: object) -> None:
        """Send a notice to all targets."""
        send(self.targets, Notice(study, event, text, details))

    @contextlib.contextmanager
    def told_of_failure(self) -> Iterator[None]:
        """Tell of an exception that ends the block, once the study is known; not of a `no` to a question."""
        try:
            yield
        except DeclinedError:
            raise
        except Exception as error:
            if self.study is not None:
                self.tell(self.study, Event.FAILED, f"study {self.study} failed: {first_line(error)}")
            raise


def _is_url(target: str) -> bool:
    return target.lower().startswith(("http://", "https://"))


def _post(address: str, notice: Notice) -> None:
    request = urllib.request.Request(
        address,
        data=notice.as_json().encode(),
        headers={"Content-Type": "application/json", "User-Agent": "hpo"},
        method="POST",
    )
    with urllib.request.build_opener(_Redirects).open(request, timeout=URL_SECONDS):
        pass


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows what a server answers after it has taken a document, and not that it has moved.

    urllib would ask the new address with GET, without the document, and nobody would notice that it is lost.
    """

    def http_error_301(self, *_answer: object) -> None:
        """Follow nothing; the answer becomes an error."""


def _run(command: str, notice: Notice) -> None:
    told = {"HPO_STUDY": notice.study, "HPO_EVENT": notice.event.value, "HPO_TEXT": notice.text}
    # Files, since a child that the command leaves behind would keep a pipe open.
    with tempfile.TemporaryFile() as document, tempfile.TemporaryFile() as output:
        document.write(f"{notice.as_json()}\n".encode())
        document.seek(0)
        process = subprocess.Popen(
            command,
            shell=True,
            stdin=document,
            stdout=output,
            stderr=output,
            env=os.environ | told,
            start_new_session=True,
        )
        try:
            code = process.wait(COMMAND_SECONDS)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise TimeoutError(f"it took longer than {COMMAND_SECONDS:g} s and was ended") from None
            raise
        if code:
            output.seek(0)
            said = output.read(_MOST_OUTPUT).decode(errors="replace").strip().splitlines()
            raise RuntimeError(f"it ended with code {code}" + (f" ({said[-1]})" if said else ""))


def _shown(target: str) -> str:
    """Return a target for a message: of an address only the host, since the rest is often a secret."""
    return f"--notify {urlsplit(target).hostname}" if _is_url(target) else f"--notify {brief(target, 60)}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
