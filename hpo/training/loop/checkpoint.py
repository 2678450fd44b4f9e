"""`Checkpoint`: the state of a running trial in one file, so that another worker can go on with it."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hpo.errors import first_line
from hpo.files import atomic_write
from hpo.training.state import StateDict

_log = logging.getLogger(__name__)


Tell = Callable[[str], None]

_NAME = re.compile(r"trial-(?P<trial>\d{5,})\.f(?P<fence>\d+)\.pt(?P<temporary>(\.\d+)?\.part)?")
_FORMAT = 1
_SPARE_BYTES = 1 << 22
_DEFAULT_SECONDS = 60.0
_SHARE_OF_TIME = 0.02


class Checkpoint:
    """The files `trial-NNNNN.f<fence>.pt` of one trial in the folder of its study.

    trial, fence: number of the trial and of the worker's lease on it. A worker writes under its own fence only, so that
    one that lost its lease without knowing never overwrites its successor's file; it reads the newest of the fences up
    to its own, and removes the older ones once it has written its own. identity: a file of another is not read; it
    stands for everything that the trial is trained with. seconds: least time between two files; where writing is slow
    the time grows until writing takes about 2 % of it.

    A file appears whole or not at all, also if the machine dies: it is written under another name, synced and renamed,
    with mode 0600. A disk that is full or fails costs the checkpoint, not the trial, and is logged once.
    """

    def __init__(self, folder: Path, trial: int, fence: int, identity: str, seconds: float = _DEFAULT_SECONDS) -> None:
        self.folder, self.trial, self.fence, self.identity, self.seconds = folder, trial, fence, identity, seconds
        self.path = folder / f"trial-{trial:05}.f{fence}.pt"
        self.name = f"trial {trial}"
        self.cost = 0.0
        self._last = time.monotonic()
        self._has_logged = self._has_removed_older = False

    def is_due(self) -> bool:
        """Whether the last file, or this object where it has written none, is old enough for another."""
        return time.monotonic() - self._last >= max(self.seconds, self.cost / _SHARE_OF_TIME)

    def save(self, trial: StateDict, folds: list[StateDict]) -> bool:
        """Writes the state of a trial and of each fold; False, logged once, where that is not possible.

        Plain values and tensors only. Takes no copy of tensors on a CPU, and one tensor's at a time of those on a GPU.
        """
        start = time.monotonic()
        content = {"format": _FORMAT, "identity": self.identity, "trial": trial, "folds": folds}
        try:
            _write(self.path, content)
        except (OSError, RuntimeError) as error:
            self._log_once(_cause_on_disk(error))
            return False
        finally:
            self._last = time.monotonic()
            self.cost = self._last - start
        if not self._has_removed_older:
            _remove(self.folder, self.trial, lambda fence: fence < self.fence)
            self._has_removed_older = True
        return True

    def load(self) -> tuple[StateDict, Iterator[StateDict]] | None:
        """The newest readable state of the trial: its own part, and its folds one by one; None if there is none.

        Each fold's tensors lie in the file until they are copied, and go when the next fold is asked for. What is
        damaged or of another identity is ignored and logged.
        """
        found = _files(self.folder, self.trial, lambda fence: fence <= self.fence)
        for _, path in sorted(found, reverse=True):
            if path.suffix != ".pt":
                continue
            try:
                content = _read(path)
            except Exception as error:
                # Whatever bytes lie there, and whatever PyTorch makes of them, the trial can start anew.
                _log.warning("%s: checkpoint %s cannot be read and is ignored: %s", self.name, path, first_line(error))
                continue
            if content["identity"] == self.identity:
                return content["trial"], _folds(path, len(content["folds"]))
            _log.warning("%s: checkpoint %s is of other settings, data or code and is ignored", self.name, path)
        return None

    def exists(self) -> bool:
        """Whether any worker's file of this trial lies in the folder."""
        return any(path.suffix == ".pt" for _, path in _files(self.folder, self.trial))

    def remove(self) -> None:
        """Removes every file of the trial, of every fence, half-written ones too."""
        remove_checkpoints(self.folder, self.trial)

    def _log_once(self, error: BaseException) -> None:
        if not self._has_logged:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
            _log.warning("%s has no checkpoint: %s cannot be written: %s", self.name, self.path, reason)
        self._has_logged = True


def remove_checkpoints(folder: Path, trial: int) -> None:
    """Removes every file of a trial that has ended; a file that cannot be removed stays."""
    _remove(folder, trial, lambda _: True)


def trials_with_checkpoints(folder: Path) -> set[int]:
    """Numbers of the trials that have files in a folder, half-written ones too."""
    return {int(match["trial"]) for match in _matches(folder)}


def _matches(folder: Path) -> list[re.Match[str]]:
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return []
    return [match for name in names if (match := _NAME.fullmatch(name))]


def _files(folder: Path, trial: int, wanted: Callable[[int], bool] = lambda _: True) -> list[tuple[int, Path]]:
    """(fence, path) of a trial's files, half-written ones too."""
    found = [(int(match["fence"]), folder / match.string) for match in _matches(folder) if int(match["trial"]) == trial]
    return [(fence, path) for fence, path in found if wanted(fence)]


def _remove(folder: Path, trial: int, wanted: Callable[[int], bool]) -> None:
    for _, path in _files(folder, trial, wanted):
        with contextlib.suppress(OSError):
            path.unlink()


def _write(path: Path, content: StateDict) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _require_room(path.parent, content)
    with atomic_write(path, 0o600) as part, part.open("wb") as file:
        torch.save(content, file)


def _require_room(folder: Path, content: StateDict) -> None:
    need, free = _tensor_bytes(content) + _SPARE_BYTES, shutil.disk_usage(folder).free
    if need > free:
        raise OSError(f"it needs {need / 1e6:.0f} MB and the disk has {free / 1e6:.0f} MB left")


def _tensor_bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    if isinstance(value, dict):
        return sum(_tensor_bytes(part) for part in value.values())
    return sum(_tensor_bytes(part) for part in value) if isinstance(value, list) else 0


def _read(path: Path) -> StateDict:
    """A file's content, its tensors left in the file; raises whatever is wrong with it."""
    with zipfile.ZipFile(path) as archive:
        # PyTorch does not look at the checksums that it writes.
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} is wrong")
    content: StateDict = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    if content["format"] != _FORMAT:
        raise ValueError(f"its format is {content['format']}, not {_FORMAT}")
    return content


def _folds(path: Path, count: int) -> Iterator[StateDict]:
    for number in range(count):
        # Mapped anew for each, so that no more than one fold of the file counts as this process's memory.
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        yield content["folds"][number]
        del content


def _cause_on_disk(error: BaseException) -> BaseException:
    """The error of the disk behind that of PyTorch's writer, which says `unexpected pos 832 vs 726`."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return cause or error
