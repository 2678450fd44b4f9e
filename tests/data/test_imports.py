"""What the data room loads, and when."""

from __future__ import annotations

import subprocess
import sys


def test_importing_the_room_loads_neither_medmnist_nor_scikit_learn_nor_torch() -> None:
    code = (
        "import sys, hpo.outcome.unseal, hpo.data.download, hpo.data.resplit, hpo.data.folder, hpo.statistics.auc;"
        "print([name for name in ('medmnist', 'sklearn', 'torch') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
