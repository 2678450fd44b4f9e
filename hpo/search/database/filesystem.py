"""Detect network file systems, on which SQLite's locks do not work."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from hpo.errors import StorageError

NETWORK = (
    "9p acfs afs afpfs beegfs ceph cifs coda cvfs davfs dvs fhgfs gfs gfs2 glusterfs gpfs lustre mmfs ncpfs nfs nfs4 "
    "ocfs2 orangefs panfs pvfs2 quobyte scoutfs smb2 smb3 smbfs snfs webdav wekafs"
)
"""Types of file systems that several hosts can mount, by the kernel's names."""

LOCAL_FUSE = (
    "archivemount bindfs cryfs dwarfs encfs exfat exfat-fuse fuse-overlayfs fuse2fs gocryptfs grpcfuse lowntfs-3g "
    "lxcfs mergerfs ntfs-3g osxfs portal squashfuse squashfuse_ll unionfs unionfs-fuse zfs-fuse"
)
"""Types in user space (`fuse.NAME`) that are local to one host. Any other may be a network file system."""


def check_local(path: Path) -> None:
    """Check that `path` is not on a network file system.

    SQLite's write-ahead log has its index in shared memory (https://sqlite.org/wal.html); two hosts would have two
    indexes and overwrite each other's pages.

    Raises:
        StorageError: if it is.
    """
    kind = file_system(path)
    if kind is None or not is_network(kind):
        return
    raise StorageError(
        f"{path} is on a network file system ({kind}), where SQLite's locks do not work and the file gets corrupted; "
        "start a server with `hpo db serve` and give its address to --storage, or give that of a PostgreSQL or MySQL "
        "server, or a path on a disk of this host"
    )


def is_local(path: Path) -> bool:
    """Return whether `check_local` accepts a path."""
    kind = file_system(path)
    return kind is None or not is_network(kind)


@contextmanager
def local_folder() -> Iterator[Path]:
    """Yield a temporary folder for SQLite files, on a disk of this host also where TMPDIR is on a network."""
    candidates = [tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"]
    chosen = next((folder for folder in candidates if Path(folder).is_dir() and is_local(Path(folder))), None)
    with tempfile.TemporaryDirectory(prefix="hpo-", dir=chosen) as folder:
        yield Path(folder)


def is_network(kind: str) -> bool:
    """Return whether file systems of this type may be shared between hosts."""
    in_user_space = kind == "fuse" or kind.startswith("fuse.")
    return kind in NETWORK.split() or (in_user_space and kind.removeprefix("fuse.") not in LOCAL_FUSE.split())


def file_system(path: Path) -> str | None:
    """Return the type of the file system of a path, which need not exist; None if it cannot be determined."""
    # resolve() accesses the folder, which triggers an automount before the list is read.
    resolved = path.resolve()
    try:
        mounts = [(Path(each.mountpoint), each.fstype) for each in psutil.disk_partitions(all=True)]
    except OSError:
        return None
    over = [(len(point.parts), kind) for point, kind in mounts if kind and resolved.is_relative_to(point)]
    # The deepest mount point; of two mounts on it, the later hides the earlier.
    return max(reversed(over), key=lambda each: each[0])[1] if over else None
