"""The catalogue says what MedMNIST says."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.data.download import address_of
from hpo.errors import UsageError
from hpo.study.catalogue import DATASETS, Dataset, find_dataset
from hpo.study.files import builtin_study_file, default_spec

OF_MEDMNIST = [dataset for dataset in DATASETS if dataset.md5 is not None]


@pytest.mark.parametrize("dataset", OF_MEDMNIST, ids=lambda dataset: dataset.name)
def test_checksum_rows_and_labels_are_those_of_medmnist(dataset: Dataset) -> None:
    from medmnist import INFO

    info = INFO[dataset.official_name]
    assert dataset.md5 == info["MD5"]
    assert dataset.rows == tuple(info["n_samples"][split] for split in ("train", "val", "test"))
    assert dataset.labels == (len(info["label"]) if info["task"].startswith("multi-label") else 1)
    assert dataset.dimensions == (3 if dataset.official_name.endswith("3d") else 2)


def test_addresses_are_those_of_medmnist() -> None:
    from medmnist import INFO

    assert [address_of(dataset) for dataset in OF_MEDMNIST] == [INFO[one.official_name]["url"] for one in OF_MEDMNIST]


LARGER = [(dataset, size) for dataset in OF_MEDMNIST for size in ((64, 128, 224) if dataset.dimensions == 2 else (64,))]


@pytest.mark.parametrize(("dataset", "size"), LARGER, ids=lambda value: getattr(value, "name", str(value)))
def test_larger_images_have_the_checksums_and_addresses_of_medmnist(dataset: Dataset, size: int) -> None:
    from medmnist import INFO

    larger = find_dataset(f"{dataset.name}@{size}")
    assert larger == find_dataset(f"{dataset.official_name}_{size}")
    assert larger.md5 == INFO[dataset.official_name][f"MD5_{size}"]
    assert larger.image_shape == (size,) * dataset.dimensions
    assert larger.rows == dataset.rows
    assert address_of(larger) == INFO[dataset.official_name][f"url_{size}"]


def test_larger_images_have_the_same_test_set() -> None:
    assert find_dataset("breast@128").test_set == find_dataset("breast").test_set != find_dataset("chest@64").test_set


def test_another_size_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="breast@64, breast@128, breast@224"):
        find_dataset("breast@100")
    with pytest.raises(UsageError):
        find_dataset("digits@64")


def test_a_set_of_many_classes_is_refused_with_what_to_do() -> None:
    from medmnist import INFO

    for name, info in INFO.items():
        if info["task"] in ("multi-class", "ordinal-regression"):
            with pytest.raises(UsageError, match=f"{name}.npz:0"):
                find_dataset(name)


def test_a_larger_set_takes_the_study_file_of_its_dataset() -> None:
    assert builtin_study_file("adrenal3d@64").name == "adrenal3d.toml"
    spec = default_spec("breast@64")
    assert (spec.dataset, spec.config({}).input_size) == ("breast@64", 28)


@pytest.mark.parametrize("files", [["mine.npz"], ["mine.toml"], ["mine.npz", "mine.toml"]])
def test_a_name_without_its_ending_is_told_the_files_that_are_there(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(UsageError) as refused:
        find_dataset("mine")
    assert all(name in str(refused.value) for name in files)


@pytest.mark.parametrize(("name", "fact"), [("mine.csv", "hpo data import"), ("mine.toml", "study file")])
def test_files_of_other_kinds_are_told_what_is_taken(name: str, fact: str) -> None:
    with pytest.raises(UsageError, match=fact) as refused:
        find_dataset(name)
    assert ".npz" in str(refused.value)
