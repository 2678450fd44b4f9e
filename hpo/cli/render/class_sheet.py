"""Draw samples of each class of a dataset, to see what is to be told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hpo.data.described import Described
from hpo.errors import OutputError
from hpo.files import atomic_write
from hpo.outcome.report.drawing import plain
from hpo.outcome.report.fonts import use_fonts

_COLUMNS, _ROWS_OF_ONE, _ROWS_OF_MANY = 12, 4, 1
_GAP = 0.06
"""White between two images, as a share of their edge."""

_WIDTH = 9.0
"""Inches."""


def draw_classes(data: Described, path: Path) -> int:
    """Draw samples of train and val by class into a PNG file, and return how many.

    With one label positives and negatives, with several the positives of each, and samples without any. They are drawn
    at random, the same ones each time. Of a volume its middle slice is shown.

    Raises:
        OutputError: if the file cannot be written.
    """
    classes = _classes(data)
    most = _COLUMNS * (_ROWS_OF_ONE if len(classes) <= 2 else _ROWS_OF_MANY)
    random = np.random.default_rng(0)
    chosen = [
        np.sort(random.choice(samples, min(most, samples.size), replace=False)) for _, samples in classes
    ]  # fmt: skip
    heights = [max(1, -(-samples.size // _COLUMNS)) for samples in chosen]
    figure = Figure(figsize=(_WIDTH, 0.5 + sum(0.74 * rows + 0.28 for rows in heights)), layout="constrained")
    figure.suptitle(f"{plain(data.name)}: train and val", fontsize=11)
    panels = figure.subplots(len(classes), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (title, samples), shown, rows in zip(panels, classes, chosen, heights, strict=True):
        axes.set_title(
            f"{plain(title)}: {samples.size:,} ({samples.size / len(data.labels):.1%})", fontsize=9, loc="left"
        )
        axes.imshow(_montage(data, shown, rows), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_axis_off()
    use_fonts(figure)
    try:
        with atomic_write(path) as part:
            figure.savefig(part, format="png", dpi=150)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
    return int(sum(shown.size for shown in chosen))


def _classes(data: Described) -> list[tuple[str, NDArray[np.int64]]]:
    """Return titles and samples of all classes that have any."""
    found = [(name, np.flatnonzero(data.labels[:, number])) for number, name in enumerate(data.label_names)]
    if len(found) == 1:
        name, samples = found[0]
        found = [(f"{name} = 1", samples), (f"{name} = 0", np.flatnonzero(data.labels[:, 0] == 0))]
    else:
        found.append(("no label", np.flatnonzero(~data.labels.any(axis=1))))
    return [(title, samples) for title, samples in found if samples.size]


def _montage(data: Described, samples: NDArray[np.int64], rows: int) -> NDArray[np.uint8]:
    """Return samples side by side on white, in rows: (H, W) or (H, W, 3)."""
    images = data.images[samples]
    if data.dimensions == 3:
        images = images[:, images.shape[1] // 2]
    height, width = images.shape[1:3]
    gap = max(1, round(_GAP * width))
    shape = (rows * (height + gap) - gap, _COLUMNS * (width + gap) - gap, *images.shape[3:])
    sheet = np.full(shape, 255, dtype=np.uint8)
    for place, image in enumerate(images):
        row, column = divmod(place, _COLUMNS)
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet
