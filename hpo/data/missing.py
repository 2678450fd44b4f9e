"""Download the files of datasets that are not there yet, before a study is launched."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from hpo.data.download import Progress, address_of, fetch
from hpo.errors import DataError
from hpo.study.catalogue import Dataset

_log = logging.getLogger(__name__)

Downloading = Callable[[str], AbstractContextManager[Progress]]
"""A context around the download of a dataset of that name; what it yields is called with the bytes so far and in all.
"""


def fetch_missing(datasets: Iterable[Dataset], folder: Path, downloading: Downloading) -> None:
    """Download the files that are not in a folder; those that are there stay as they are, right or wrong.

    What no server has, such as a file of one's own, is left to whoever reads it.

    Raises:
        DataError: if a file cannot be downloaded, or this is a job of Slurm, where many would at once; says what to put
            where.
        OutputError: if it cannot be written.
    """
    for dataset in datasets:
        path = folder / dataset.file_name
        address = address_of(dataset)
        if dataset.development is not None or address is None or path.exists():
            continue
        if "SLURM_JOB_ID" in os.environ:
            raise DataError(
                f"{path} does not exist, and jobs of a cluster download nothing; run `hpo data fetch {dataset.name}` "
                "on a login node, or give --data-dir"
            )
        _log.info(f"{path} does not exist; downloading it from {address}")
        with downloading(dataset.name) as progress:
            fetch(dataset, folder, progress=progress)
