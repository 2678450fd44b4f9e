"""The same trial on a CUDA device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hpo.data.development import Development
from hpo.data.rows import scoring_folds
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring
from hpo.training.device import choose_machine
from hpo.training.resident import make_resident
from hpo.training.run import Run
from hpo.training.trial import train_trial

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("loss", ["aucm_v1", "aucm_v2", "cross_entropy"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_trial_trains_on_cuda(development: Development, loss: str, optimizer: str) -> None:
    folds = scoring_folds(development, Scoring(rows="kfold", folds=2), 0)
    config = TrainConfig(loss=loss, optimizer=optimizer, augmentation="full", weight_average="ema", batch_size=16)
    assert len(list(train_trial(config, development, folds, 2, 0, "cuda"))) == 2


def test_a_step_does_not_wait_for_the_device(development: Development) -> None:
    """Copies to the device and the read-out of losses and scores come before the first and after the last step."""
    device = torch.device("cuda", 0)
    config = TrainConfig(augmentation="full", weight_average="ema", batch_size=16)
    machine = choose_machine(device, 2, "auto")
    run = Run(config, development, make_resident(development, 8, device), np.arange(40), 1, 0, machine)
    first, *rest = run.batches(0)
    run.step(first)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in rest:
            run.step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
