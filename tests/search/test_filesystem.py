"""SQLite files where their locks do not hold: refused."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from hpo.errors import StorageError
from hpo.search.database import errors
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.database.filesystem import check_local, file_system, is_network

MOUNTS = {
    "/": "ext4",
    "/tmp": "tmpfs",
    "/home": "nfs4",
    "/home/ann/local": "xfs",
    "/scratch": "lustre",
    "/mnt/two words": "fuse.sshfs",
    "/mnt/image": "fuse.squashfuse",
    "/mnt/auto": "autofs",
}


class Mounts:
    """What the system lists, in its order."""

    def __init__(self) -> None:
        self.listed = [*MOUNTS.items(), ("/mnt/over", "ext4"), ("/mnt/over", "cifs")]

    def __call__(self, *, all: bool) -> list[SimpleNamespace]:
        """As psutil.disk_partitions."""
        assert all
        return [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in self.listed]


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> Mounts:
    """A system with these mounts."""
    mounts = Mounts()
    monkeypatch.setattr(psutil, "disk_partitions", mounts)
    return mounts


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/hpo.sqlite3", "ext4"),
        ("/home/ann/hpo.sqlite3", "nfs4"),
        ("/home/ann/local/hpo.sqlite3", "xfs"),
        ("/homes/hpo.sqlite3", "ext4"),
        ("/scratch/ann/hpo.sqlite3", "lustre"),
        ("/mnt/two words/hpo.sqlite3", "fuse.sshfs"),
        ("/mnt/over/hpo.sqlite3", "cifs"),
    ],
)
def test_the_deepest_and_last_mount_counts(mounts: Mounts, path: str, kind: str) -> None:
    assert file_system(Path(path)) == kind


SHARED = """
nfs nfs4 cifs smb3 lustre gpfs beegfs ceph glusterfs afs panfs wekafs orangefs pvfs2 9p davfs
fuse.sshfs fuse.glusterfs fuse.ceph fuse.davfs2 fuse fuse.of_a_vendor_we_do_not_know
"""
OF_ONE_HOST = "ext4 xfs btrfs zfs tmpfs overlay virtiofs fuse.squashfuse fuseblk fuse.fuse-overlayfs fuse.grpcfuse"


@pytest.mark.parametrize("kind", SHARED.split())
def test_file_systems_of_a_network_are_known(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize("kind", OF_ONE_HOST.split())
def test_file_systems_of_one_host_are_let_pass(kind: str) -> None:
    assert not is_network(kind)


def test_a_file_on_a_network_file_system_is_refused_and_not_made(mounts: Mounts, tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        check_local(Path("/scratch/ann/hpo.sqlite3"))
    check_local(Path("/home/ann/local/hpo.sqlite3"))
    mounts.listed.append((str(tmp_path), "gpfs"))
    with pytest.raises(StorageError):
        open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    assert not (tmp_path / "hpo.sqlite3").exists()


def test_a_system_that_does_not_tell_is_let_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*, all: bool) -> None:
        raise PermissionError

    monkeypatch.setattr(psutil, "disk_partitions", refused)
    assert file_system(tmp_path) is None
    check_local(tmp_path)


def test_this_system_tells(tmp_path: Path) -> None:
    assert file_system(tmp_path / "hpo.sqlite3")


@pytest.mark.parametrize("looks", range(1, 6))
def test_a_file_that_another_process_makes_meanwhile_is_no_fault(
    looks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen, look = tmp_path / "new.sqlite3", [], Path.stat

    def look_before_it_is_made(one: Path, **options: bool) -> os.stat_result:
        try:
            return look(one, **options)
        finally:
            seen.append(one)
            if seen.count(path) == looks:
                path.write_bytes(b"")

    monkeypatch.setattr(Path, "stat", look_before_it_is_made)
    errors.check_sqlite_folder(resolve_address(f"sqlite:///{path}"), create=True)
    assert path in seen
