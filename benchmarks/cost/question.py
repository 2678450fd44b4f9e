"""The study that is measured: ten settings, of which each trial has all, and twenty reports."""

from __future__ import annotations

import random

from hpo.study.config import ConfigValues
from hpo.study.record import Provenance, Seeds, TrialRecord
from hpo.study.space import Choices, FloatRange
from hpo.study.spec import Budget, Search, StudySpec

STUDY = "cost"
EPOCHS = 20
FIRST_RUNG, REDUCTION, STARTUP = 4, 3, 10

SPEC = StudySpec(
    dataset="breast",
    search=Search(references=False, startup_trials=STARTUP, first_rung=FIRST_RUNG, reduction=REDUCTION),
    budget=Budget(trials=1_000_000, epochs=EPOCHS),
    fixed={"loss": "aucm_v1", "optimizer": "sgd", "batching": "fixed_share"},
    space={
        "margin": FloatRange(low=0.1, high=1.0),
        "cross_entropy_share": FloatRange(low=0.0, high=0.6),
        "learning_rate": FloatRange(low=1e-4, high=0.3, log=True),
        "momentum": FloatRange(low=0.0, high=0.95),
        "epoch_decay": FloatRange(low=1e-5, high=0.05, log=True),
        "weight_decay": FloatRange(low=1e-6, high=1e-2, log=True),
        "batch_size": Choices(choices=(32, 64, 128)),
        "positive_share": FloatRange(low=0.3, high=0.7),
        "augmentation": Choices(choices=("flip", "affine", "crop", "full")),
        "augmentation_strength": FloatRange(low=0.1, high=1.0),
    },
)

RUNGS = (4, 12)


def random_params(chance: random.Random) -> ConfigValues:
    """A point of the space."""
    return {
        name: chance.choice(entry.choices) if isinstance(entry, Choices) else chance.uniform(entry.low, entry.high)
        for name, entry in SPEC.space.items()
    }


def free_record(params: ConfigValues) -> TrialRecord:
    """Make the record of a trial that cost no training."""
    config = SPEC.config(params).model_dump()
    seeds = Seeds(study_seed=0, trial_seed=0)
    return TrialRecord(config=config, params=params, seeds=seeds, provenance=Provenance(code_version="benchmark"))


def random_auc(chance: random.Random) -> float:
    """An AUC with noise around .8."""
    return min(1.0, max(0.0, chance.gauss(0.8, 0.05)))
