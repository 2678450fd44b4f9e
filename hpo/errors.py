"""Exceptions that a user can cause or fix, each with its exit code.

HpoError                    base class                                           2
    UsageError              invalid command line                                 2
    PluginError             a sampler or pruner of a plug-in failed              2
    StudyFileError          errors in a study file or in --set, all at once      3
    DataError               data missing, altered, misshapen or unreachable      4
    StorageError            database address invalid, refused, or no driver      5
    StudyNotFoundError      no study or trial of that name or number             6
    StudyConflictError      the study exists with a different spec               7
    DeviceError             the requested device is missing or too small         8
    OutputError             a file or folder cannot be written, or disk full     9
    DeclinedError           somebody was asked, and said no                    130
    StudyStoppedError       too many trials, or all, failed by their settings   10
    WorkersFailedError      local workers failed or were killed                  that of the worker; 8 if killed

Exit code 0 means success, 1 an internal error (a bug), 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


class HpoError(Exception):
    """Base class of errors that a user can cause or fix; the message is printed without a traceback."""

    exit_code = 2


class UsageError(HpoError):
    """An invalid command line."""

    exit_code = 2


class PluginError(HpoError):
    """The code of a plug-in that chooses for a whole study, a sampler or a pruner, failed."""

    exit_code = 2


class StudyFileError(HpoError):
    """All errors in a study file or in `--set`, reported at once."""

    exit_code = 3

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = problems
        count = f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
        super().__init__("\n  ".join([f"{source}: {count}", *problems]))


class DataError(HpoError):
    """Data that are missing, altered, misshapen or unreachable."""

    exit_code = 4


class StorageError(HpoError):
    """A database address that is malformed, is refused, or needs a driver that is not installed."""

    exit_code = 5


class StudyNotFoundError(HpoError):
    """No study of that name, or no trial of that number, in this database."""

    exit_code = 6


class StudyConflictError(HpoError):
    """A study of that name exists with a different spec."""

    exit_code = 7


class DeviceError(HpoError):
    """The requested device is missing or too small."""

    exit_code = 8


class OutputError(HpoError):
    """A file or folder cannot be written, or the disk is full."""

    exit_code = 9


class DeclinedError(HpoError):
    """Somebody was asked whether something long should begin, and said no."""

    exit_code = 130


class StudyStoppedError(HpoError):
    """Too many trials of a study failed because of their own settings, or all of a study that is done."""

    exit_code = 10


class WorkersFailedError(HpoError):
    """Local workers failed or were killed repeatedly.

    Args:
        exit_code: that of the first worker whose exit explains the failure.
    """

    exit_code = 8

    def __init__(self, message: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(message)


def did_you_mean(name: str, legal: Iterable[str]) -> str:
    """Return `; did you mean X?` for the closest legal name, or the list of legal names if none is close."""
    names = list(legal)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; legal: {', '.join(names)}"
