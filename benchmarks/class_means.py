"""What it is worth that a, b and alpha of AUCM follow the scores, instead of being learned by PESG.

    python benchmarks/class_means.py --data-dir DIR [--dataset breast] [--seeds 3] [--epochs 12] [--out FILE]

Each recipe is trained with `class_means` learned and running, on one of three stratified folds of the development rows,
with the same seeds of weights, batches and folds, so that differences are paired. Scoring AUC and the AUC of the
training batches after the last epoch: where the second falls below what it was, the loss itself has undone the ranking.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from hpo.data.development import load_development
from hpo.data.folder import data_folder
from hpo.data.folds import scoring_folds
from hpo.revision import code_version
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring
from hpo.training.loop.trial import train_trial
from hpo.training.machine.device import choose_device, describe_device, set_up_process
from hpo.training.machine.failure import TrainingFailure

_SHARED = {"loss": "aucm_v2", "batch_size": 64, "epoch_decay": 0.0}
RECIPES: dict[str, dict[str, Any]] = {
    "Adam 3e-4": {"optimizer": "adam", "learning_rate": 3e-4},
    "Adam 3e-4 after cross-entropy": {"optimizer": "adam", "learning_rate": 3e-4, "cross_entropy_share": 0.35},
    "SGD 0.1, momentum 0.9": {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "SGD 0.1, momentum 0.9, after cross-entropy": {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "cross_entropy_share": 0.35,
    },
}
WAYS = ("learned", "running")
CHANCE = 0.5


def main() -> None:
    """Trains, tells each run on stderr, and prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="breast")
    parser.add_argument("--data-dir")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out")
    options = parser.parse_args()
    set_up_process(options.threads)
    # Without groups, as when the committed figures were measured.
    development = load_development(find_dataset(options.dataset), data_folder(options.data_dir), "none")

    def ends(recipe: dict[str, Any], way: str, seed: int) -> tuple[float, float]:
        """Scoring and training AUC after the last epoch; chance for what diverges."""
        config = TrainConfig(**_SHARED, **recipe, class_means=way)
        fold = scoring_folds(development, Scoring(rows="kfold", folds=3, seed=seed, groups="none"), seed)[:1]
        try:
            *_, last = train_trial(config, development, fold, options.epochs, seed)
        except TrainingFailure:
            return CHANCE, CHANCE
        return last.auc, last.training_auc

    found: dict[str, Any] = {}
    for name, recipe in RECIPES.items():
        runs = {way: [ends(recipe, way, seed) for seed in range(options.seeds)] for way in WAYS}
        print(name, runs, file=sys.stderr, flush=True)
        differences = [b[0] - a[0] for a, b in zip(runs["learned"], runs["running"], strict=True)]
        found[name] = {
            **{
                way: {"auc": [run[0] for run in runs[way]], "training_auc": [run[1] for run in runs[way]]}
                for way in WAYS
            },
            "difference": statistics.mean(differences),
            "standard_error": statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else None,
        }
    document = {
        "dataset": options.dataset,
        "epochs": options.epochs,
        "recipes": found,
        "device": describe_device(choose_device("auto")),
        "code": code_version(),
    }
    text = json.dumps(document, indent=2)
    print(text)
    if options.out:
        Path(options.out).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
