"""What is known of a trial before it starts: baselines, start points of a search, every trial of a plan."""

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
        repeat: from 0 in a confirmation, None in a search; of final networks, the number of the network.
        is_network: whether it is a final network.
    """

    name: str
    config: TrainConfig
    is_baseline: bool
    repeat: int | None = None
    is_network: bool = False

    @property
    def baseline(self) -> str | None:
        """Name of the baseline, None if it is not one."""
        return self.name if self.is_baseline else None


def planned_trial(spec: StudySpec, slot: int) -> PlannedTrial | None:
    """Return the planned trial of a slot of the budget, from 0; None if the sampler suggests its configuration."""
    if spec.plan is not None:
        number, repeat = spec.plan.at(slot)
        candidate, final = spec.plan.candidates[number], spec.plan.final
        return PlannedTrial(candidate.name, candidate.config, candidate.is_reference, repeat, final is not None)
    known = baselines(spec)
    if slot >= len(known):
        return None
    name = list(known)[slot]
    return PlannedTrial(name, known[name], is_baseline=True)


def epochs_at(spec: StudySpec, slot: int) -> int:
    """Return the number of epochs of an unpruned trial of a slot of the budget, from 0."""
    final = None if spec.plan is None else spec.plan.final
    return spec.budget.epochs if spec.plan is None or final is None else final.epochs[spec.plan.at(slot)[0]]


def start_at(spec: StudySpec, slot: int) -> Start | None:
    """Return the start point of a slot of the budget, from 0; those of a search follow its baselines."""
    if not spec.start or spec.plan is not None:
        return None
    place = slot - len(baselines(spec))
    return spec.start[place] if 0 <= place < len(spec.start) else None
