"""How far a table of methods is chance: the median difference of each recipe, and how two recipes agree on a method.

    hpo methods breast --on none --json --storage sqlite:///docs/results/methods/studies.sqlite3 > methods.json
    python benchmarks/method_agreement.py methods.json

All methods of a recipe are compared with the same trials of it, so that its own luck is the median of its rows. Methods
that do nothing agree between recipes by chance alone: a correlation of 0.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="what `hpo methods NAME --json` prints")
    tables = {}
    for recipe in json.loads(parser.parse_args().file.read_text())["recipes"]:
        measured = [effect for effect in recipe["effects"] if effect["difference"] is not None]
        print(
            f"{recipe['recipe']}: AUC {recipe['mean']:.3f}, {len(measured)} methods, median difference "
            f"{np.median([effect['difference'] for effect in measured]):+.3f}"
        )
        tables[recipe["recipe"]] = {one["method"]: one["difference"] for one in measured if not one["in_recipe"]}
    first, second = tables.values()
    both = sorted(first.keys() & second.keys())
    correlation = np.corrcoef([first[name] for name in both], [second[name] for name in both])[0, 1]
    print(f"{len(both)} methods were put into both recipes; their differences correlate by {correlation:.2f}")


if __name__ == "__main__":
    main()
