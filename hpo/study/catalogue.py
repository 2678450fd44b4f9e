"""The datasets: seven MedMNIST tasks and scikit-learn's digits, with what is published about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hpo.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Dataset:
    """One task: names, form of its arrays, checksum, and the published test AUC to beat.

    rows: official numbers of (train, val, test) rows. size: edge in pixels or voxels.
    is_mask: images hold only 0 and 255. published_auc: ResNet-18 (28) or ResNet-18 + 3D, test rows,
    Yang et al. 2023, Sci. Data 10:41, tables 3 and 4.
    """

    name: str
    official_name: str
    dimensions: Literal[2, 3]
    labels: int
    rows: tuple[int, int, int]
    md5: str | None
    published_auc: float | None
    size: int = 28
    is_mask: bool = False
    caution: str = ""

    @property
    def file_name(self) -> str:
        """Name of its file in a data folder."""
        return f"{self.official_name}.npz"

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image: (H, W) or (D, H, W)."""
        return (self.size,) * self.dimensions

    def shrunk(self, edge: int) -> str:
        """`images shrunk from 28 to 14 voxels an edge`, or nothing if `edge` is not smaller than the images."""
        unit = "pixels" if self.dimensions == 2 else "voxels"
        return f"images shrunk from {self.size} to {edge} {unit} an edge" if edge < self.size else ""

    @property
    def development_rows(self) -> int:
        """Number of train and validation rows together."""
        return self.rows[0] + self.rows[1]


_SPLIT_BY_PATIENT = (
    "the official split is by patient and the file has no patient ids, so left and right gland of one "
    "patient may fall on two sides of any new split"
)

DATASETS: tuple[Dataset, ...] = (
    Dataset("breast", "breastmnist", 2, 1, (546, 78, 156), "750601b1f35ba3300ea97c75c52ff8f6", 0.901),
    Dataset("pneumonia", "pneumoniamnist", 2, 1, (4708, 524, 624), "28209eda62fecd6e6a2d98b1501bb15f", 0.944),
    Dataset("chest", "chestmnist", 2, 14, (78468, 11219, 22433), "02c8a6516a18b556561a56cbdd36c4a8", 0.768),
    Dataset("nodule3d", "nodulemnist3d", 3, 1, (1158, 165, 310), "8755a7e9e05a4d9ce80a24c3e7a256f3", 0.863),
    Dataset(
        "adrenal3d",
        "adrenalmnist3d",
        3,
        1,
        (1188, 98, 298),
        "bbd3c5a5576322bc4cdfea780653b1ce",
        0.827,
        is_mask=True,
        caution=_SPLIT_BY_PATIENT,
    ),
    Dataset(
        "vessel3d",
        "vesselmnist3d",
        3,
        1,
        (1335, 191, 382),
        "b41fd4f7e7e2feedddb201585ecafa1b",
        0.874,
        is_mask=True,
    ),
    Dataset("synapse3d", "synapsemnist3d", 3, 1, (1230, 177, 352), "1235b78a3cd6280881dd7850a78eadb6", 0.820),
    Dataset("digits", "digits", 2, 1, (1257, 180, 360), None, None, size=8),
)

_BY_NAME = {name: dataset for dataset in DATASETS for name in (dataset.name, dataset.official_name)}


def find_dataset(name: str) -> Dataset:
    """The dataset of a short or official name, in any case; raises UsageError with the nearest legal name."""
    try:
        return _BY_NAME[name.lower()]
    except KeyError:
        legal = [dataset.name for dataset in DATASETS]
        raise UsageError(f"{name} is no dataset{did_you_mean(name.lower(), legal)}") from None
