"""The figure of several studies of methods: which methods come first, and what a panel shows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from benchmarks.method_figure import Panel, draw, ordered, read_panel, title
from hpo.outcome.method_table import MethodEffect, MethodTable, RecipeEffects
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.study.config import TrainConfig
from hpo.study.plan import Candidate, Plan
from tests.search.planned import make_confirmation


def effect(method: str, difference: float | None, half: float = 0.01) -> MethodEffect:
    if difference is None:
        return MethodEffect(method, method, in_recipe=False, changes=(), repeats=0)
    low, high = difference - half, difference + half
    return MethodEffect(method, method, False, (), 3, difference=difference, low=low, high=high)


def table(dataset: str, *effects: MethodEffect) -> MethodTable:
    recipe = RecipeEffects("a recipe", "aucm", (), 0.8, 0.01, list(effects))
    return MethodTable(f"{dataset}-methods", "", dataset, "kfold", 10, 3, 3, True, [recipe])


BREAST = table("breast", effect("ema", -0.004, half=0.001), effect("mixup", 0.02), effect("swa", None))
ADRENAL = table("adrenal3d", effect("ema", 0.03), effect("sam", 0.002))
PANELS = [Panel(BREAST, frozenset([28])), Panel(ADRENAL, frozenset([14, 28]))]


def test_methods_are_in_the_order_of_differences_in_units_of_their_intervals() -> None:
    assert ordered([BREAST, ADRENAL]) == ["mixup", "sam", "ema"]


def test_a_panel_says_what_was_measured_how_often_and_at_which_size() -> None:
    assert title(PANELS[0]) == "BreastMNIST\n3 repeats of 3 folds"
    assert title(PANELS[1]) == "AdrenalMNIST3D, 14 voxels\n3 repeats of 3 folds"


@pytest.mark.parametrize(
    ("dataset", "input_size", "shown"),
    [
        ("breast", 14, "BreastMNIST, 14 pixels"),
        ("breast@64", 28, "BreastMNIST_64, 28 pixels"),
        ("breast@64", 64, "BreastMNIST_64"),
        ("nodule3d", 14, "NoduleMNIST3D, 14 voxels"),
    ],
)
def test_the_size_is_that_of_the_images_that_recipes_are_trained_on(
    dataset: str, input_size: int, shown: str, tmp_path: Path
) -> None:
    base = Candidate(name="recipe", config=TrainConfig(input_size=input_size))
    changed = base.model_copy(update={"name": "change", "base": "recipe", "method": "m", "config": TrainConfig()})
    plan = Plan(search="", candidates=(base, changed), top=1, racing_level=0.0)
    spec = make_confirmation(plan).model_copy(update={"dataset": dataset})
    with closing(open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.db"), create=True)) as database:
        panel = read_panel(create_or_open(database, "methods", spec))
    assert title(panel).partition("\n")[0] == shown


def test_a_dot_is_filled_where_the_interval_excludes_0() -> None:
    figure = draw.figure(PANELS, ["mixup", "sam", "ema"])
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
