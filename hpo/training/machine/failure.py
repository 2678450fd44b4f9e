"""`TrainingFailure`: a configuration that fails by its own fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from hpo.text import memory
from hpo.training.machine.limits import main_memory_limit, note_refusal

Reason = Literal["diverged", "out of memory"]

_ALLOCATION_REFUSED = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "could not create a primitive",
    "can't start new thread",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""How PyTorch, C++, oneDNN, Python's threads, cuBLAS and cuDNN say that there was no memory."""


class TrainingFailure(Exception):  # noqa: N818 - a result of a trial, not an error of the program
    """Training that cannot go on: reason says which kind, detail where and with what values."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


@contextmanager
def memory_failures() -> Iterator[None]:
    """Turns an allocation that CPU or CUDA refuses into TrainingFailure("out of memory"); other errors pass.

    Raises WornOut instead in a process whose memory is limited and that has trained other trials before.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(error) from error
    except RuntimeError as error:
        if any(words in str(error) for words in _ALLOCATION_REFUSED):
            raise _out_of_memory(error) from error
        raise


def _out_of_memory(error: BaseException) -> TrainingFailure:
    """The failure; raises WornOut where it may be the process's and not the configuration's."""
    note_refusal()
    detail = (str(error).splitlines() or ["allocation refused"])[0]
    bound = main_memory_limit()
    told = f" (this worker may hold {memory(bound)})" if bound and not isinstance(error, torch.OutOfMemoryError) else ""
    return TrainingFailure("out of memory", detail + told)
