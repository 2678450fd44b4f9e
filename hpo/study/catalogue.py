"""The datasets: seven MedMNIST tasks, two of digits, those that plug-ins register, and a user's own files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hpo.errors import UsageError
from hpo.registry import Registry, resolve
from hpo.study.misnamed import refuse_what_is_something_else
from hpo.study.own import OwnFile, split_source
from hpo.study.sealed_loaders import TEST_LOADERS
from hpo.text import brief

NEAR_DUPLICATE = 0.95
"""Correlation of all pixels from which two images count as near-duplicates.

In BreastMNIST pairs are rare from .93 to .95 and frequent above; at 28 pixels those look like one lesion. In
PneumoniaMNIST images that only look alike become frequent below .94.
"""


_ENLARGES_ABOVE = 28
"""MedMNIST's edge, the default of `input_size`: there, images of a dataset with smaller ones stay as they are."""


def input_edge(size: int, input_size: int) -> int:
    """Return the edge to which images of edge `size` are resized: up to 28 none is enlarged, above 28 every one."""
    return input_size if input_size > _ENLARGES_ABOVE else min(input_size, size)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One task: names, shapes, source of the arrays, and the published test AUC to beat.

    The arrays come from a file in the data folder, or from functions.

    Attributes:
        rows: numbers of (train, val, test) samples, each at least 1; the first two are the development set. In a file
            of the user's own, val and test may be 0.
        size: edge length of an image in pixels or voxels.
        channels: 1 for grey images, 3 for RGB, in 2D only.
        official_name: name in tables and of the file; `name` if it is empty.
        md5: MD5 of the file in the data folder, OFFICIAL_NAME.npz with MedMNIST's six arrays.
        development: if there is no file, the function that returns train and val arrays, or "module:function"; see
            `hpo.data.loaders.Loader`. The function for test arrays is passed to `register_dataset` instead.
        is_mask: whether pixels are only 0 or 255.
        near_duplicates: correlation of all pixels from which two images count as near-duplicates, above 0, at most 1;
            None if images of different origin may be that similar, so that no split keeps them together.
        published_auc: test AUC of ResNet-18 (28) or ResNet-18 + 3D, Yang et al. 2023, Sci. Data 10:41, tables 3 and 4.
        caution: a caveat for reports, without a full stop.
        own: the user's own file that it was made from, see `own_dataset`; `md5` is then that of this file.
    """

    name: str
    dimensions: Literal[2, 3]
    labels: int
    rows: tuple[int, int, int]
    size: int = 28
    channels: Literal[1, 3] = 1
    official_name: str = ""
    md5: str | None = None
    development: Callable[[Path], Any] | str | None = None
    is_mask: bool = False
    near_duplicates: float | None = NEAR_DUPLICATE
    published_auc: float | None = None
    caution: str = ""
    own: OwnFile | None = None

    def __post_init__(self) -> None:
        if (self.md5 is None) == (self.development is None):
            raise ValueError(f"dataset {self.name}: give exactly one of md5 (of its file) and development (a function)")
        rows = self.rows if self.own is None else self.rows[:1]
        if self.dimensions not in (2, 3) or self.labels < 1 or self.size < 1 or min(rows) < 1:
            raise ValueError(
                f"dataset {self.name}: dimensions must be 2 or 3; labels, size and all three rows must be at least 1"
            )
        if self.channels not in (1, 3) or (self.channels == 3 and self.dimensions == 3):
            raise ValueError(f"dataset {self.name}: channels must be 1, or 3 for RGB images in 2D")
        if self.near_duplicates is not None and not 0 < self.near_duplicates <= 1:
            raise ValueError(f"dataset {self.name}: near_duplicates must be a correlation above 0, at most 1, or None")
        if not self.official_name:
            object.__setattr__(self, "official_name", self.name)

    @property
    def file_name(self) -> str:
        """Name of its file in a data folder."""
        return f"{self.official_name}.npz"

    @property
    def study_name(self) -> str:
        """Default name of a study of it."""
        # --from STUDY@STORAGE would take what follows an @ for an address.
        return self.name.replace(AT, "-") if self.own is None else self.own.name

    @property
    def source(self) -> str:
        """What `--dataset` takes for it."""
        if self.own is None:
            return self.name
        return self.own.path + ("" if self.own.label is None else f":{self.own.label}")

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image as stored: (H, W), (H, W, 3) or (D, H, W)."""
        return (self.size,) * self.dimensions + ((3,) if self.channels == 3 else ())

    @property
    def test_set(self) -> str:
        """What identifies its test set: samples in another size, or under another file name, are the same ones."""
        return key_of_test_set(self.name)

    @property
    def has_validation(self) -> bool:
        """Whether some samples of the development set are official validation samples."""
        return self.rows[1] > 0

    @property
    def has_test(self) -> bool:
        """Whether there is a test set."""
        return self.rows[2] > 0

    def edge(self, input_size: int) -> int:
        """Return the edge of the images that a network sees under the setting `input_size`."""
        return input_edge(self.size, input_size)

    def resized(self, input_size: int) -> str:
        """Return `images shrunk from 28 to 14 voxels an edge`, or `enlarged`, or "" if their size stays."""
        edge = self.edge(input_size)
        how, unit = "shrunk" if edge < self.size else "enlarged", "pixels" if self.dimensions == 2 else "voxels"
        return f"images {how} from {self.size} to {edge} {unit} an edge" if edge != self.size else ""

    @property
    def development_rows(self) -> int:
        """Number of samples of the development set: train and validation together."""
        return self.rows[0] + self.rows[1]


