"""Time and memory of the search for near-duplicates, and of folds that keep groups, at the size of a data set.

    python benchmarks/near_duplicates.py --samples 89687
    python benchmarks/near_duplicates.py --samples 1335 --edge 28 --dimensions 3

The images are smooth noise over one picture that all share, so that they are as similar as medical images of one kind.
The groups of the folds are simulated too: patients of one to seven images.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

import numpy as np
from numpy.typing import NDArray

from hpo.data.duplicates import near_duplicates
from hpo.data.groups import group_pairs
from hpo.data.stratify import stratified_split

_TILES = 4
_TWINS = 0.01


def made_images(samples: int, edge: int, dimensions: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return (samples, edge, ...) uint8 images, of which one in a hundred is another one with some noise."""
    shape = (edge,) * dimensions
    common = 1.5 * _smooth(shape, random)
    images = np.empty((samples, *shape), dtype=np.uint8)
    for place in range(samples):
        images[place] = np.clip(128 + 35 * (common + _smooth(shape, random)), 0, 255)
    for place in random.choice(samples, max(1, round(_TWINS * samples)), replace=False):
        noise = random.normal(0, 5, shape)
        images[place] = np.clip(images[random.integers(samples)] + noise, 0, 255)
    return images


def _smooth(shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float64]:
    values = random.normal(size=[-(-edge // _TILES) for edge in shape])
    for axis, edge in enumerate(shape):
        values = values.repeat(_TILES, axis=axis).take(range(edge), axis=axis)
    return values


def peak_bytes() -> int:
    """Return the largest memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure, and print a line for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--edge", type=int, default=28)
    parser.add_argument("--dimensions", type=int, choices=(2, 3), default=2)
    parser.add_argument("--labels", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    images = made_images(options.samples, options.edge, options.dimensions, random)

    before, start, processor = peak_bytes(), time.perf_counter(), time.process_time()
    pairs = near_duplicates(images)
    groups, threshold = group_pairs(pairs, len(images))
    seconds, busy = time.perf_counter() - start, time.process_time() - processor
    print(f"{len(images):,} images of {images[0].size:,} pixels on {os.cpu_count()} cores")
    print(f"pairs: {len(pairs):,} in {seconds:.1f} s ({busy:.1f} s of CPU), {(peak_bytes() - before) / 2**20:.0f} MiB")
    print(f"groups: {np.unique(groups).size:,} from a correlation of {threshold:g} on")

    labels = (random.random((options.samples, options.labels)) < 0.05).astype(np.uint8)
    sizes = random.integers(1, 8, size=options.samples)
    patients = random.permutation(np.repeat(np.arange(options.samples), sizes)[: options.samples])
    start = time.perf_counter()
    parts = stratified_split(labels, [0.2] * 5, random, patients)
    counts = np.array([labels[part].sum(axis=0) for part in parts])
    apart = np.ptp(counts, axis=0).max()
    seconds = time.perf_counter() - start
    print(f"five folds of patients, {options.labels} labels: {seconds:.1f} s, counts at most {apart} apart")


if __name__ == "__main__":
    main()
