"""A trial with the whole network on real images."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.data.development import load_development
from hpo.data.folds import scoring_folds
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring
from hpo.training.loop.trial import train_trial


@pytest.mark.slow
def test_aucm_learns_digits(tmp_path: Path) -> None:
    digits = load_development(find_dataset("digits"), tmp_path)
    folds = scoring_folds(digits, Scoring(rows="holdout"), 0)
    config = TrainConfig(
        loss="aucm_v2",
        batching="fixed_share",
        learning_rate=0.03,
        momentum=0.5,
        batch_size=64,
        epoch_decay=0.0,
        schedule="constant",
    )
    *_, last = train_trial(config, digits, folds, 4, 1, "cpu")
    assert last.auc > 0.95
    assert last.training_auc > 0.95
