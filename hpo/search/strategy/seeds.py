"""Derive the seeds of a trial from the study's seed and the trial number, or the repeat."""

from __future__ import annotations

import hashlib

from hpo.study.planned import PlannedTrial
from hpo.study.record import Seeds


def trial_seed(study_seed: int, number: int, purpose: str = "training") -> int:
    """Derive a seed below 2**31 for one purpose of one trial; it is the same on every machine."""
    digest = hashlib.sha256(f"{purpose}:{study_seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def network_seed(study_seed: int, number: int) -> int:
    """Derive the seed of final network `number`, from 0; every configuration has the same ones."""
    return trial_seed(study_seed, number, "final")


def seeds_of(study_seed: int, number: int, planned: PlannedTrial | None) -> Seeds:
    """Derive the seeds of a trial; trials of one repeat of a confirmation share them, for paired differences."""
    if planned is None or planned.repeat is None:
        return Seeds(study_seed=study_seed, trial_seed=trial_seed(study_seed, number))
    if planned.is_network:
        return Seeds(study_seed=study_seed, trial_seed=network_seed(study_seed, planned.repeat))
    return Seeds(
        study_seed=study_seed,
        trial_seed=trial_seed(study_seed, planned.repeat, "repeat"),
        scoring_seed=trial_seed(study_seed, planned.repeat, "folds of a repeat"),
    )
