"""Draw what augmentations do to images of the development set: a PNG with a row for each policy.

    python benchmarks/augmentation_sheet.py --data-dir DIR --out sheet.png [--dataset adrenal3d] [--strength 0.5]

The first row shows the images as they are; of volumes the middle slice, or with `--projection` the mean along the first
axis. Numbers below an image are its sum relative to the original's, which in a mask is the number of voxels kept, and
its mixed label where that is not 0 or 1. One JSON document tells, for each policy, the mean of that ratio and the mean
of its distance from 1.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from torch import Tensor

from hpo.data.development import load_development
from hpo.data.folder import data_folder
from hpo.study.catalogue import find_dataset
from hpo.study.choices import AUGMENTATIONS
from hpo.training.inputs.policies import find_augmentation
from hpo.training.seeds import generator

mpl.use("Agg")
from matplotlib import pyplot as plt

MEASURED = 256


def flat(image: Tensor, *, projection: bool) -> Tensor:
    """(H, W) of a (1, ...) image."""
    if image.dim() == 3:
        return image[0]
    return image[0].mean(0) if projection else image[0, image.shape[1] // 2]


def ratios(before: Tensor, after: Tensor) -> Tensor:
    """Sum of each image relative to what it was, (B,)."""
    return after.flatten(1).sum(1) / before.flatten(1).sum(1).clamp(min=1e-6)


def main() -> None:
    """Draws, and prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="breast")
    parser.add_argument("--data-dir")
    parser.add_argument("--policies", nargs="+", default=[name for name in AUGMENTATIONS.names() if name != "none"])
    parser.add_argument("--strength", type=float, default=0.5)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--projection", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    development = load_development(find_dataset(given.dataset), data_folder(given.data_dir), "none")
    rows = np.random.default_rng(given.seed).permutation(len(development))[:MEASURED]
    images = torch.tensor(development.images[rows]).unsqueeze(1) / 255
    targets = torch.tensor(development.labels[rows], dtype=torch.float32)
    shown = {"none": (images, targets)}
    for name in given.policies:
        shown[name] = find_augmentation(name)(images, targets, given.strength, generator(given.seed, name))
    figure, axes = plt.subplots(len(shown), given.images, squeeze=False, figsize=(given.images, 1.25 * len(shown)))
    for line, (name, (augmented, mixed)) in zip(axes, shown.items(), strict=True):
        kept = ratios(images, augmented)
        for place, axis in enumerate(line):
            axis.imshow(flat(augmented[place], projection=given.projection), cmap="gray", vmin=0, vmax=1)
            label = float(mixed[place, 0])
            axis.set_xlabel(f"{kept[place]:.2f}" + (f" y {label:.2f}" if label % 1 else ""), fontsize=6, labelpad=1)
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(name, fontsize=6)
    figure.tight_layout(pad=0.2)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(given.out, dpi=110)
    kept_sums = {name: ratios(images, augmented) for name, (augmented, _) in shown.items()}
    document = {
        "dataset": given.dataset,
        "images": len(images),
        "strength": given.strength,
        "sum_kept": {
            name: {"mean": round(float(kept.mean()), 4), "mean_distance": round(float((kept - 1).abs().mean()), 4)}
            for name, kept in kept_sums.items()
        },
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
