"""The figure of several studies of methods: which methods come first, and what a panel shows."""

from __future__ import annotations

import numpy as np

from benchmarks.method_figure import draw, ordered, title
from hpo.outcome.method_table import MethodEffect, MethodTable, RecipeEffects


def effect(method: str, difference: float | None, half: float = 0.01) -> MethodEffect:
    if difference is None:
        return MethodEffect(method, method, in_recipe=False, changes=(), repeats=0)
    low, high = difference - half, difference + half
    return MethodEffect(method, method, False, (), 3, difference=difference, low=low, high=high)


def table(dataset: str, *effects: MethodEffect, settings: tuple[str, ...] = ()) -> MethodTable:
    recipe = RecipeEffects("a recipe", "aucm", settings, 0.8, 0.01, list(effects))
    return MethodTable(f"{dataset}-methods", "", dataset, "kfold", 10, 3, 3, True, [recipe])


BREAST = table("breast", effect("ema", -0.004, half=0.001), effect("mixup", 0.02), effect("swa", None))
ADRENAL = table("adrenal3d", effect("ema", 0.03), effect("sam", 0.002), settings=("margin = 0.5", "input_size = 14"))


def test_methods_are_in_the_order_of_differences_in_units_of_their_intervals() -> None:
    assert ordered([BREAST, ADRENAL]) == ["mixup", "sam", "ema"]


def test_a_panel_says_what_was_measured_how_often_and_at_which_size() -> None:
    assert title(BREAST) == "BreastMNIST\n3 repeats of 3 folds"
    assert title(ADRENAL) == "AdrenalMNIST3D, 14 voxels\n3 repeats of 3 folds"


def test_a_dot_is_filled_where_the_interval_excludes_0() -> None:
    figure = draw.figure([BREAST, ADRENAL], ["mixup", "sam", "ema"])
    dots = [
        {
            round(float(np.ravel(line.get_xdata())[0]), 4): line.get_markerfacecolor() != "white"
            for line in panel.get_lines()
            if line.get_marker() == "o" and np.size(line.get_xdata())
        }
        for panel in figure.axes
    ]
    assert dots == [{-0.004: True, 0.02: True}, {0.03: True, 0.002: False}]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["mixup", "sam", "ema"]
