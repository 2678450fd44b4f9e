"""Score images with exported networks, and write the scores in the format of `medmnist.Evaluator`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import DataError, OutputError


def predict(
    model: Path,
    images: NDArray[np.uint8],
    device: str = "auto",
    progress: Callable[[float], None] = lambda _share: None,
) -> NDArray[np.float32]:
    """Score images by a network, or by the mean of the networks in a folder.

    Args:
        images: (N, H, W) or (N, D, H, W) uint8.

    Returns:
        (N, L) scores.

    Raises:
        DataError: if model or images do not fit.
        DeviceError.
    """
    from hpo.training.loop.model_file import load_model

    paths = sorted(model.glob("*.safetensors")) if model.is_dir() else [model]
    if not paths:
        raise DataError(f"{model} holds no network (*.safetensors); give one, or a folder of `hpo export`")
    parts = []
    for number, path in enumerate(paths):
        loaded = load_model(path)
        parts.append(loaded.scores(images, device, lambda share, done=number: progress((done + share) / len(paths))))  # type: ignore[misc]
    return np.asarray(np.mean(parts, axis=0), dtype=np.float32)


def read_images(path: Path, array: str | None) -> NDArray[np.uint8]:
    """Read an array of an npz file by name, or its only array of images. Raises DataError."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = (
                [name for name in arrays.files if array is None and name.endswith("images")] if not array else [array]
            )
            if len(names) != 1 or names[0] not in arrays.files:
                there = ", ".join(arrays.files)
                wanted = f"has no array {array}" if array else "holds several arrays"
                raise DataError(f"{path} {wanted}; give --array with one of: {there}")
            found: NDArray[Any] = arrays[names[0]]
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an npz file: {error}") from None
    return found


def write_scores(scores: NDArray[np.float32], path: Path) -> None:
    """Write lines of sample number and scores, without a header, for `medmnist.Evaluator.parse_and_evaluate`.

    The evaluator expects the file name FLAG_SPLIT@RUN.csv, such as breastmnist_test@1.csv. Raises OutputError.
    """
    lines = (f"{row}," + ",".join(f"{score:.9g}" for score in values) for row, values in enumerate(scores))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); give --out with another file") from None
