"""The kind of file system a SQLite file lies on: on a network file system its locks do not hold."""

from __future__ import annotations

import re
from pathlib import Path

from hpo.errors import StorageError

MOUNTS = Path("/proc/self/mountinfo")

NETWORK = frozenset(
    [
        "9p",
        "acfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "dvs",
        "gfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "panfs",
        "pvfs2",
        "smb2",
        "smb3",
        "smbfs",
        "wekafs",
    ]
)
"""Types of file systems that other hosts may have mounted too, as the kernel names them."""

NETWORK_FUSE = frozenset(
    [
        "beegfs-ondemand",
        "ceph",
        "cvmfs",
        "davfs",
        "davfs2",
        "gcsfuse",
        "glusterfs",
        "goofys",
        "juicefs",
        "lustre",
        "mount.davfs",
        "mount_davfs",
        "orangefs",
        "rclone",
        "s3fs",
        "seaweedfs",
        "smbnetfs",
        "sshfs",
        "weed",
        "wekafs",
    ]
)
"""The same, of file systems in user space: what stands after `fuse.`."""


def check_local(path: Path, mounts: Path | None = None) -> None:
    """Raises StorageError if a SQLite file at `path` would lie on a network file system."""
    kind = file_system(path, mounts)
    if kind is None or not is_network(kind):
        return
    raise StorageError(
        f"{path} lies on a network file system ({kind}), where SQLite's locks do not hold and the file gets damaged; "
        "start a server with `hpo db serve` and give its address to --storage, or give that of a PostgreSQL or MySQL "
        "server, or a path on a disk of this host"
    )


def is_network(kind: str) -> bool:
    """Whether file systems of this type are shared between hosts."""
    return kind in NETWORK or (kind.removeprefix("fuse.") in NETWORK_FUSE and kind.startswith("fuse."))


def file_system(path: Path, mounts: Path | None = None) -> str | None:
    """Type of the file system that a path lies on, or would lie on; None where the system does not tell."""
    # resolve() reaches the folder, so that an automounted file system is there when the list is read.
    place = path.resolve()
    try:
        lines = (mounts or MOUNTS).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    found: tuple[int, str] | None = None
    for line in lines:
        mount_point, kind = _parsed(line)
        # Of two on one folder the later is the one seen.
        deeper = found is None or len(mount_point.parts) >= found[0]
        if kind and deeper and place.is_relative_to(mount_point):
            found = (len(mount_point.parts), kind)
    return found[1] if found else None


def _parsed(line: str) -> tuple[Path, str]:
    """Mount point and type of a line: `36 35 98:0 /root /mount/point options [tag]... - type source options`."""
    fields = line.split(" ")
    if "-" not in fields[5:]:
        return Path("/"), ""
    escaped = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
    return Path(escaped), fields[fields.index("-", 5) + 1]
