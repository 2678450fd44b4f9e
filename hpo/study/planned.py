"""What is known of a trial before it starts: baselines, start points of a search, every trial of a confirmation."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.study.baselines import baselines
from hpo.study.config import TrainConfig
from hpo.study.spec import StudySpec
from hpo.study.starts import Start


@dataclass(frozen=True)
class PlannedTrial:
    """A trial whose configuration is planned, not sampled.

    Attributes:
        is_baseline: whether it is a baseline.
        repeat: from 0 in a confirmation, None in a search.
    """

    name: str
    config: TrainConfig
    is_baseline: bool
    repeat: int | None = None

    @property
    def baseline(self) -> str | None:
        """Name of the baseline, None if it is not one."""
        return self.name if self.is_baseline else None


def planned_trial(spec: StudySpec, slot: int) -> PlannedTrial | None:
    """Return the planned trial of a slot of the budget, from 0; None if the sampler suggests its configuration."""
    if spec.plan is not None:
        number, repeat = spec.plan.at(slot)
        candidate = spec.plan.candidates[number]
        return PlannedTrial(candidate.name, candidate.config, candidate.is_reference, repeat)
    known = baselines(spec)
    if slot >= len(known):
        return None
    name = list(known)[slot]
    return PlannedTrial(name, known[name], is_baseline=True)


def start_at(spec: StudySpec, slot: int) -> Start | None:
    """Return the start point of a slot of the budget, from 0; those of a search follow its baselines."""
    if not spec.start or spec.plan is not None:
        return None
    place = slot - len(baselines(spec))
    return spec.start[place] if 0 <= place < len(spec.start) else None
