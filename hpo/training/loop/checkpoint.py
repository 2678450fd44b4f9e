"""Save the state of a running trial in one file, from which another worker can resume it."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hpo.errors import first_line
from hpo.files import atomic_write, make_folder, share, why_unwritable
from hpo.study.config import TrainConfig
from hpo.training.state import StateDict

_log = logging.getLogger(__name__)


_NAME = re.compile(
    r"trial-(?P<trial>\d{5,})\.f(?P<fence>\d+)(\.(?P<attempt>[0-9a-f]{8}))?\.pt(?P<temporary>(\.\d+)?\.part)?"
)
_FORMAT = 1
_SPARE_BYTES = 1 << 22
_DEFAULT_SECONDS = 60.0
_SHARE_OF_TIME = 0.02

_announced: set[Path] = set()
"""Folders whose checkpoints this process has announced."""


class Checkpoint:
    """The files `trial-NNNNN.f<fence>.<attempt>.pt` of one trial in the folder of its study.

    A worker writes only under its own fencing token, so that a stalled worker that lost its lease never overwrites its
    successor's file. It reads the newest file with a token up to its own, and removes older ones once it has written
    its own. Files of attempts that are not among its own are those of another copy of the database, in which the study
    has gone on: it neither reads nor removes them.

    Files are written atomically: under a temporary name, synced and renamed, with mode 0600, or 0660 in a folder that
    a group shares. A full or failing disk costs the checkpoint, not the trial, and is logged once.

    Args:
        folder: of the study's checkpoints.
        trial: number of the trial.
        fence: fencing token of the worker's lease.
        identity: hash of everything that the trial is trained with; a file with another one is not read.
        attempts: names of the attempts at the trial, this one last; none where files have no such names, as final
            networks have, and trials had before there were names. These are read, too.
        seconds: least time between two files; where writing is slow it grows, until writing takes about 2 % of it.
    """

    def __init__(
        self,
        folder: Path,
        trial: int,
        fence: int,
        identity: str,
        seconds: float = _DEFAULT_SECONDS,
        attempts: Sequence[str] = (),
    ) -> None:
        self.folder, self.trial, self.fence, self.identity, self.seconds = folder, trial, fence, identity, seconds
        self.attempts = attempts
        self.path = folder / ".".join([f"trial-{trial:05}", f"f{fence}", *attempts[-1:], "pt"])
        # Its name is that of a partial file, so that it goes with the trial if this process dies.
        self._pinned = self.path.with_name(f"{self.path.name}.part")
        self.name = f"trial {trial}"
        self.cost = 0.0
        self._last = time.monotonic()
        self._has_logged = self._has_removed_older = False

    def announce(self, size: int) -> None:
        """Log the size of the files to come, once for each folder and process, as a warning if the disk is too small.

        A file stays until a newer one of the trial is complete, and until the trial ends.

        Args:
            size: of one file, in bytes.
        """
        if self.folder in _announced:
            return
        _announced.add(self.folder)
        try:
            make_folder(self.folder, 0o700)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            _log.warning("trials have no checkpoints: %s cannot be written: %s", self.folder, error.strerror)
            return
        if problem := why_unwritable(self.folder):
            _log.warning(
                "trials have no checkpoints: %s; for several users give a --checkpoint-dir of their group "
                "(chmod g+rws) before the first of them begins",
                problem,
            )
        elif free < 2 * size + _SPARE_BYTES:
            _log.warning(
                "a checkpoint needs up to %.0f MB, twice that while it is written, and the disk of %s has %.0f MB "
                "left: free some space, or give another --checkpoint-dir; without one, an interrupted trial restarts",
                *(size / 1e6, self.folder, free / 1e6),
            )
        else:
            _log.info(
                "each running trial keeps a checkpoint of up to %.0f MB in %s (%.0f GB free)",
                *(size / 1e6, self.folder, free / 1e9),
            )

    def is_due(self) -> bool:
        """Return whether enough time has passed since the last file, or since creation if none was written."""
        return time.monotonic() - self._last >= max(self.seconds, self.cost / _SHARE_OF_TIME)

    def save(self, trial: StateDict, folds: list[StateDict]) -> bool:
        """Write the state of a trial and of each fold. Return False, logged once, if that is not possible.

        The state holds plain values and tensors only. Tensors on a CPU are not copied; those on a GPU are copied one at
        a time.
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
            _remove(self.folder, self.trial, self.attempts, lambda fence: fence < self.fence)
            # Left if the folds were not read to their end.
            self._unpin()
            self._has_removed_older = True
        return True

    def load(self) -> tuple[StateDict, Iterator[StateDict]] | None:
        """Return the newest readable state of the trial and an iterator over its folds; None if there is none.

        A fold's tensors are memory-mapped until copied, and released when the next fold is requested. Files that are
        damaged or of another identity are ignored and logged. All is of one file, even if it is replaced meanwhile.
        """
        found = _files(self.folder, self.trial, self.attempts, lambda fence: fence <= self.fence)
        for _, path in sorted(found, reverse=True):
            if path.suffix != ".pt":
                continue
            pinned = self._pin(path)
            try:
                content = _read(pinned)
            except Exception as error:
                # Catch everything: whatever PyTorch raises for arbitrary bytes, the trial can restart.
                _log.warning("%s: checkpoint %s cannot be read and is ignored: %s", self.name, path, first_line(error))
                continue
            if content["identity"] == self.identity:
                return content["trial"], self._folds(pinned, len(content["folds"]))
            _log.warning("%s: checkpoint %s was made with other settings, data or code and is ignored", self.name, path)
        self._unpin()
        return None

    def exists(self) -> bool:
        """Return whether the folder has a file of this trial, by any of its workers."""
        return any(path.suffix == ".pt" for _, path in _files(self.folder, self.trial, self.attempts))

    def remove(self) -> None:
        """Remove every file of the trial, under every fencing token, partial files included."""
        remove_checkpoints(self.folder, self.trial, self.attempts)

    def _folds(self, pinned: Path, count: int) -> Iterator[StateDict]:
        try:
            for number in range(count):
                # Mapped again for each fold, so that at most one fold of the file counts as this process's memory.
                content = torch.load(pinned, map_location="cpu", mmap=True, weights_only=True)
                yield content["folds"][number]
                del content
        finally:
            self._unpin()

    def _pin(self, path: Path) -> Path:
        """Return another name of a file, under which it stays if another file takes its place.

        A worker that lost its lease, but not the disk, goes on replacing its file until it knows. Where the disk has no
        hard links, the file is read under its own name.
        """
        self._unpin()
        try:
            self._pinned.hardlink_to(path)
        except OSError:
            return path
        return self._pinned

    def _unpin(self) -> None:
        with contextlib.suppress(OSError):
            self._pinned.unlink()

    def _log_once(self, error: BaseException) -> None:
        if not self._has_logged:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
            _log.warning("%s has no checkpoint: %s cannot be written: %s", self.name, self.path, reason)
        self._has_logged = True


