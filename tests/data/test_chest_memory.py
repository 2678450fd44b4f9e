"""ChestMNIST, 89,687 images of 14 labels, in the memory of a small machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hpo.training.inputs.device_dataset import place_images

DEAREST = {
    "batch_size": 512,
    "loss": "aucm_v1",
    "optimizer": "adam",
    "augmentation": "full",
    "weight_average": "swa",
    "resplit": "holdout",
}


def test_images_stay_uint8_where_they_are_kept() -> None:
    images = np.zeros((5, 28, 28), dtype=np.uint8)
    assert place_images(images, 28, torch.device("cpu")).dtype == torch.uint8
    assert place_images(images, 14, torch.device("cpu")).dtype == torch.uint8


@pytest.mark.slow
def test_a_trial_of_the_dearest_configuration_stays_within_4_gib(tmp_path: Path) -> None:
    """One step, with the 435 of 512 samples that the selection leaves; with all 512 it takes an eighth more."""
    command = [sys.executable, "benchmarks/memory.py", "--dataset", "chest", "--data-dir", str(tmp_path)]
    command += ["--trials", "1", "--epochs", "1", "--rows", "512", "--limit", "3.5"]
    for name, value in DEAREST.items():
        command += ["--set", f"fixed.{name}={value}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout[done.stdout.index("\n{\n") :])
    assert (figures["rows"], figures["made_up"]) == (89_687, True)
    assert figures["within_limit"], figures["largest_peak_gib"]
