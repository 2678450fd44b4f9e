"""The kind of file system a SQLite file lies on: on one that hosts share, its locks do not hold."""

from __future__ import annotations

from pathlib import Path

import psutil

from hpo.errors import StorageError

NETWORK = (
    "9p acfs afs afpfs beegfs ceph cifs coda cvfs davfs dvs fhgfs gfs gfs2 glusterfs gpfs lustre mmfs ncpfs nfs nfs4 "
    "ocfs2 orangefs panfs pvfs2 quobyte scoutfs smb2 smb3 smbfs snfs webdav wekafs"
)
"""Types of file systems that other hosts may have mounted too, as the kernel names them."""

LOCAL_FUSE = (
    "archivemount bindfs cryfs dwarfs encfs exfat exfat-fuse fuse-overlayfs fuse2fs gocryptfs grpcfuse lowntfs-3g "
    "lxcfs mergerfs ntfs-3g osxfs portal squashfuse squashfuse_ll unionfs unionfs-fuse zfs-fuse"
)
"""Types in user space, `fuse.` and one of these, that belong to one host. Any other may be a client of a network."""


def check_local(path: Path) -> None:
    """Raise StorageError if a SQLite file at `path` would lie on a file system that hosts share.

    SQLite's write-ahead log is indexed in memory that its processes map (https://sqlite.org/wal.html): two hosts have
    two such indexes, and overwrite each other's pages.
    """
    kind = file_system(path)
    if kind is None or not is_network(kind):
        return
    raise StorageError(
        f"{path} lies on a network file system ({kind}), where SQLite's locks do not hold and the file gets damaged; "
        "start a server with `hpo db serve` and give its address to --storage, or give that of a PostgreSQL or MySQL "
        "server, or a path on a disk of this host"
    )


def is_network(kind: str) -> bool:
    """Whether file systems of this type may be shared between hosts."""
    in_user_space = kind == "fuse" or kind.startswith("fuse.")
    return kind in NETWORK.split() or (in_user_space and kind.removeprefix("fuse.") not in LOCAL_FUSE.split())


def file_system(path: Path) -> str | None:
    """Return the type of the file system that a path lies on, or would lie on; None where the system does not tell."""
    # resolve() reaches the folder, so that an automounted file system is there when the list is read.
    place = path.resolve()
    try:
        mounts = [(Path(each.mountpoint), each.fstype) for each in psutil.disk_partitions(all=True)]
    except OSError:
        return None
    over = [(len(point.parts), kind) for point, kind in mounts if kind and place.is_relative_to(point)]
    # The deepest; of two mounts on one folder the later is the one seen.
    return max(reversed(over), key=lambda each: each[0])[1] if over else None
