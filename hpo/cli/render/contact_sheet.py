"""Draw pairs of samples side by side, to judge by eye whether they show the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hpo.data.development import Development
from hpo.data.duplicates import Pairs
from hpo.data.survey import conflicts, label_text, sample_name
from hpo.errors import OutputError
from hpo.files import atomic_write
from hpo.outcome.report.drawing import plain
from hpo.outcome.report.fonts import use_fonts

_COLUMNS, _ROWS = 4, 7
_PAIR_INCHES = (2.6, 1.65)
_DIFFERENT = "#d55e00"


def draw_pairs(development: Development, pairs: Pairs, path: Path) -> int:
    """Draw pairs into a PNG file, and return how many: all, or some of every correlation and of different labels.

    Of a volume its middle slice is shown.

    Args:
        pairs: by falling correlation.

    Raises:
        OutputError: if the file cannot be written.
    """
    chosen = _choose(conflicts(development, pairs), _COLUMNS * _ROWS)
    rows = max(1, -(-chosen.size // _COLUMNS))
    figure = Figure(figsize=(_COLUMNS * _PAIR_INCHES[0], rows * _PAIR_INCHES[1] + 0.4), layout="constrained")
    name = plain(development.dataset.official_name)
    figure.suptitle(f"{name}: pairs by falling correlation, with labels; red where they differ", fontsize=9)
    for axes, place in zip(figure.subplots(rows, _COLUMNS, squeeze=False).flat, chosen, strict=False):
        first, second = int(pairs.first[place]), int(pairs.second[place])
        names = [f"{sample_name(development, one)} ({label_text(development, one)})" for one in (first, second)]
        differ = label_text(development, first) != label_text(development, second)
        axes.imshow(_side_by_side(development.images[first], development.images[second]), cmap="gray", vmin=0, vmax=255)
        correlation = "exact" if pairs.is_exact[place] else f"{pairs.correlation[place]:.4f}"
        axes.set_title(correlation, fontsize=8, color=_DIFFERENT if differ else "black", pad=2)
        for name, middle in zip(names, (0.24, 0.76), strict=True):
            axes.text(middle, -0.03, name, fontsize=6, ha="center", va="top", transform=axes.transAxes)
    for axes in figure.axes:
        axes.set(xticks=[], yticks=[])
        axes.set_frame_on(False)
    use_fonts(figure)
    try:
        with atomic_write(path) as part:
            figure.savefig(part, format="png", dpi=130)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
    return chosen.size


def _choose(is_conflict: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Return at most `most` places, in order: conflicts for up to a quarter of them, the others spread evenly."""
    if is_conflict.size <= most:
        return np.arange(is_conflict.size)
    differing, others = np.flatnonzero(is_conflict)[: most // 4], np.flatnonzero(~is_conflict)
    spread = np.linspace(0, others.size - 1, min(others.size, most - differing.size)).round().astype(np.int64)
    return np.sort(np.concatenate([differing, others[spread]]))


def _side_by_side(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    is_volume = first.ndim == 3 and first.shape[0] == first.shape[2]
    flat = [image[len(image) // 2] if is_volume else image for image in (first, second)]
    gap = np.full((flat[0].shape[0], 2, *flat[0].shape[2:]), 255, dtype=np.uint8)
    return np.concatenate([flat[0], gap, flat[1]], axis=1)
