"""How far a table of methods is chance: the median difference of each recipe, and how two recipes agree on a method.

    hpo methods breast --on none --json --storage sqlite:///docs/results/methods/studies.sqlite3 > methods.json
    python benchmarks/method_agreement.py methods.json [other.json]

All methods of a recipe are compared with the same trials of it, so that its own luck is the median of its rows. Methods
that do nothing agree between recipes by chance alone: a correlation of 0. With another file, such as that of another
network or data set: how its differences agree with those of the first.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

Effects = dict[tuple[str, str], float]
"""Difference by recipe and method."""


def read_effects(path: Path) -> Effects:
    """Print what a file says of its recipes; return the differences of the methods that were put into them."""
    found: Effects = {}
    for recipe in json.loads(path.read_text())["recipes"]:
        measured = [effect for effect in recipe["effects"] if effect["difference"] is not None]
        print(
            f"{recipe['recipe']}: AUC {recipe['mean']:.3f}, {len(measured)} methods, median difference "
            f"{np.median([effect['difference'] for effect in measured]):+.3f}"
        )
        found |= {(recipe["recipe"], one["method"]): one["difference"] for one in measured if not one["in_recipe"]}
    return found


def agreement(first: Effects, second: Effects) -> tuple[int, float]:
    """Return how many differences both have, and their correlation."""
    both = sorted(first.keys() & second.keys())
    return len(both), float(np.corrcoef([first[name] for name in both], [second[name] for name in both])[0, 1])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="what `hpo methods NAME --json` prints")
    parser.add_argument("other", type=Path, nargs="?", help="likewise, of another study")
    options = parser.parse_args()
    effects = read_effects(options.file)
    one, two = (
        {("", name): difference for (of, name), difference in effects.items() if of == recipe}
        for recipe in recipes_of(effects)
    )
    count, correlation = agreement(one, two)
    print(f"{count} methods were put into both recipes; their differences correlate by {correlation:.2f}")
    if options.other is not None:
        count, correlation = agreement(effects, read_effects(options.other))
        print(f"{count} differences are in both files; they correlate by {correlation:.2f}")


def recipes_of(effects: Effects) -> list[str]:
    """Return the two recipes, in their order."""
    return list(dict.fromkeys(recipe for recipe, _ in effects))


if __name__ == "__main__":
    main()
