"""Baselines: the configurations that a study must beat, trained as its trials 0 and 1."""

from __future__ import annotations

from typing import Any

from hpo.study.config import TrainConfig
from hpo.study.spec import StudySpec

CROSS_ENTROPY = "medmnist-cross-entropy"
LIBAUC = "libauc-as-it-comes"

OWN_EPOCHS = {CROSS_ENTROPY: 100, LIBAUC: 100}
"""Number of epochs that the authors of a baseline train it for."""

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
        # Both pick the epoch on the official validation samples; if these validate the trial, or there are none, on a
        # share of the others.
        "resplit": "holdout" if spec.scoring.rows == "official" or not spec.data.has_validation else "official",
        **{name: spec.fixed[name] for name in _SHARED_WITH_THE_STUDY if name in spec.fixed},
    }
    return {
        CROSS_ENTROPY: TrainConfig(
            loss="cross_entropy", optimizer="adam", learning_rate=1e-3, weight_decay=0.0, clip=0.0, **shared
        ),
        LIBAUC: TrainConfig(**shared),
    }


def cut_short(name: str, epochs: int | None) -> str:
    """Return `at 20 of its 100 epochs` for a baseline that is trained for fewer epochs than its authors do, else ""."""
    own = OWN_EPOCHS.get(name, 0)
    return f"at {epochs} of its {own} epochs" if epochs is not None and epochs < own else ""


def shown_name(name: str, epochs: int | None = None) -> str:
    """Return the name of a baseline as people read it; any other name unchanged.

    Args:
        epochs: that it was trained for; a baseline that was cut short says so.
    """
    short = cut_short(name, epochs)
    return _TITLES.get(name, name) + (f" ({short})" if short else "")
