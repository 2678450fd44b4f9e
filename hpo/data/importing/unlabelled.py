"""Read pictures without labels, to be scored by a network: in the form of those that it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.data.duplicates import unseen
from hpo.data.importing.pictures import Form, read_files, to_bytes
from hpo.data.importing.problems import Problems
from hpo.data.importing.reading import ENDINGS, files_below
from hpo.errors import DataError, UsageError
from hpo.study.catalogue import Dataset
from hpo.study.own import Fit, PixelRule


@dataclass(frozen=True)
class Found:
    """Files of pictures.

    Attributes:
        files: the name of each in a table, and its path.
        others: number of files in folders that have other endings.
    """

    files: tuple[tuple[str, Path], ...]
    others: int


def find_pictures(sources: Sequence[Path]) -> Found:
    """Find pictures: files as they are named, and all below a folder, by name.

    In a table a file of the only folder is called by its path from there, as in the table of `hpo data import`, and any
    other one by its path as given.

    Raises:
        DataError: if a source is missing, a folder cannot be read, or there is no picture.
    """
    missing = [str(source) for source in sources if not source.exists()]
    if missing:
        raise DataError(f"not there: {', '.join(missing)}")
    files: dict[Path, str] = {}
    others = 0
    for source in sources:
        if not source.is_dir():
            files.setdefault(source, str(source))
            continue
        for path in files_below(source):
            if path.name.lower().endswith(ENDINGS):
                files.setdefault(path, str(path.relative_to(source) if len(sources) == 1 else path))
            else:
                others += 1
    if not files:
        raise DataError(f"no picture in {', '.join(map(str, sources))}; endings that are read: {', '.join(ENDINGS)}")
    return Found(tuple((name, path) for path, name in files.items()), others)


def read_unlabelled(
    found: Found,
    dataset: Dataset,
    *,
    fit: Fit | None = None,
    window: tuple[float, float] | None = None,
    progress: Callable[[float], None] = unseen,
) -> NDArray[np.uint8]:
    """Read pictures as the images of a dataset, (N, ...) uint8.

    Args:
        dataset: of the network.
        fit, window: as `hpo data import` takes them; None for what made the images of the dataset, if that is known.

    Raises:
        DataError: with all files that cannot be read, or if the pictures are of another kind.
        UsageError: if they have more than 8 bits and it is not known what becomes black and white.
    """
    known = dataset.own.pixels if dataset.own is not None else None
    rule = known or PixelRule(fit="pad", window=None, is_deep=False)
    form = Form(
        size=dataset.size,
        fit=fit or rule.fit,
        # Not "rgb", which refuses volumes by an option of `hpo data import`.
        colour="auto" if dataset.dimensions == 3 or dataset.channels == 3 else "grey",
        window=window if window is not None or rule.is_deep else rule.window,
    )
    problems = Problems()
    read = read_files(found.files, form, problems, progress, too_many="give a part of them at a time")
    problems.refuse(Path("pictures"))
    assert read is not None
    images, told = read
    if told.dimensions != dataset.dimensions:
        kinds = {2: "images", 3: "volumes"}
        raise DataError(f"these are {kinds[told.dimensions]}, and the network scores {kinds[dataset.dimensions]}")
    if window is None and told.is_deep != rule.is_deep:
        depth = ("8 bits", "more than 8 bits")
        raise UsageError(
            f"these files have {depth[told.is_deep]}, and the network was trained on {depth[rule.is_deep]}: say with "
            "--window LOW HIGH which values become black and white, as they did in training"
        )
    if told.is_deep:
        assert rule.window is not None
        images = to_bytes(images, *rule.window)
    if dataset.channels == 3 and images.ndim == len(dataset.image_shape):
        images = np.repeat(images[..., None], 3, axis=-1)
    return np.asarray(images, dtype=np.uint8)
