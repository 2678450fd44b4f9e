"""Baselines: the configurations that a study must beat, trained as its trials 0 and 1."""

from __future__ import annotations

from typing import Any

from hpo.study.config import TrainConfig
from hpo.study.spec import StudySpec

CROSS_ENTROPY = "medmnist-cross-entropy"
LIBAUC = "libauc-as-it-comes"

_TITLES = {CROSS_ENTROPY: "MedMNIST recipe", LIBAUC: "LibAUC defaults"}

_SHARED_WITH_THE_STUDY = ("network", "input_size", "precision", "shape_multiplier")


def baselines(spec: StudySpec) -> dict[str, TrainConfig]:
    """Return the baseline configurations by name, in the order of their trials; none if the study disables them.

    - MedMNIST recipe (MedMNIST v2, Yang et al. 2023): Adam 1e-3, x0.1 at half and three quarters of the epochs, batch
      size 128 (2D) or 32 (3D), epoch chosen by validation AUC.
    - LibAUC defaults (LibAUC 2.0.1, its examples): AUCM v1, PESG 0.01, margin 1, epoch decay 0.003, weight decay 1e-4.
    """
    if not spec.search.references:
        return {}
    shared: dict[str, Any] = {
        "batch_size": 128 if spec.data.dimensions == 2 else 32,
        # Both pick the epoch on the official validation samples; if these validate the trial, on a share of the others.
        "resplit": "holdout" if spec.scoring.rows == "official" else "official",
        **{name: spec.fixed[name] for name in _SHARED_WITH_THE_STUDY if name in spec.fixed},
    }
    return {
        CROSS_ENTROPY: TrainConfig(
            loss="cross_entropy", optimizer="adam", learning_rate=1e-3, weight_decay=0.0, clip=0.0, **shared
        ),
        LIBAUC: TrainConfig(**shared),
    }


def shown_name(name: str) -> str:
    """Return the name of a baseline as people read it; any other name unchanged."""
    return _TITLES.get(name, name)
