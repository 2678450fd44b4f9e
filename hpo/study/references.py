"""The configurations that a study must beat; they are its trials 0 and 1."""

from __future__ import annotations

from typing import Any

from hpo.study.config import TrainConfig
from hpo.study.spec import StudySpec

CROSS_ENTROPY = "medmnist-cross-entropy"
LIBAUC = "libauc-as-it-comes"

_SHARED_WITH_THE_STUDY = ("network", "input_size", "precision", "shape_multiplier")


def references(spec: StudySpec) -> dict[str, TrainConfig]:
    """Reference configurations by name, in the order of their trials; none if the study wants none.

    Recipes: MedMNIST v2 (Yang et al. 2023): Adam 1e-3, x0.1 at half and three quarters, batch 128 (2D) or 32 (3D),
    epoch by validation AUC. LibAUC 2.0.1 as its examples call it: AUCM v1, PESG 0.01, margin 1, epoch decay 0.003,
    weight decay 1e-4. Both choose the epoch on official validation rows, or on a share where those are scored on.
    """
    if not spec.search.references:
        return {}
    shared: dict[str, Any] = {
        "batch_size": 128 if spec.data.dimensions == 2 else 32,
        "resplit": "holdout" if spec.scoring.rows == "official" else "official",
        **{name: spec.fixed[name] for name in _SHARED_WITH_THE_STUDY if name in spec.fixed},
    }
    return {
        CROSS_ENTROPY: TrainConfig(
            loss="cross_entropy", optimizer="adam", learning_rate=1e-3, weight_decay=0.0, clip=0.0, **shared
        ),
        LIBAUC: TrainConfig(**shared),
    }
