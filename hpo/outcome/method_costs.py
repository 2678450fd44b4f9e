"""What a method costs: time and memory of trials with it over those of the same trials without it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hpo.search.queries.trials import read_records, read_trials
from hpo.search.study import Study
from hpo.study.plan import Plan


@dataclass(frozen=True)
class TrialCost:
    """What one trial cost, and how well it ranked its training set at its end; None if unknown.

    Attributes:
        seconds: wall time over all attempts.
        peak_memory: in bytes.
        device: name of the device and commit of the code: costs compare only where both are the same.
    """

    seconds: float | None = None
    peak_memory: int | None = None
    training_auc: float | None = None
    device: str = ""


Costs = Mapping[tuple[int, int], TrialCost]
"""Maps (candidate, repeat), both from 0, to the cost of its trial."""


@dataclass(frozen=True)
class CostRatio:
    """Trials with a method relative to those without it, paired by repeat; None if unknown.

    Attributes:
        time, memory: seconds and peak memory with it over those without it, median over repeats.
        training: training AUC at the end with it minus that without it, mean over repeats.
    """

    time: float | None = None
    memory: float | None = None
    training: float | None = None


def read_costs(study: Study, plan: Plan) -> Costs:
    """Read the cost of every complete trial of a plan."""
    numbers = {candidate.name: number for number, candidate in enumerate(plan.candidates)}
    records = read_records(study)
    costs = {}
    for row in read_trials(study):
        if row.state == "complete" and row.candidate is not None and row.repeat is not None:
            of = records[row.number].provenance if row.number in records else None
            where = "" if of is None else f"{of.environment.get('device name', '')} {of.code_version}"
            cost = TrialCost(row.seconds, row.peak_memory, row.training_auc, where)
            costs[numbers[row.candidate], row.repeat - 1] = cost
    return costs


def compare_costs(costs: Costs, first: int, second: int, repeats: Iterable[int]) -> CostRatio:
    """Compare the costs of two candidates over repeats, first relative to second."""
    pairs = [
        (costs[first, repeat], costs[second, repeat])
        for repeat in repeats
        if (first, repeat) in costs and (second, repeat) in costs
    ]
    alike = [(one, other) for one, other in pairs if one.device == other.device]
    training = [
        one.training_auc - other.training_auc
        for one, other in pairs
        if one.training_auc is not None and other.training_auc is not None
    ]
    return CostRatio(
        time=_median_ratio((one.seconds, other.seconds) for one, other in alike),
        memory=_median_ratio((one.peak_memory, other.peak_memory) for one, other in alike),
        training=statistics.mean(training) if training else None,
    )


def _median_ratio(pairs: Iterable[tuple[float | None, float | None]]) -> float | None:
    ratios = [one / other for one, other in pairs if one and other]
    return statistics.median(ratios) if ratios else None