def remove_checkpoints(folder: Path, trial: int, attempts: Collection[str] = ()) -> None:
    """Remove the files of a trial that has ended, of its attempts and of none; one that cannot be removed stays."""
    _remove(folder, trial, attempts, lambda _: True)


def remove_checkpoints_of(folder: Path, trial: int, identity: str) -> None:
    """Remove the whole checkpoints of a trial that have an identity, where others may have the same number."""
    for _, path in _files(folder, trial, ()):
        # Whatever PyTorch raises for a file that is damaged, or that its worker is replacing: it is none of these.
        with contextlib.suppress(Exception):
            if torch.load(path, map_location="cpu", mmap=True, weights_only=True)["identity"] == identity:
                path.unlink()


def trials_with_checkpoints(folder: Path) -> set[int]:
    """Return the numbers of the trials that have files in a folder, partial files included."""
    return {int(match["trial"]) for match in _matches(folder)}


def move_checkpoints(source: Path, target: Path) -> None:
    """Move the newest checkpoint of each trial in a folder to another, where the first worker of the trial finds it.

    Raises:
        OSError: if a file cannot be moved.
    """
    for trial in sorted(trials_with_checkpoints(source)):
        whole = [(fence, path) for fence, path in _files(source, trial, ()) if path.suffix == ".pt"]
        if whole:
            max(whole)[1].replace(target / f"trial-{trial:05}.f1.pt")
        remove_checkpoints(source, trial)


def _matches(folder: Path) -> list[re.Match[str]]:
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return []
    return [match for name in names if (match := _NAME.fullmatch(name))]


def _files(
    folder: Path, trial: int, attempts: Collection[str], wanted: Callable[[int], bool] = lambda _: True
) -> list[tuple[int, Path]]:
    """Return (fence, path) of a trial's files, of these attempts and of none, partial files included."""
    return [
        (int(match["fence"]), folder / match.string)
        for match in _matches(folder)
        if int(match["trial"]) == trial
        and (match["attempt"] is None or match["attempt"] in attempts)
        and wanted(int(match["fence"]))
    ]


def _remove(folder: Path, trial: int, attempts: Collection[str], wanted: Callable[[int], bool]) -> None:
    for _, path in _files(folder, trial, attempts, wanted):
        with contextlib.suppress(OSError):
            path.unlink()


def _write(path: Path, content: StateDict) -> None:
    is_shared = make_folder(path.parent, 0o700)
    _require_space(path.parent, content)
    with atomic_write(path, 0o600) as part, part.open("wb") as file:
        if is_shared:
            share(part)
        torch.save(content, file)


def _require_space(folder: Path, content: StateDict) -> None:
    need, free = tensor_bytes(content) + _SPARE_BYTES, shutil.disk_usage(folder).free
    if need > free:
        raise OSError(f"it needs {need / 1e6:.0f} MB and the disk has {free / 1e6:.0f} MB left")


def largest_bytes(run: StateDict, config: TrainConfig) -> int:
    """Return the size that the state of a run may grow to under `config`, within a few percent."""
    # The optimizer's buffers come with its first step, the best weights with the first epoch that is selected by.
    buffers = (2 if config.optimizer in ("adam", "adamw") else 1) + (config.loss == "compositional")
    later = buffers + (config.resplit != "none")
    if config.has_effect("epoch_decay") and config.epoch_decay > 0 and run["optimizer"]["model_ref"] is None:
        # After epochs of cross-entropy, which have no epoch decay, the reference and the sum of the weights come.
        later += 2
    return tensor_bytes(run) + later * tensor_bytes(run["network"])


def tensor_bytes(value: Any) -> int:
    """Return the size of all tensors in a nested state."""
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    if isinstance(value, dict):
        return sum(tensor_bytes(part) for part in value.values())
    return sum(tensor_bytes(part) for part in value) if isinstance(value, list) else 0


def _read(path: Path) -> StateDict:
    """Read a file, its tensors memory-mapped; raises an error if anything is wrong with it."""
    with zipfile.ZipFile(path) as archive:
        # PyTorch does not verify the checksums that it writes.
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} is wrong")
    content: StateDict = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    if content["format"] != _FORMAT:
        raise ValueError(f"its format is {content['format']}, not {_FORMAT}")
    return content


def _cause_on_disk(error: BaseException) -> BaseException:
    """Return the disk error behind that of PyTorch's writer, whose text is `unexpected pos 832 vs 726`."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return cause or error
