"""A worker loads what it needs, and LibAUC as much of itself as hpo uses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hpo.training.optim import libauc_pesg

LOAD = """
import json, sys
from pathlib import Path
import hpo.search.worker.loop, hpo.search.worker.trainer, hpo.training.loop.trial
from hpo.data.development import load_development
from hpo.study.catalogue import find_dataset
from hpo.training.optim.pesg import BlockPESG, PESG
load_development(find_dataset("digits"), Path("/nowhere"))
loaded = sorted({"pandas", "scipy.stats", "sklearn", "torch"} & set(sys.modules))
parts = [name for name in sys.modules if name.startswith("libauc.")]
from libauc.optimizers import PDSCA, PESG as whole
from libauc.utils import set_all_seeds, batch_to_gpu
json.dump({"loaded": loaded, "parts": parts, "same": whole.__dict__.keys() == PESG.__dict__.keys()}, sys.stdout)
"""


@pytest.mark.slow
def test_a_worker_trains_on_digits_without_scikit_learn_and_pandas_and_libauc_is_whole_for_others() -> None:
    run = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == {"loaded": ["torch"], "parts": [], "same": True}


def test_a_libauc_of_another_layout_is_imported_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libauc_pesg, "_PACKAGES", ("libauc.optimizers", "libauc.nowhere"))
    monkeypatch.delitem(sys.modules, "libauc.optimizers", raising=False)
    assert libauc_pesg._pesg().__module__ == "libauc.optimizers.pesg"
