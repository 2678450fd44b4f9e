"""Define `TrainingFailure`: a failure caused by the configuration itself."""

from __future__ import annotations

import errno
import functools
import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from hpo.errors import HpoError
from hpo.registry import described, place_of
from hpo.study.choices import AUGMENTATIONS, LOSSES, NETWORKS
from hpo.study.config import TrainConfig
from hpo.text import memory
from hpo.training.machine.limits import ProcessTainted, main_memory_limit, note_refusal

Reason = Literal["diverged", "out of memory", "plug-in"]

_log = logging.getLogger(__name__)

_CUDA_OUT_OF_MEMORY = 2
"""cudaErrorMemoryAllocation, and hipErrorOutOfMemory."""

# These libraries raise a bare RuntimeError: only its text, English in every locale, distinguishes a failed allocation
# from a bug. tests/quirks/test_torch_memory.py pins the texts seen on a CPU. All else is classified by class and code.
_SAYS_OUT_OF_MEMORY = re.compile(
    "|".join(
        (
            "(can't allocate|not enough) memory",  # PyTorch on a CPU: on Unix, on Windows
            r"unable to mmap .* \(12\)",  # PyTorch, a mapped file; 12 is ENOMEM
            "out of memory",  # PyTorch on other devices, and CUDA's driver
            "bad_alloc",  # C++
            "could not create a primitive",  # oneDNN
            "can't start new thread",  # Python: no memory for the stack
            "CUBLAS_STATUS_ALLOC_FAILED",
            "CUDNN_STATUS(_INTERNAL_ERROR_HOST|_INTERNAL_ERROR_DEVICE)?_ALLOC(ATION)?_FAILED",  # cuDNN 8, cuDNN 9
        )
    )
)


class TrainingFailure(Exception):  # noqa: N818 - a result of a trial, not an error of the program
    """Training that cannot continue. reason: the kind; detail: where, and with what values."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[TrainingFailure], tuple[Reason, str]]:
        # Pickled by its two arguments: a process that measures a step passes it on to `hpo launch`.
        return type(self), (self.reason, self.detail)


@contextmanager
def memory_failures() -> Iterator[None]:
    """Turn an allocation refused by CPU or CUDA into TrainingFailure("out of memory"); pass on other errors.

    Raises ProcessTainted instead in a process whose memory is limited and that has trained other trials before.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not _is_out_of_memory(error):
            raise
        raise _out_of_memory(error) from error


@contextmanager
def plugin_failures(config: TrainConfig) -> Iterator[None]:
    """Turn an error under a plug-in's network, loss or augmentation into TrainingFailure("plug-in").

    A plug-in may be wrong in one configuration of many, which must not end every worker that meets it. Without one,
    an error is a bug of hpo and passes, as do errors that a user can cure and those of memory.
    """
    try:
        yield
    except (HpoError, TrainingFailure, ProcessTainted, torch.AcceleratorError):
        # After an error of a kernel nothing more can be computed on the device in this process.
        raise
    except Exception as error:
        used = _plugins_of(config)
        if not used or _is_out_of_memory(error):
            raise
        _tell("".join(traceback.format_exception(error)))
        raise TrainingFailure("plug-in", f"{' or '.join(used)}: {described(error)}{place_of(error)}") from error


def _plugins_of(config: TrainConfig) -> list[str]:
    """Return what a configuration has of plug-ins, such as `loss mine`."""
    chosen = ((NETWORKS, config.network), (LOSSES, config.loss), (AUGMENTATIONS, config.augmentation))
    return [f"{registry.kind} {name}" for registry, name in chosen if not registry.entry(name).is_built_in]


@functools.lru_cache(maxsize=100)
def _tell(text: str) -> None:
    """Log a traceback, once: the folds of a trial, and the trials of a study, mostly fail alike."""
    _log.warning("a plug-in failed, and the trial with it:\n%s", text.rstrip())


def _is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that an allocation was refused."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, torch.AcceleratorError):
        return getattr(error, "error_code", None) == _CUDA_OUT_OF_MEMORY
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or bool(_SAYS_OUT_OF_MEMORY.search(str(error)))


def _out_of_memory(error: BaseException) -> TrainingFailure:
    """Return the failure. Raises ProcessTainted if the cause may be the process, not the configuration."""
    note_refusal()
    detail = (str(error).splitlines() or ["allocation refused"])[0]
    bound = main_memory_limit()
    limit = (
        f" (this worker may hold {memory(bound)})" if bound and not isinstance(error, torch.OutOfMemoryError) else ""
    )
    return TrainingFailure("out of memory", detail + limit)
