"""Define the style of the report's figures, render them as SVG text, and show them in notebooks."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Sized
from functools import update_wrapper
from itertools import accumulate
from typing import Any, Generic, ParamSpec
from unicodedata import east_asian_width

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from hpo.outcome.report.fonts import FAMILY, drawable, use_fonts
from hpo.text import visible

P = ParamSpec("P")

# Okabe and Ito 2008: distinguishable with red-green colour blindness.
BLUE, ORANGE, GREEN, RED, GREY, BLACK = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#b8b8b8", "#222222"
COLOURS = (BLUE, ORANGE, GREEN, RED, "#cc79a7", "#56b4e9")
"""Colours of the winner, the best of other loss families and the baselines, in their order; begun again if needed."""

_STYLE: Any = {
    "font.family": FAMILY,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e8e8e8",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "hpo",
    "figure.constrained_layout.use": True,
}


MANY = 500
"""Number of dots or curves from which a figure holds them as an image: each would be an element of the SVG text."""

_DPI = 200
"""Resolution of these images."""

_DIGITS = 6
"""Decimals of the places of panels, as shares of the figure: far finer than a pixel."""

_SCREEN_DPI = 90
"""Resolution of a figure in a notebook: 30 kB each, and sharp enough."""


_MOST_LETTERS = 60
"""Letters of a name in a figure, of which Chinese ones count twice: 250 would leave no room for the panels."""


def plain(name: str) -> str:
    """Return a name from outside as a figure shows it: in letters that a font has, no formula, cut where it is long."""
    shown = drawable(visible(name))
    widths = list(accumulate(2 if east_asian_width(letter) in "WF" else 1 for letter in shown))
    if shown and widths[-1] > _MOST_LETTERS:
        shown = f"{shown[: bisect_right(widths, _MOST_LETTERS - 4)]} ..."
    return shown.replace("$", r"\$")


def is_many(elements: Sized) -> bool:
    """Return whether so many elements of a figure should be drawn as an image."""
    return len(elements) >= MANY


class ReportFigure(Figure):
    """A figure that a notebook shows by itself; none of pyplot's, so it is shown once, and freed when unused."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=_SCREEN_DPI)
        return buffer.getvalue()


class drawn(Generic[P]):  # noqa: N801 - a decorator
    """Decorate a function that returns a figure: called, it returns SVG text in the report's style."""

    def __init__(self, draw: Callable[P, ReportFigure]) -> None:
        self._draw = draw
        update_wrapper(self, draw)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the figure as SVG text."""
        buffer = io.StringIO()
        # Also while it is rendered: the style says how ids of the SVG are made.
        with mpl.rc_context(_STYLE):
            figure = self._draw(*args, **kwargs)
            use_fonts(figure)
            _lay_out(figure)
            figure.savefig(buffer, format="svg", dpi=_DPI, metadata={"Date": None, "Creator": None})
        text = buffer.getvalue()
        return text[text.index("<svg") :]

    def figure(self, *args: P.args, **kwargs: P.kwargs) -> ReportFigure:
        """Return the figure itself, in the same style."""
        with mpl.rc_context(_STYLE):
            figure = self._draw(*args, **kwargs)
        use_fonts(figure)
        return figure


def _lay_out(figure: ReportFigure) -> None:
    """Place the panels for good, as constrained layout does, but the same to the last digit for the same figure.

    Its solver adds in the order of memory addresses, and ids in the SVG are hashes of all digits.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        points = axes.get_position(original=True).get_points()
        axes.set_position(Bbox(points.round(_DIGITS)))


def canvas(width: float, height: float) -> tuple[ReportFigure, Axes]:
    """Create a figure of that size in inches, with one panel."""
    figure = ReportFigure(figsize=(width, height))
    return figure, figure.subplots()
