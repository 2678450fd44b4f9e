"""Define the style of the report's figures, and render them as SVG text."""

from __future__ import annotations

import io
from collections.abc import Callable, Sized
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

P = ParamSpec("P")

# Okabe and Ito 2008: distinguishable with red-green colour blindness.
BLUE, ORANGE, GREEN, RED, GREY, BLACK = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#b8b8b8", "#222222"
COLOURS = (BLUE, ORANGE, GREEN, RED)
"""Colours of the winner and the baselines, in their order."""

_STYLE: Any = {
    "font.family": "DejaVu Sans",
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


def is_many(elements: Sized) -> bool:
    """Return whether so many elements of a figure should be drawn as an image."""
    return len(elements) >= MANY


def drawn(draw: Callable[P, Figure]) -> Callable[P, str]:
    """Decorate a function that returns a figure: return its SVG text, in the report's style."""

    @wraps(draw)
    def to_svg(*args: P.args, **kwargs: P.kwargs) -> str:
        buffer = io.StringIO()
        with mpl.rc_context(_STYLE):
            draw(*args, **kwargs).savefig(buffer, format="svg", dpi=_DPI, metadata={"Date": None, "Creator": None})
        text = buffer.getvalue()
        return text[text.index("<svg") :]

    return to_svg


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Create a figure of that size in inches, with one panel."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots()
