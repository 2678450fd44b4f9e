"""What the benchmark of size finds in shapes that differ in size alone."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.size_signal import auc_of_means
from hpo.data.development import Development
from hpo.study.catalogue import find_dataset


@pytest.fixture(scope="module")
def cubes() -> Development:
    """Cubes with an edge of 5 or 6 voxels of 14 in the middle; the larger ones have label 1."""
    labels = np.arange(120) % 2
    images = np.zeros((120, 14, 14, 14), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 : 9 + label, 4 : 9 + label, 4 : 9 + label] = 255
    is_validation = np.arange(120) >= 100
    return Development(find_dataset("adrenal3d"), images, labels[:, None].astype(np.uint8), is_validation, "made up")


@pytest.mark.parametrize(
    ("policy", "strength", "low", "high"),
    [("none", 0.0, 1.0, 1.0), ("flip", 1.0, 1.0, 1.0), ("rigid", 1.0, 0.98, 1.0), ("geometric", 1.0, 0.5, 0.9)],
)
def test_size_is_kept_by_rigid_moves_and_hidden_by_scale_and_crop(
    cubes: Development, policy: str, strength: float, low: float, high: float
) -> None:
    assert low <= auc_of_means(cubes, policy, strength, draw=0) <= high
