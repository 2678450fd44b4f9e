"""The other datasets that configurations train on besides that of the study (`co_training`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from hpo.data.development import Development, load_development
from hpo.data.files import verify
from hpo.errors import DataError
from hpo.study.catalogue import Dataset
from hpo.study.co_training import other_datasets
from hpo.study.config import TrainConfig

Others = Mapping[str, Development]
"""Development sets by the names of their datasets."""


def load_others(datasets: Iterable[Dataset], folder: Path) -> Others:
    """Load the development sets of other datasets, each once per process; never their test sets.

    Raises:
        DataError: if one is missing or altered, saying what to put where.
    """
    return {dataset.name: _load_once(dataset, folder) for dataset in datasets}


def check_others(datasets: Iterable[Dataset], folder: Path) -> None:
    """Check the files of other datasets without decoding them; raises DataError as `load_others`."""
    for dataset in datasets:
        try:
            verify(dataset, folder)
        except DataError as error:
            raise _missing(dataset, error) from None


def others_of(config: TrainConfig, target: Dataset, loaded: Others) -> tuple[Development, ...]:
    """Return those of the loaded development sets that a configuration trains on."""
    return tuple(loaded[dataset.name] for dataset in other_datasets(config.co_training, target))


@cache
def _load_once(dataset: Dataset, folder: Path) -> Development:
    try:
        return load_development(dataset, folder, "none")
    except DataError as error:
        raise _missing(dataset, error) from None


def _missing(dataset: Dataset, error: DataError) -> DataError:
    return DataError(f"co_training needs the dataset {dataset.name}: {error}")
