"""Published test AUCs for the MedMNIST tasks, for comparison with ours."""

from __future__ import annotations

from dataclasses import dataclass

PUBLISHED_NETWORK = "resnet18"
"""The setting `network` of the networks whose published AUCs results are compared with."""

_MEDMNIST = "Yang et al. 2023, Sci. Data 10:41, tables 3 and 4"
_ORDER = ("breast", "pneumonia", "chest", "nodule3d", "adrenal3d", "vessel3d", "synapse3d")
_TABLE: tuple[tuple[str, tuple[float | None, ...]], ...] = (
    ("ResNet-18 (28) / ResNet-18 + 3D", (0.901, 0.944, 0.768, 0.863, 0.827, 0.874, 0.820)),
    ("ResNet-50 (28) / ResNet-50 + 3D", (0.857, 0.948, 0.769, 0.875, 0.828, 0.907, 0.851)),
    ("ResNet-18 + ACS", (None, None, None, 0.873, 0.839, 0.930, 0.705)),
    ("ResNet-18 (224)", (0.891, 0.956, 0.773, None, None, None, None)),
    ("auto-sklearn", (0.836, 0.942, 0.649, 0.914, 0.828, 0.910, 0.631)),
    ("Google AutoML Vision", (0.919, 0.991, 0.778, None, None, None, None)),
)


@dataclass(frozen=True)
class Published:
    """The test AUC of a method as published: a mean over at least three runs, without spread."""

    method: str
    auc: float
    source: str = _MEDMNIST


def published(dataset: str) -> tuple[Published, ...]:
    """Return the published test AUCs of a dataset, hpo's network first; none for digits and plug-ins' datasets."""
    if dataset not in _ORDER:
        return ()
    column = _ORDER.index(dataset)
    return tuple(Published(method, value) for method, row in _TABLE if (value := row[column]) is not None)
