"""`TrainingFailure`: a configuration that fails by its own fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

Reason = Literal["diverged", "out of memory"]

_ALLOCATION_REFUSED = ("can't allocate memory", "not enough memory", "out of memory")


class TrainingFailure(Exception):  # noqa: N818 - a result of a trial, not an error of the program
    """Training that cannot go on: reason says which kind, detail where and with what values."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


@contextmanager
def memory_failures() -> Iterator[None]:
    """Turns an allocation that CPU or CUDA refuses into TrainingFailure("out of memory"); other errors pass."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingFailure("out of memory", _first_line(error)) from error
    except RuntimeError as error:
        if any(words in str(error) for words in _ALLOCATION_REFUSED):
            raise TrainingFailure("out of memory", _first_line(error)) from error
        raise


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["allocation refused"])[0]
