"""Score images with exported networks, and write the scores in the format of `medmnist.Evaluator`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpo.data.npz import Npz, NpzError, open_npz
from hpo.errors import DataError, OutputError
from hpo.text import brief

if TYPE_CHECKING:
    from hpo.study.catalogue import Dataset
    from hpo.training.loop.model_file import Model

_STACK = 3
"""Least dimensions of an array of images: number, height and width."""

_MOST_NAMES = 20


def load_models(source: Path) -> list[Model]:
    """Load a network, or those in a folder.

    Raises:
        DataError: if there is none, one cannot be read, or they do not score the same labels of the same images, or are
            of several configurations, as the winner and the baselines of a final result are.
    """
    from hpo.training.loop.model_file import load_model

    paths = sorted(source.glob("*.safetensors")) if source.is_dir() else [source]
    if not paths:
        raise DataError(f"{source} holds no network (*.safetensors); give one, or a folder of `hpo export`")
    models = [load_model(path) for path in paths]
    for path, model in zip(paths, models, strict=True):
        if _scored(model.dataset) != _scored(models[0].dataset):
            first, other = (
                f"{file.name} of {of.dataset.official_name}" for file, of in ((paths[0], models[0]), (path, model))
            )
            raise DataError(
                f"{source} holds networks of different data: {first}, and {other}. The networks of a folder are "
                "averaged; give one file, or a folder with those of one data set"
            )
        if model.config != models[0].config:
            raise DataError(
                f"{source} holds networks of several configurations: {paths[0].name} and {path.name}. The networks of "
                "a folder are averaged; give one file, or a folder of `hpo export`, which has those of the winner alone"
            )
    return models


def _scored(dataset: Dataset) -> tuple[object, ...]:
    """Return what networks must agree in to be averaged; files of one's own may differ in their samples."""
    own = dataset.own
    of = dataset.name if own is None else (own.label, own.label_names, own.pixels)
    return dataset.image_shape, dataset.labels, of


def predict(
    models: Sequence[Model],
    images: NDArray[np.uint8],
    device: str = "auto",
    progress: Callable[[float], None] = lambda _share: None,
) -> NDArray[np.float64]:
    """Score images by the mean of networks.

    Args:
        images: (N, H, W), (N, H, W, 3) or (N, D, H, W) uint8.

    Returns:
        (N, L) scores.

    Raises:
        DataError: if networks and images do not fit.
        DeviceError.
    """
    parts = [
        model.scores(images, device, lambda share, done=number: progress((done + share) / len(models)))  # type: ignore[misc]
        for number, model in enumerate(models)
    ]
    return np.asarray(np.mean(parts, axis=0), dtype=np.float64)


def read_images(path: Path, array: str | None) -> NDArray[np.uint8]:
    """Read an array of an npz file by name, or its only array of images. Raises DataError."""
    try:
        with open_npz(path) as arrays:
            named = [name for name in arrays.names if name.endswith("images")] if array is None else [array]
            if len(named) != 1 or named[0] not in arrays.names:
                wanted = f"has no array {array}" if array is not None else "holds not exactly one array of images"
                raise DataError(f"{path} {wanted}; {_choices(arrays)}")
            return arrays.read(named[0])
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except NpzError as error:
        raise DataError(f"{path} {error}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _choices(arrays: Npz) -> str:
    """Say which arrays may be images: those of 8 bits, a stack of pictures or volumes. Raises NpzError."""
    headers = ((name, arrays.header(name)) for name in arrays.names)
    names = [brief(name) for name, header in headers if header.dtype == np.uint8 and len(header.shape) >= _STACK]
    if not names:
        return "none of its arrays are images: uint8 of shape (N, H, W), (N, H, W, 3) or (N, D, H, W)"
    return f"give --array with one of: {', '.join(names[:_MOST_NAMES])}{', ...' if len(names) > _MOST_NAMES else ''}"


def score_lines(scores: NDArray[np.float64]) -> str:
    """Return lines of sample number and scores, without a header, for `medmnist.Evaluator.parse_and_evaluate`.

    All digits, since scores near 1 differ in the last ones.
    """
    lines = (f"{row}," + ",".join(repr(float(score)) for score in values) for row, values in enumerate(scores))
    return "".join(f"{line}\n" for line in lines)


def write_scores(scores: NDArray[np.float64], path: Path) -> None:
    """Write `score_lines`.

    The evaluator expects the file name FLAG_SPLIT@RUN.csv, such as breastmnist_test@1.csv. Raises OutputError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(score_lines(scores))
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); give --out with another file") from None
