"""Seeds that follow from the study's seed and a trial's number, or its repeat."""

from __future__ import annotations

import hashlib

from hpo.study.planned import PlannedTrial


def trial_seed(study_seed: int, number: int, purpose: str = "training") -> int:
    """A seed below 2**31 for one purpose of one trial; the same on every machine."""
    digest = hashlib.sha256(f"{purpose}:{study_seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def seeds_of(study_seed: int, number: int, planned: PlannedTrial | None) -> dict[str, int]:
    """The seeds of a trial, as its record holds them.

    trial_seed: of everything that is drawn. scoring_seed: of its division into folds, where that is not the study's.
    All trials of one repeat of a confirmation share both, so that their differences are paired.
    """
    if planned is None or planned.repeat is None:
        return {"trial_seed": trial_seed(study_seed, number)}
    return {
        "trial_seed": trial_seed(study_seed, planned.repeat, "repeat"),
        "scoring_seed": trial_seed(study_seed, planned.repeat, "folds of a repeat"),
    }
