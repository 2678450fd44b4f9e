"""How much of what size says about the label is left after each augmentation.

    python benchmarks/size_signal.py --data-dir DIR [--dataset adrenal3d] [--draws 3]

The AUC of the mean of an image alone, which in a mask is the size of the shape, over all development rows: as they
are, and augmented by each policy at three strengths, mean over draws. Where it falls towards .5, a network that is
trained on such batches cannot learn from size. No network is trained and no test row is read.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch

from hpo.data.development import Development, load_development
from hpo.data.folder import data_folder
from hpo.revision import code_version
from hpo.statistics.auc import mean_auc_with_error
from hpo.study.catalogue import find_dataset
from hpo.study.choices import AUGMENTATIONS
from hpo.training.inputs.policies import find_augmentation
from hpo.training.seeds import generator

STRENGTHS = (0.3, 0.6, 1.0)
BATCH = 128


def auc_of_means(development: Development, policy: str, strength: float, draw: int) -> float:
    """AUC of the mean of each augmented image, batch by batch."""
    augment, random = find_augmentation(policy), generator(draw, policy)
    means = []
    for start in range(0, len(development), BATCH):
        images = torch.tensor(development.images[start : start + BATCH]).unsqueeze(1) / 255
        augmented, _ = augment(images, torch.zeros(len(images), 1), strength, random)
        means.append(augmented.flatten(1).mean(dim=1))
    return mean_auc_with_error(torch.cat(means)[:, None].numpy(), np.asarray(development.labels))[0]


def main() -> None:
    """Augments, and prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="adrenal3d")
    parser.add_argument("--data-dir")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--policies", nargs="+", default=[name for name in AUGMENTATIONS.names() if name != "none"])
    options = parser.parse_args()
    development = load_development(find_dataset(options.dataset), data_folder(options.data_dir), "none")
    if development.labels.shape[1] != 1:
        raise SystemExit(f"{options.dataset} has several labels; give a dataset with one")

    def figure(policy: str, strength: float) -> float:
        aucs = [auc_of_means(development, policy, strength, draw) for draw in range(options.draws)]
        return round(float(np.mean(aucs)), 3)

    document = {
        "dataset": options.dataset,
        "rows": len(development),
        "as they are": figure("none", 0.0),
        "augmented": {
            policy: {strength: figure(policy, strength) for strength in STRENGTHS} for policy in options.policies
        },
        "code": code_version(),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
