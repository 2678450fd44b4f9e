"""Seeds that follow from the study's seed and a trial's number."""

from __future__ import annotations

import hashlib


def trial_seed(study_seed: int, number: int, purpose: str = "training") -> int:
    """A seed below 2**31 for one purpose of one trial; the same on every machine."""
    digest = hashlib.sha256(f"{purpose}:{study_seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
