"""Data that are not there are downloaded before a launch, from a mirror on this machine, and by no job."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from hpo.data.missing import fetch_missing
from hpo.errors import DataError
from hpo.launch.backends.base import unseen_download
from hpo.study.catalogue import Dataset, find_dataset
from tests.data.server import Server, serving
from tests.mention import unmentioned

CONTENT = b"as good as images"


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    return dataclasses.replace(find_dataset("breast"), md5=hashlib.md5(CONTENT).hexdigest())


def use(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_DATA_URL", server.url.removesuffix("/file.npz"))


def test_a_missing_file_is_downloaded(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(CONTENT) as server:
        use(server, monkeypatch)
        fetch_missing([dataset, find_dataset("digits")], tmp_path / "new", unseen_download)
    assert (tmp_path / "new" / "breastmnist.npz").read_bytes() == CONTENT


def test_a_file_that_is_there_is_left_alone_even_if_it_is_wrong(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "breastmnist.npz").write_bytes(b"somebody's")
    with serving(CONTENT) as server:
        use(server, monkeypatch)
        fetch_missing([dataset], tmp_path, unseen_download)
    assert server.ranges == []
    assert (tmp_path / "breastmnist.npz").read_bytes() == b"somebody's"


def test_a_job_of_slurm_downloads_nothing(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with serving(CONTENT) as server:
        use(server, monkeypatch)
        with pytest.raises(DataError) as refused:
            fetch_missing([dataset], tmp_path, unseen_download)
    assert server.ranges == []
    assert unmentioned(refused.value, tmp_path / "breastmnist.npz", "hpo data fetch breast") == []


def test_what_no_server_has_is_left_to_its_reader(tmp_path: Path) -> None:
    own = dataclasses.replace(find_dataset("breast"), name="mine", official_name="mine")
    fetch_missing([own], tmp_path, unseen_download)
