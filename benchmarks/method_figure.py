"""Draw what methods do, side by side for several studies of methods: an SVG file with a panel for each study.

    python -m benchmarks.method_figure breast-useful-narrow pneumonia-useful-narrow adrenal3d-useful-narrow \\
        --storage sqlite:///docs/results/methods/narrow.sqlite3 --out docs/images/methods.svg

A row is a method, a colour is a recipe; lines are the intervals that hold together for all methods of a recipe, and the
dot is filled where they exclude 0. The methods that help most over all panels come first: by the mean of the difference
in units of half its interval, since the panels' scales differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpo.files import atomic_write
from hpo.outcome.method_effects import read_methods
from hpo.outcome.method_table import MethodTable, RecipeEffects
from hpo.outcome.report.drawing import BLACK, BLUE, ORANGE, ReportFigure, drawn, plain
from hpo.search.study import open_named_study
from hpo.study.catalogue import find_dataset

FAMILIES = {"aucm": ("AUCM", BLUE), "cross_entropy": ("cross-entropy", ORANGE)}
"""Name and colour of the loss families of recipes."""


class Point(NamedTuple):
    """The difference that a method makes to the recipe of a loss family, and its interval."""

    family: str
    method: str
    difference: float
    low: float
    high: float


def points_of(table: MethodTable) -> list[Point]:
    """Return the methods of all recipes that have an interval."""
    return [
        Point(recipe.family, one.method, one.difference, one.low, one.high)
        for recipe in table.recipes
        for one in recipe.effects
        if one.difference is not None and one.low is not None and one.high is not None
    ]


def ordered(tables: Sequence[MethodTable]) -> list[str]:
    """Return the methods, best first."""
    ratios: dict[str, list[float]] = {}
    for point in chain.from_iterable(map(points_of, tables)):
        ratios.setdefault(point.method, []).append(2 * point.difference / max(point.high - point.low, 1e-9))
    return sorted(ratios, key=lambda name: -float(np.mean(ratios[name])))


@drawn
def draw(tables: Sequence[MethodTable], methods: Sequence[str]) -> ReportFigure:
    """Draw a panel for each table."""
    figure = ReportFigure(figsize=(1.8 + 2.7 * len(tables), 1.1 + 0.36 * len(methods)))
    panels = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    for axes, table in zip(panels, tables, strict=True):
        families = list(dict.fromkeys(recipe.family for recipe in table.recipes))
        for family, method, difference, low, high in points_of(table):
            place = methods.index(method) + 0.26 * (families.index(family) - (len(families) - 1) / 2)
            colour, is_sure = FAMILIES[family][1], low > 0 or high < 0
            axes.plot([low, high], [place, place], c=colour, lw=1.6)
            axes.plot(difference, place, "o", ms=5, mec=colour, mfc=colour if is_sure else "white")
        axes.axvline(0.0, c=BLACK, lw=0.8, ls="--")
        axes.set_title(title(table), fontsize=9)
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(range(len(methods)), [plain(name) for name in methods])
    panels[0].set_ylim(len(methods) - 0.4, -0.6)
    figure.supxlabel("validation AUC with the method minus without it", fontsize=9)
    for name, colour in FAMILIES.values():
        panels[0].plot([], [], "o-", c=colour, mfc="white", label=f"in the recipe with {name}")
    panels[0].plot([], [], "o", c=BLACK, ms=5, label="interval excludes 0")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8)
    return figure


def title(table: MethodTable) -> str:
    """Return the name of the data set, in MedMNIST's letters, its size if it was resized, and repeats and folds."""
    dataset = find_dataset(table.dataset)
    name = dataset.official_name.capitalize().replace("mnist", "MNIST").replace("3d", "3D")
    sizes = {edge for recipe in table.recipes for edge in input_sizes(recipe)} - {dataset.size}
    resized = "".join(f", {edge} {'pixels' if dataset.dimensions == 2 else 'voxels'}" for edge in sorted(sizes))
    repeats = f"{table.repeats} repeat{'s' * (table.repeats > 1)}"
    return f"{name}{resized}\n{repeats} of {table.folds} folds"


def input_sizes(recipe: RecipeEffects) -> list[int]:
    """Return the `input_size` of a recipe, if it is not the default."""
    return [int(text.removeprefix("input_size = ")) for text in recipe.settings if text.startswith("input_size = ")]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="studies of methods")
    parser.add_argument("--storage", required=True, metavar="URL", help="their database")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="SVG file to write")
    options = parser.parse_args()
    tables = []
    for name in options.studies:
        study = open_named_study(name, options.storage)
        with closing(study.database):
            tables.append(read_methods(study))
    with atomic_write(options.out) as part:
        part.write_text(draw(tables, ordered(tables)), encoding="utf-8")
    print(f"{options.out}: {', '.join(options.studies)}")


if __name__ == "__main__":
    main()
