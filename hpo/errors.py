"""The error tree: every error that a user can cause or cure, with its exit code.

HpoError                    any of the below; exit code 2
    UsageError              a command line that cannot be carried out            2
    StudyFileError          faults in a study file or in --set, all at once      3
    DataError               data missing, altered, misshapen or out of reach     4
    StorageError            database address malformed, refused, or no driver    5
    StudyNotFoundError      no study, or no trial, of that name                  6
    StudyConflictError      the study exists with another spec                   7
    DeviceError             the device asked for is not there or is too small    8
    OutputError             a file or folder cannot be written, or a disk full   9
    StudyStoppedError       too many trials failed by their own fault           10
    WorkersFailedError      local workers ended with an error, or were killed    that of a worker; 8 if killed

0 is done, 1 is a bug of ours, 130 is interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


class HpoError(Exception):
    """Something a user can cause or cure; its message is what is printed."""

    exit_code = 2


class UsageError(HpoError):
    """A command line that cannot be carried out."""

    exit_code = 2


class StudyFileError(HpoError):
    """Faults in a study file or in `--set`, all of them at once."""

    exit_code = 3

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = problems
        count = f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
        super().__init__("\n  ".join([f"{source}: {count}", *problems]))


class DataError(HpoError):
    """Data missing, altered, misshapen or out of reach."""

    exit_code = 4


class StorageError(HpoError):
    """A database address that is malformed, refused, or needs a driver that is not there."""

    exit_code = 5


class StudyNotFoundError(HpoError):
    """No study, or no trial, of that name or number in this database."""

    exit_code = 6


class StudyConflictError(HpoError):
    """The study exists with another spec."""

    exit_code = 7


class DeviceError(HpoError):
    """The device asked for is not there."""

    exit_code = 8


class OutputError(HpoError):
    """A file or folder cannot be written, or the disk is full."""

    exit_code = 9


class StudyStoppedError(HpoError):
    """Too many trials of a study failed by their own fault."""

    exit_code = 10


class WorkersFailedError(HpoError):
    """Local workers ended with an error, or were killed again and again; exit_code: of the first that tells why."""

    exit_code = 8

    def __init__(self, message: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(message)


def did_you_mean(name: str, legal: Iterable[str]) -> str:
    """`; did you mean X?` for the nearest legal name, else the list of legal names."""
    names = list(legal)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; legal: {', '.join(names)}"