_SPLIT_BY_PATIENT = (
    "the official split is by patient and the file has no patient ids, so left and right gland of one "
    "patient may fall on two sides of any new split"
)

DATASETS: Registry[Dataset] = Registry("dataset")


def register_dataset(
    dataset: Dataset, *, test: Callable[[Path], Any] | str | None = None, replace: bool = False
) -> None:
    """Register a dataset, for `--dataset NAME` and `dataset = "NAME"` in a study file.

    Args:
        dataset: name, shapes, and the function that returns its development set: a mapping with train_images,
            train_labels, val_images and val_labels. Images are uint8, (N, H, W) or (N, D, H, W); labels (N, L), 0 or 1.
            train_groups and val_groups, (N,) integers or text, may say which samples belong together, such as those of
            one patient; the function for test arrays may return test_groups.
        test: the function that returns test_images and test_labels; called once, by `hpo finalize`, after the access
            to the test set has been logged. Both functions are called with the data folder, and may be given as
            "module:function".
        replace: whether to replace an existing dataset of that name.

    Raises:
        ValueError: if the name is taken or malformed, or one of the functions is missing.

    Example:
        >>> import numpy as np
        >>> import hpo
        >>> def noise(split, count):
        ...     random = np.random.default_rng(count)
        ...     images = random.integers(0, 256, (count, 8, 8), dtype=np.uint8)
        ...     return {f"{split}_images": images, f"{split}_labels": np.arange(count)[:, None] % 2}
        >>> form = {"dimensions": 2, "labels": 1, "size": 8, "rows": (60, 20, 30)}
        >>> hpo.register_dataset(
        ...     hpo.Dataset(name="noise", **form, development=lambda _: noise("train", 60) | noise("val", 20)),
        ...     test=lambda _: noise("test", 30),
        ... )
    """
    if (test is None) != (dataset.development is None):
        raise ValueError(f"dataset {dataset.name}: give functions for both development and test arrays, or neither")
    DATASETS.register(dataset.name, dataset, replace=replace)
    if test is not None:
        TEST_LOADERS.register(dataset.name, test, replace=replace)


def _register_medmnist(
    name: str,
    official_name: str,
    dimensions: Literal[2, 3],
    rows: tuple[int, int, int],
    md5: str,
    published_auc: float,
    *,
    labels: int = 1,
    is_mask: bool = False,
    caution: str = "",
) -> None:
    register_dataset(
        Dataset(
            name=name,
            official_name=official_name,
            dimensions=dimensions,
            labels=labels,
            rows=rows,
            md5=md5,
            published_auc=published_auc,
            is_mask=is_mask,
            caution=caution,
        )
    )


_register_medmnist("breast", "breastmnist", 2, (546, 78, 156), "750601b1f35ba3300ea97c75c52ff8f6", 0.901)
_register_medmnist("pneumonia", "pneumoniamnist", 2, (4708, 524, 624), "28209eda62fecd6e6a2d98b1501bb15f", 0.944)
_register_medmnist(
    "chest", "chestmnist", 2, (78468, 11219, 22433), "02c8a6516a18b556561a56cbdd36c4a8", 0.768, labels=14
)
_register_medmnist("nodule3d", "nodulemnist3d", 3, (1158, 165, 310), "8755a7e9e05a4d9ce80a24c3e7a256f3", 0.863)
_register_medmnist(
    "adrenal3d",
    "adrenalmnist3d",
    3,
    (1188, 98, 298),
    "bbd3c5a5576322bc4cdfea780653b1ce",
    0.827,
    is_mask=True,
    caution=_SPLIT_BY_PATIENT,
)
_register_medmnist(
    "vessel3d", "vesselmnist3d", 3, (1335, 191, 382), "b41fd4f7e7e2feedddb201585ecafa1b", 0.874, is_mask=True
)
_register_medmnist("synapse3d", "synapsemnist3d", 3, (1230, 177, 352), "1235b78a3cd6280881dd7850a78eadb6", 0.820)
register_dataset(
    Dataset(
        name="digits",
        dimensions=2,
        labels=1,
        rows=(1257, 180, 360),
        size=8,
        # Many a person's 0 is another one's at 8 x 8 pixels.
        near_duplicates=None,
        development="hpo.data.digits:development",
    ),
    test="hpo.data.digits:test",
)
register_dataset(
    Dataset(
        name="digits-hard",
        dimensions=2,
        labels=1,
        rows=(66, 33, 142),
        size=8,
        near_duplicates=None,
        development="hpo.data.digits:hard_development",
        caution="its test samples are also test samples of the dataset digits: the images there of an 8, 1, 3 or 9",
    ),
    test="hpo.data.digits:hard_test",
)


