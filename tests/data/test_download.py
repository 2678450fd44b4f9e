"""Downloads against a real server that cuts connections, ignores ranges, answers 404 and serves other files."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import random
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hpo.data.download import SOURCE, fetch
from hpo.data.reach import unreachable
from hpo.errors import DataError, OutputError
from hpo.study.catalogue import Dataset, find_dataset
from tests.data.server import Faults, serving
from tests.mention import unmentioned

CONTENT = random.Random(0).randbytes(600_000)
AT_ONCE = (0.0, 0.0)


def described(content: bytes) -> Dataset:
    return dataclasses.replace(find_dataset("breast"), md5=hashlib.md5(content).hexdigest())


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """BreastMNIST with the checksum of CONTENT; the server on this machine is reached without a proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return described(CONTENT)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_into_a_folder_that_did_not_exist(dataset: Dataset, tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        path = fetch(dataset, tmp_path / "new" / "folder", server.url)
    assert path == tmp_path / "new" / "folder" / "breastmnist.npz"
    assert path.read_bytes() == CONTENT
    assert files_in(path.parent) == ["breastmnist.npz"]


def test_progress_tells_bytes_had_and_bytes_in_all(dataset: Dataset, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with serving(CONTENT) as server:
        fetch(dataset, tmp_path, server.url, lambda had, total: seen.append((had, total)))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [had for had, _ in seen] == sorted({had for had, _ in seen})


def test_a_file_that_is_there_and_right_is_not_fetched_again(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / dataset.file_name).write_bytes(CONTENT)
    with serving(CONTENT) as server:
        fetch(dataset, tmp_path, server.url)
    assert server.ranges == []


def test_an_altered_file_is_replaced(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / dataset.file_name).write_bytes(CONTENT[:-1])
    with serving(CONTENT) as server:
        assert fetch(dataset, tmp_path, server.url).read_bytes() == CONTENT


def test_a_cut_transfer_goes_on_where_it_was_cut(dataset: Dataset, tmp_path: Path) -> None:
    with serving(CONTENT, Faults(cut_at=200_000), Faults(cut_at=450_000)) as server:
        path = fetch(dataset, tmp_path, server.url, pauses=AT_ONCE)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=200000-", "bytes=450000-"]


def test_a_transfer_that_gets_further_each_time_may_be_cut_more_often_than_there_are_pauses(
    dataset: Dataset, tmp_path: Path
) -> None:
    with serving(CONTENT, *(Faults(cut_at=at) for at in range(50_000, 600_000, 50_000))) as server:
        assert fetch(dataset, tmp_path, server.url, pauses=AT_ONCE).read_bytes() == CONTENT
    assert len(server.ranges) == 12


def test_a_transfer_that_gets_no_further_ends_with_an_error_and_keeps_what_it_has(
    dataset: Dataset, tmp_path: Path
) -> None:
    with (
        serving(CONTENT, *[Faults(cut_at=100_000)] * 9) as server,
        pytest.raises(DataError),
    ):
        fetch(dataset, tmp_path, server.url, pauses=AT_ONCE)
    assert server.ranges == [None, "bytes=100000-", "bytes=100000-"]
    assert files_in(tmp_path) == ["breastmnist.npz.part"]
    assert (tmp_path / "breastmnist.npz.part").stat().st_size == 100_000


def test_the_next_call_goes_on_from_what_the_last_one_left(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "breastmnist.npz.part").write_bytes(CONTENT[:123_456])
    with serving(CONTENT) as server:
        assert fetch(dataset, tmp_path, server.url).read_bytes() == CONTENT
    assert server.ranges == ["bytes=123456-"]


def test_a_server_that_ignores_ranges_is_read_from_the_start(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "breastmnist.npz.part").write_bytes(CONTENT[:123_456])
    with serving(CONTENT, Faults(ignores_range=True)) as server:
        assert fetch(dataset, tmp_path, server.url).read_bytes() == CONTENT


def test_a_part_that_is_complete_already_is_taken_as_it_is(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "breastmnist.npz.part").write_bytes(CONTENT)
    with serving(CONTENT) as server:
        assert fetch(dataset, tmp_path, server.url).read_bytes() == CONTENT
    assert len(server.ranges) == 1


def test_a_part_longer_than_the_servers_file_is_begun_anew(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "breastmnist.npz.part").write_bytes(CONTENT + b"more")
    with serving(CONTENT) as server:
        assert fetch(dataset, tmp_path, server.url, pauses=AT_ONCE).read_bytes() == CONTENT


def test_a_part_of_another_file_is_begun_anew_once_the_checksum_shows_it(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "breastmnist.npz.part").write_bytes(bytes(1000))
    with serving(CONTENT) as server:
        assert fetch(dataset, tmp_path, server.url).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-", None]


def test_a_file_that_changes_its_size_between_attempts_is_begun_anew(dataset: Dataset, tmp_path: Path) -> None:
    with serving(bytes(500_000), Faults(cut_at=100_000)) as server:

        def change(had: int, total: int | None) -> None:
            server.content = CONTENT

        assert fetch(dataset, tmp_path, server.url, change, pauses=AT_ONCE).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", None]


def test_a_file_that_changes_with_its_size_kept_is_begun_anew(dataset: Dataset, tmp_path: Path) -> None:
    with serving(bytes(len(CONTENT)), Faults(cut_at=100_000)) as server:

        def change(had: int, total: int | None) -> None:
            server.content = CONTENT

        assert fetch(dataset, tmp_path, server.url, change, pauses=AT_ONCE).read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_and_gets_no_further_is_not_asked_for_ever(
    dataset: Dataset, tmp_path: Path
) -> None:
    cuts = [Faults(cut_at=at, ignores_range=True) for at in (100_000, 200_000) * 9]
    with serving(CONTENT, *cuts) as server, pytest.raises(DataError):
        fetch(dataset, tmp_path, server.url, pauses=AT_ONCE)
    assert len(server.ranges) == 4


def test_a_server_that_is_gone_at_the_next_call_is_reported_at_once(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "breastmnist.npz.part").write_bytes(CONTENT[:123_456])
    with serving(CONTENT) as server:
        url = server.url
    with pytest.raises(DataError):
        fetch(dataset, tmp_path, url, pauses=(600.0,))
    assert files_in(tmp_path) == ["breastmnist.npz.part"]


def test_a_file_of_unnamed_length_is_fetched(dataset: Dataset, tmp_path: Path) -> None:
    totals = set()
    with serving(CONTENT, Faults(names_length=False)) as server:
        path = fetch(dataset, tmp_path, server.url, lambda had, total: totals.add(total))
    assert path.read_bytes() == CONTENT
    assert totals == {None}


def test_a_wrong_file_is_refused_and_nothing_of_it_is_kept(dataset: Dataset, tmp_path: Path) -> None:
    with serving(bytes(1000)) as server, pytest.raises(DataError) as refused:
        fetch(dataset, tmp_path, server.url)
    assert unmentioned(refused.value, server.url, "breastmnist.npz", "MD5", 1_000, dataset.md5, "HPO_DATA_URL") == []
    assert files_in(tmp_path) == []


def test_a_wrong_file_leaves_the_one_that_was_there_as_it_was(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / dataset.file_name).write_bytes(b"older")
    with serving(bytes(1000)) as server, pytest.raises(DataError):
        fetch(dataset, tmp_path, server.url)
    assert (tmp_path / dataset.file_name).read_bytes() == b"older"


def test_a_refusal_is_reported_at_once_with_its_number(dataset: Dataset, tmp_path: Path) -> None:
    with (
        serving(CONTENT, Faults(status=404)) as server,
        pytest.raises(DataError) as refused,
    ):
        fetch(dataset, tmp_path, server.url)
    assert unmentioned(refused.value, server.url, 404, "HPO_DATA_URL") == []
    assert len(server.ranges) == 1
    assert files_in(tmp_path) == []


def test_a_busy_server_is_asked_again(dataset: Dataset, tmp_path: Path) -> None:
    with serving(CONTENT, Faults(status=503), Faults(status=429)) as server:
        assert fetch(dataset, tmp_path, server.url, pauses=AT_ONCE).read_bytes() == CONTENT


def test_a_server_that_is_not_there_is_reported_at_once(dataset: Dataset, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/file.npz"
    with pytest.raises(DataError) as refused:
        fetch(dataset, tmp_path, url)
    assert unmentioned(refused.value, url, os.strerror(errno.ECONNREFUSED), "proxy") == []


def test_a_server_that_is_not_there_is_answered_with_what_to_put_where(dataset: Dataset, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file.npz"
        with pytest.raises(DataError) as refused:
            fetch(dataset, tmp_path, url)
    wanted = (dataset.file_name, dataset.md5, SOURCE, tmp_path, "--data-dir", "HPO_DATA_URL")
    assert unmentioned(refused.value, *wanted) == []


@contextmanager
def silent_server() -> Iterator[str]:
    """A server that answers no connection, as behind a firewall that drops packets: its queue is full."""
    with socket.socket() as server, ExitStack() as waiting:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/file.npz"


def test_a_server_that_is_silent_is_given_up_and_the_user_hears_before_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    said: list[str] = []
    with silent_server() as url:
        problem = unreachable(url, seconds=0.2, slow=0.1, say_slow=lambda: said.append("slow"))
    assert said == ["slow"]
    assert unmentioned(problem, "127.0.0.1", 0.2) == []


def test_a_name_that_nobody_knows_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert unmentioned(unreachable("https://a.invalid/x", 9.0, 9.0, lambda: None), "a.invalid", "not known") == []


def test_proxies_of_the_environment_are_used(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(CONTENT) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/file.npz"))
        assert fetch(dataset, tmp_path, "http://medmnist.invalid/file.npz").read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["file:///etc/passwd", "breastmnist.npz", "ftp://example.org/file.npz"])
def test_what_is_no_web_address_is_refused(url: str, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        fetch(dataset, tmp_path, url)
    assert unmentioned(refused.value, url, "http://", "https://") == []


def test_two_fetches_at_once_do_not_mix(dataset: Dataset, tmp_path: Path) -> None:
    hold, has_begun = threading.Event(), threading.Event()
    with serving(CONTENT, Faults(hold=hold)) as server:
        first = threading.Thread(target=fetch, args=(dataset, tmp_path, server.url, lambda had, total: has_begun.set()))
        first.start()
        assert has_begun.wait(60)
        with pytest.raises(DataError) as refused:
            fetch(dataset, tmp_path, server.url)
        assert unmentioned(refused.value, "breastmnist.npz.part") == []
        assert len(server.ranges) == 1
        hold.set()
        first.join()
    assert (tmp_path / dataset.file_name).read_bytes() == CONTENT
    assert files_in(tmp_path) == ["breastmnist.npz"]


@pytest.mark.linux
def test_a_full_disk_is_reported(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "breastmnist.npz.part").symlink_to("/dev/full")
    with serving(CONTENT) as server, pytest.raises(OutputError) as refused:
        fetch(dataset, tmp_path, server.url)
    assert unmentioned(refused.value, "breastmnist.npz.part", "--data-dir") == []


def test_a_file_for_which_there_is_no_room_is_not_begun(dataset: Dataset, tmp_path: Path) -> None:
    with serving(CONTENT, Faults(claimed_length=10**18)) as server, pytest.raises(OutputError) as refused:
        fetch(dataset, tmp_path, server.url)
    assert unmentioned(refused.value, "breastmnist.npz.part", 10**18, "--data-dir") == []
    assert files_in(tmp_path) == []


def test_a_folder_in_place_of_the_file_is_named(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / dataset.file_name).mkdir()
    with pytest.raises(OutputError) as refused:
        fetch(dataset, tmp_path, "http://127.0.0.1:9/file.npz")
    assert unmentioned(refused.value, tmp_path / dataset.file_name) == []


def test_a_file_in_place_of_the_data_folder_is_named(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as refused:
        fetch(dataset, tmp_path / "file", "http://127.0.0.1:9/file.npz")
    assert unmentioned(refused.value, tmp_path / "file", "--data-dir") == []


@pytest.fixture
def forbidden_folder() -> Iterator[Path]:
    """A folder into which the test, which gives up root's rights, may not write."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if is_root:
                os.seteuid(0)


def test_a_folder_without_rights_is_named(dataset: Dataset, forbidden_folder: Path) -> None:
    with pytest.raises(OutputError) as refused:
        fetch(dataset, forbidden_folder, "http://127.0.0.1:9/file.npz")
    assert unmentioned(refused.value, forbidden_folder / "breastmnist.npz.part", "--data-dir") == []


def test_digits_need_no_download(tmp_path: Path) -> None:
    assert fetch(find_dataset("digits"), tmp_path / "nowhere") == tmp_path / "nowhere"
    assert files_in(tmp_path) == []
