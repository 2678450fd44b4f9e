"""A worker loads what it needs, and LibAUC as much of itself as hpo uses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hpo.training.optim import libauc_pesg

TRAIN = """
import json, sys
from pathlib import Path
import hpo.search.worker.loop, hpo.search.worker.trainer
from hpo.data.development import load_development
from hpo.data.folds import Fold
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.training.loop.trial import train_trial
from hpo.training.model import resnet
from hpo.training.optim.pesg import BlockPESG, PESG
import numpy as np

resnet._WIDTHS = (8,)
development = load_development(find_dataset("digits"), Path("/nowhere"))
load = BlockPESG.load_state_dict
resumed = []

def resume(optimizer):
    resumed.append(optimizer.steps)
    load(optimizer, optimizer.state_dict())

BlockPESG.update_regularizer = resume
folds = (Fold(np.arange(64), np.arange(64, 128)),)
reports = list(train_trial(TrainConfig(batch_size=16, epoch_decay=0.1), development, folds, 2, 0, "cpu"))
loaded = sorted({"pandas", "scipy.stats", "sklearn", "torch", "torch._dynamo"} & set(sys.modules))
parts = [name for name in sys.modules if name.startswith("libauc.")]

from libauc.optimizers import PDSCA, PESG as whole
from libauc.utils import set_all_seeds, batch_to_gpu
same = whole.__dict__.keys() == PESG.__dict__.keys()
found = {"reports": len(reports), "resumed": bool(resumed), "loaded": loaded, "parts": parts, "same": same}
json.dump(found, sys.stdout)
"""


@pytest.mark.slow
def test_a_trial_on_digits_loads_of_what_takes_long_torch_alone_and_libauc_stays_whole_for_others() -> None:
    run = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == {
        "reports": 2,
        "resumed": True,
        "loaded": ["torch"],
        "parts": [],
        "same": True,
    }


def test_a_libauc_of_another_layout_is_imported_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libauc_pesg, "_PACKAGES", ("libauc.optimizers", "libauc.nowhere"))
    monkeypatch.delitem(sys.modules, "libauc.optimizers", raising=False)
    assert libauc_pesg._pesg().__module__ == "libauc.optimizers.pesg"
