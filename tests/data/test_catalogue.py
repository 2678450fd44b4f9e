"""The catalogue says what MedMNIST says."""

from __future__ import annotations

import pytest

from hpo.data.download import address_of
from hpo.study.catalogue import DATASETS, Dataset

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
