"""Write the file of a data set: the same arrays give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import OutputError, UsageError
from hpo.files import atomic_write, require_new, require_place


def require_writable(path: Path, force: bool) -> None:
    """Check before long work that a file may be written there.

    Raises:
        UsageError: if the name does not end in .npz.
        OutputError: if it exists, unless `force`, or its folder does not, or cannot be written.
    """
    if path.suffix != ".npz":
        raise UsageError(f"{path}: the file of a data set ends in .npz")
    require_place(path)
    require_new(path, force)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays whole or not at all. Raises OutputError."""
    try:
        with atomic_write(path) as part, part.open("wb") as file:
            # numpy gives each array the same date, 1980, so that the bytes depend on the arrays alone.
            np.savez_compressed(file, **dict(arrays))  # type: ignore[arg-type]
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
