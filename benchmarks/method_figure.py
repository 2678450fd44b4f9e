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
from hpo.outcome.method_table import MethodTable
from hpo.outcome.report.drawing import BLACK, BLUE, ORANGE, ReportFigure, drawn, plain
from hpo.search.study import Study, open_named_study
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


class Panel(NamedTuple):
    """What a panel shows: the table of a study, and the edges of the images that its recipes are trained on."""

    table: MethodTable
    edges: frozenset[int]


def read_panel(study: Study) -> Panel:
    """Read the panel of a study of methods."""
    assert study.spec.plan is not None, study.name
    recipes = [one.config for one in study.spec.plan.candidates if one.base is None]
    return Panel(read_methods(study), frozenset(study.spec.data.edge(config.input_size) for config in recipes))


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
def draw(panels: Sequence[Panel], methods: Sequence[str]) -> ReportFigure:
    """Draw the panels."""
    figure = ReportFigure(figsize=(1.8 + 2.7 * len(panels), 1.1 + 0.36 * len(methods)))
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, panel in zip(all_axes, panels, strict=True):
        table = panel.table
        families = list(dict.fromkeys(recipe.family for recipe in table.recipes))
        for family, method, difference, low, high in points_of(table):
            place = methods.index(method) + 0.26 * (families.index(family) - (len(families) - 1) / 2)
            colour, is_sure = FAMILIES[family][1], low > 0 or high < 0
            axes.plot([low, high], [place, place], c=colour, lw=1.6)
            axes.plot(difference, place, "o", ms=5, mec=colour, mfc=colour if is_sure else "white")
        axes.axvline(0.0, c=BLACK, lw=0.8, ls="--")
        axes.set_title(title(panel), fontsize=9)
        axes.grid(axis="y", visible=False)
    first = all_axes[0]
    first.set_yticks(range(len(methods)), [plain(name) for name in methods])
    first.set_ylim(len(methods) - 0.4, -0.6)
    figure.supxlabel("validation AUC with the method minus without it", fontsize=9)
    for name, colour in FAMILIES.values():
        first.plot([], [], "o-", c=colour, mfc="white", label=f"in the recipe with {name}")
    first.plot([], [], "o", c=BLACK, ms=5, label="interval excludes 0")
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8)
    return figure


def title(panel: Panel) -> str:
    """Return the name of the data set, in MedMNIST's letters, its size if it was resized, and repeats and folds."""
    table, dataset = panel.table, find_dataset(panel.table.dataset)
    name = dataset.official_name.capitalize().replace("mnist", "MNIST").replace("3d", "3D")
    unit = "pixels" if dataset.dimensions == 2 else "voxels"
    resized = "".join(f", {edge} {unit}" for edge in sorted(panel.edges - {dataset.size}))
    repeats = f"{table.repeats} repeat{'s' * (table.repeats > 1)}"
    return f"{name}{resized}\n{repeats} of {table.folds} folds"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="studies of methods")
    parser.add_argument("--storage", required=True, metavar="URL", help="their database")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="SVG file to write")
    options = parser.parse_args()
    panels = []
    for name in options.studies:
        study = open_named_study(name, options.storage)
        with closing(study.database):
            panels.append(read_panel(study))
    with atomic_write(options.out) as part:
        part.write_text(draw(panels, ordered([panel.table for panel in panels])), encoding="utf-8")
    print(f"{options.out}: {', '.join(options.studies)}")


if __name__ == "__main__":
    main()
