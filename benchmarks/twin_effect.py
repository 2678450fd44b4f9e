"""How much of a validation AUC is memory: five folds that separate near-duplicates, and five that do not.

    python benchmarks/twin_effect.py --data-dir DIR

Models of pixels that need no GPU, on the development set of a data set: random trees and nearest neighbours, which can
learn every sample by heart, and a logistic regression, which cannot. The AUC is that of each fold, averaged; its spread
is over deals of the folds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hpo.data.development import Development, load_development
from hpo.data.folder import data_folder
from hpo.data.folds import scoring_folds, separated
from hpo.study.catalogue import find_dataset
from hpo.study.spec import GroupRule, Scoring

MODELS: dict[str, Callable[[int], ClassifierMixin]] = {
    "random trees": lambda seed: ExtraTreesClassifier(300, random_state=seed, n_jobs=-1),
    "3 nearest neighbours": lambda _: KNeighborsClassifier(3),
    "logistic regression": lambda _: make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=1000)),
}


def mean_auc(development: Development, model: str, groups: GroupRule, seed: int) -> tuple[float, float]:
    """Return the mean AUC over five folds, and the share of validation samples with a twin in the training part."""
    pixels, labels = development.images.reshape(len(development), -1) / 255, development.labels[:, 0]
    areas, crossing = [], 0
    for fold in scoring_folds(development, Scoring(groups=groups, seed=seed), 0):
        fitted = MODELS[model](seed).fit(pixels[fold.training], labels[fold.training])
        scores = fitted.predict_proba(pixels[fold.validation])[:, 1]
        areas.append(float(roc_auc_score(labels[fold.validation], scores)))
        crossing += separated(development.groups, fold.validation, fold.training)
    return float(np.mean(areas)), crossing / len(development)


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="breast")
    parser.add_argument("--data-dir")
    parser.add_argument("--deals", type=int, default=4)
    options = parser.parse_args()
    development = load_development(find_dataset(options.dataset), data_folder(options.data_dir))
    for model in MODELS:
        found = {
            rule: np.array([mean_auc(development, model, rule, seed) for seed in range(options.deals)])
            for rule in ("none", "auto")
        }
        told = [
            f"groups = {rule}: {values[:, 0].mean():.3f} (sd {values[:, 0].std(ddof=1):.3f}; {values[:, 1].mean():.1%} "
            "with a twin)"
            for rule, values in found.items()
        ]
        print(f"{model}: {', '.join(told)}")


if __name__ == "__main__":
    main()
