"""Files that are replaced whole or not at all, and files from outside."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from hpo.errors import OutputError, UsageError

_MOST_BYTES = 255
"""Bytes in a name of a file, on nearly every file system."""


@contextlib.contextmanager
def atomic_write(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """Yield the path of a new empty file beside `path`, which replaces `path` once the block has ended.

    Readers see the old content or the new one, also after a crash of the machine. Nothing is left of the new file if
    the block raises. Its name, PATH.PID.part, is this process's own, so two writers do not mix.

    Args:
        mode: permissions of the file, less the umask.
    """
    if file_type(path) not in (None, stat.S_IFREG):
        # A device or a pipe would be replaced by a file, for the whole host if root does it.
        raise OSError(errno.EEXIST, "it exists and is not a file", str(path))
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        yield part
        move_into_place(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def file_type(path: Path) -> int | None:
    """Return what is at a path, as `stat.S_IFMT` tells it, links followed; None for nothing.

    By one look: what two looks find may be of before and after another process has made or removed the file.

    Raises:
        OSError: if it cannot be seen.
    """
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


def make_folder(folder: Path, mode: int = 0o777) -> bool:
    """Make a folder and its parents, below one that a group shares for that, too; return whether a group shares it.

    Shared is what has the set-group-id bit and may be written by its group: all below it belongs to the group, too.

    Args:
        mode: permissions of the folder, less the umask.

    Raises:
        OSError: if it cannot be made.
    """
    if folder.exists():
        return _is_shared(folder)
    missing = [folder, *itertools.takewhile(lambda parent: not parent.exists(), folder.absolute().parents)]
    is_shared = _is_shared(missing[-1].absolute().parent)
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    for made in missing if is_shared else ():
        # Another user of the group may have made it since.
        with contextlib.suppress(PermissionError):
            made.chmod(stat.S_IMODE(made.stat().st_mode) | stat.S_ISGID | stat.S_IRWXG)
    return is_shared


def share(path: Path) -> None:
    """Let the group of a file, in a folder that this shares, read and write it, whatever the umask."""
    path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IRGRP | stat.S_IWGRP)


def _is_shared(folder: Path) -> bool:
    mode = folder.stat().st_mode
    return bool(mode & stat.S_ISGID and mode & stat.S_IWGRP)


def move_into_place(part: Path, path: Path) -> None:
    """Rename a finished file of the same folder to `path`, so that a crash of the machine cannot undo or tear it."""
    _sync(part)
    part.replace(path)
    # Not every file system can sync a folder: there the name is as durable as the system makes it.
    with contextlib.suppress(OSError):
        _sync(path.parent)


def read_text(path: Path, most: int) -> str:
    """Read a text file of at most `most` bytes; it may be a pipe.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is larger.
        UnicodeDecodeError: if it is not UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return content.decode("utf-8")


def fitting(name: str) -> str:
    """Return a name that a file system takes: of one that is too long, the beginning and a digest."""
    content = name.encode("utf-8", "surrogateescape")
    if len(content) <= _MOST_BYTES:
        return name
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{content[: _MOST_BYTES - len(digest) - 1].decode(errors='ignore')}-{digest}"


def expanded(path: str | Path) -> Path:
    """Replace a leading `~` or `~USER`.

    Raises:
        UsageError: if there is no such user, or this one has no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"{path}: there is no home folder for ~; give the whole path, or set HOME") from None


def why_unwritable(folder: Path) -> str:
    """Return why nothing can be written into a folder that may have to be made first; "" if it seems that it can."""
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        return f"{folder}: {error.strerror}"
    if not existing.is_dir():
        return f"{existing} is not a folder"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"no permission to write in {existing}"
    return ""


def require_place(path: Path) -> None:
    """Raise OutputError, before long work, if no file can be written in the folder of a path."""
    problem = why_unwritable(path.parent) if path.parent.is_dir() else f"there is no folder {path.parent}"
    if problem:
        raise OutputError(f"{path} cannot be written: {problem}")


def require_new(path: Path, force: bool) -> None:
    """Raise OutputError if a file or folder of the user is there, unless `force`; a device may be written to."""
    if (path.is_file() or path.is_dir()) and not force:
        raise OutputError(f"{path} exists; give another --out, or --force to replace it")


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
