"""SQLite files where their locks do not hold: refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import StorageError
from hpo.search.database import filesystem
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.database.filesystem import check_local, file_system, is_network
from tests.mention import unmentioned

MOUNTS = r"""
22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
40 22 0:35 / /tmp rw,nosuid,nodev shared:18 - tmpfs tmpfs rw
51 22 0:40 / /home rw,relatime shared:20 master:3 - nfs4 filer:/home rw,vers=4.2
52 51 0:41 / /home/ann/local rw - xfs /dev/sdb1 rw
60 22 0:45 / /scratch rw - lustre 10.0.0.1@o2ib:/scratch rw
61 22 0:46 / /mnt/two\040words rw - fuse.sshfs ann@host:/ rw
62 22 0:47 / /mnt/image rw - fuse.squashfuse image.sqfs rw
63 22 0:48 / /mnt/over rw - ext4 /dev/sdc1 rw
64 63 0:49 / /mnt/over rw - cifs //server/share rw
65 22 0:50 / /mnt/auto rw - autofs systemd-1 rw
broken line
""".lstrip("\n")


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """A list of mounts as the kernel writes it."""
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS)
    return path


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
def test_the_deepest_and_last_mount_counts(mounts: Path, path: str, kind: str) -> None:
    assert file_system(Path(path), mounts) == kind


SHARED = """
nfs nfs4 cifs smb3 lustre gpfs beegfs ceph glusterfs afs panfs wekafs orangefs pvfs2 9p davfs
fuse.sshfs fuse.glusterfs fuse.ceph fuse.davfs2
"""
OF_ONE_HOST = "ext4 xfs btrfs zfs tmpfs overlay fuse.squashfuse fuseblk sshfs fuse.fuse-overlayfs"


@pytest.mark.parametrize("kind", SHARED.split())
def test_file_systems_of_a_network_are_known(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize("kind", OF_ONE_HOST.split())
def test_file_systems_of_one_host_are_let_pass(kind: str) -> None:
    assert not is_network(kind)


def test_a_file_on_a_network_file_system_is_refused_with_the_way_out(
    mounts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = Path("/scratch/ann/hpo.sqlite3")
    with pytest.raises(StorageError) as caught:
        check_local(path, mounts)
    assert unmentioned(caught.value, path, "lustre", "hpo db serve") == []
    check_local(Path("/home/ann/local/hpo.sqlite3"), mounts)
    mounts.write_text(MOUNTS + f"70 22 0:60 / {tmp_path} rw - gpfs scratch rw\n")
    monkeypatch.setattr(filesystem, "MOUNTS", mounts)
    with pytest.raises(StorageError, match=r"\bgpfs\b"):
        open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    assert not (tmp_path / "hpo.sqlite3").exists()


def test_a_system_that_does_not_tell_is_let_pass(tmp_path: Path) -> None:
    assert file_system(tmp_path, tmp_path / "none") is None
    check_local(tmp_path, tmp_path / "none")


def test_this_system_tells(tmp_path: Path) -> None:
    assert file_system(tmp_path / "hpo.sqlite3")