_LARGER: dict[str, dict[int, str]] = {
    "breast": {
        64: "742edef2a1fd1524b2efff4bd7ba9364",
        128: "363e4b3f8d712e9b5de15470a2aaadf1",
        224: "b56378a6eefa9fed602bb16d192d4c8b",
    },
    "pneumonia": {
        64: "8f4eceb4ccffa70c672198ea285246c6",
        128: "05b46931834c231683c68f40c47b2971",
        224: "d6a3c71de1b945ea11211b03746c1fe1",
    },
    "chest": {
        64: "9de6cd0b934ebb5b7426cfba5efbae16",
        128: "db107e5590b27930b62dbaf558aebee3",
        224: "45bd33e6f06c3e8cdb481c74a89152aa",
    },
    "nodule3d": {64: "c47c5b7d457bf6332200d2ea6d64ecd8"},
    "adrenal3d": {64: "17721accfe9fb005146a47d33bc54b2f"},
    "vessel3d": {64: "6bb274a8846e1097066dcd64e2c4520f"},
    "synapse3d": {64: "43bd14ebf3af9d3dd072446fedc14d5e"},
}
"""MD5 of MedMNIST's files of larger images, by dataset and edge: those of medmnist 3.0.2, which a test compares."""

AT = "@"
"""Joins the name of a MedMNIST dataset and another size of its images: `breast@64`."""


def own_dataset(own: OwnFile) -> Dataset:
    """Return the dataset of a user's own file."""
    return Dataset(
        name=own.identity,
        official_name=own.name,
        dimensions=own.dimensions,
        labels=own.labels,
        rows=own.rows,
        size=own.size,
        channels=own.channels,
        md5=own.md5,
        is_mask=own.is_mask,
        own=own,
    )


def find_dataset(name: str) -> Dataset:
    """Return the dataset of a short or official name, ignoring case, or of a file FILE.npz or FILE.npz:LABEL.

    MedMNIST's larger images are NAME@EDGE, such as breast@64, or have their official name, breastmnist_64.

    Raises:
        UsageError: with the closest legal name, or a file that is meant, if there is none.
        DataError: if the file is missing, or not of MedMNIST's form.
    """
    if split_source(name) is not None:
        read: Callable[[str], OwnFile] = resolve("hpo.data.own:read_own")
        return own_dataset(read(name))
    lowered = name.lower()
    if (found := _look_up(lowered)) is not None:
        return found
    refuse_what_is_something_else(name)
    _refuse_other_sizes(lowered)
    # This raises, too, and names the closest dataset.
    return DATASETS.find(lowered)


def _refuse_other_sizes(lowered: str) -> None:
    base, at, size = lowered.partition(AT)
    if at and base in _LARGER:
        sizes = ", ".join(f"{base}{AT}{edge}" for edge in _LARGER[base])
        raise UsageError(f"MedMNIST has no {base} with images of edge {brief(size)}; legal: {base}, {sizes}")


def is_dataset(name: str) -> bool:
    """Return whether `find_dataset` knows the name; any path of a file that ends in .npz counts as one."""
    return split_source(name) is not None or _look_up(name.lower()) is not None


def key_of_test_set(name: str) -> str:
    """Return what identifies the test set of a dataset, given its name as access logs have it."""
    return name.rpartition(":")[2].partition(AT)[0]


def _look_up(lowered: str) -> Dataset | None:
    if lowered in DATASETS:
        return DATASETS.find(lowered)
    found = next((dataset for dataset in DATASETS if dataset.official_name.lower() == lowered), None)
    return found or _larger(lowered)


def _larger(lowered: str) -> Dataset | None:
    """Return a MedMNIST dataset with larger images; None if it has none under this name."""
    for name, sizes in _LARGER.items():
        base = DATASETS.find(name)
        for edge, md5 in sizes.items():
            official = f"{base.official_name}_{edge}"
            if lowered in (f"{name}{AT}{edge}", official):
                # The published AUCs are those of 28 pixels.
                return replace(
                    base, name=f"{name}{AT}{edge}", official_name=official, size=edge, md5=md5, published_auc=None
                )
    return None
