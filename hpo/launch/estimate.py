"""Estimate the duration of a study on this machine from a measured step."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.search.strategy.pruner import make_pruner
from hpo.study.baselines import baselines
from hpo.study.choices import loss_family
from hpo.study.space import Choices, IntRange
from hpo.study.spec import StudySpec
from hpo.study.stages import trained
from hpo.text import duration

MOST_TRIALS = 1_000_000
"""Largest number of trials of a study."""

_LITTLE_SECONDS = 30.0

LONG_HOURS = 24.0
"""A study estimated to take longer triggers advice before it starts."""


@dataclass(frozen=True)
class Estimate:
    """Predicted cost of a study.

    Attributes:
        epoch_seconds: of one epoch over all folds in one worker.
        trials: those still to do.
        parallel: trials at the same time: GPUs, or workers on a CPU; workers sharing a GPU are assumed to add no
            throughput, a conservative estimate.
        start_seconds: until a process has begun to work, once, since workers begin together.
    """

    epoch_seconds: float
    trials: int
    epochs: int
    trained_share: float
    parallel: int
    start_seconds: float = 0.0

    @property
    def trial_hours(self) -> float:
        """Return the hours of one unpruned trial."""
        return self.epoch_seconds * self.epochs / 3600

    @property
    def hours(self) -> float:
        """Return the hours of the remaining trials, with the study's pruning and the start of workers."""
        if not self.trials:
            return 0.0
        rounds = self.trials / max(1, min(self.parallel, self.trials))
        return self.trial_hours * self.trained_share * rounds + self.start_seconds / 3600

    @property
    def whole(self) -> str:
        """Return `hours` for people; rounded up if short, since a trial takes some time besides its steps."""
        seconds = self.hours * 3600
        return "under a minute" if seconds < _LITTLE_SECONDS else duration(seconds)

    def trials_within(self, hours: float) -> int:
        """Return how many trials end within some hours, with the study's pruning; `trials` does not matter."""
        each = self.trial_hours * self.trained_share
        return int(hours * max(1, self.parallel) / each) if each > 0 else MOST_TRIALS


def least_trials(spec: StudySpec) -> int:
    """Return the number of trials that a time is turned into at least: one is searched after the start points."""
    return len(baselines(spec)) + len(spec.start) + 1


def confirmation_trials(spec: StudySpec) -> int:
    """Return the most trials, none of them pruned, of the confirmation that a search's study file asks for."""
    losses = spec.space.get("loss")
    searched = losses.choices if isinstance(losses, Choices) else (spec.config({}).loss,)
    other_families = len({loss_family(str(loss)) for loss in searched}) - 1
    candidates = spec.confirm.top + other_families * spec.confirm.per_family + len(baselines(spec))
    return candidates * spec.confirm.seeds


def mean_epochs(spec: StudySpec) -> int:
    """Return the epochs of an unpruned trial; of final networks, whose configurations differ in this, the mean."""
    final = None if spec.plan is None else spec.plan.final
    return spec.budget.epochs if final is None else max(1, round(sum(final.epochs) / len(final.epochs)))


def side_by_side(folds: int, threads: list[int]) -> float:
    """Return how many times as fast workers train `folds` folds as one by one, on average.

    threads: of each worker; a fold has one, and the last round of folds may leave some idle. Whether memory bears so
    many folds at a time is not asked.
    """
    return sum(folds / -(-folds // min(each, folds)) for each in threads) / len(threads)


def longest_step(spec: StudySpec, epoch_seconds: float, samples: int) -> float:
    """Return the seconds of a step of all folds with the largest batch of the search space, as a share of an epoch."""
    searched = spec.space.get("batch_size")
    largest = spec.config({}).batch_size
    if isinstance(searched, Choices):
        largest = max(int(size) for size in searched.choices)
    elif isinstance(searched, IntRange):
        largest = searched.high
    return epoch_seconds * min(1.0, largest / max(1, samples))


def trained_share(spec: StudySpec) -> float:
    """Return the share of all folds and epochs that is trained, if each rung promotes what the pruner aims at."""
    pruner = make_pruner(spec)
    stages = pruner.stages()
    total, before, passing = 0.0, 0, 1.0
    for stage in stages:
        total += (trained(stages, stage) - before) * passing
        before, passing = trained(stages, stage), passing * pruner.expected_share(stage)
    return total / stages[-1].cost


def advice(spec: StudySpec, on_gpu: bool) -> list[str]:
    """Return suggestions to make a study faster, most effective first."""
    lines = []
    if not on_gpu:
        lines.append("attach workers on a GPU machine: hpo worker STUDY with the same --storage")
    if spec.plan is not None:
        fewer = "fewer candidates: --top" if spec.plan.final is None else "fewer networks: --networks"
        return [*lines, "name fewer methods" if spec.plan.is_of_methods else fewer]
    if not on_gpu and "network" not in spec.space and spec.config({}).network == "resnet18":
        lines.append(
            "a network with a quarter of the channels, many times as fast on a CPU, for a first look: "
            "--set fixed.network=resnet18_narrow"
        )
    fixed = int(spec.fixed.get("input_size", 28))
    if spec.data.edge(fixed) > 14 and fixed >= 28:
        saving = round((spec.data.edge(fixed) / 14) ** spec.data.dimensions)
        lines.append(
            f"a smaller input, up to {saving} times cheaper, which may change the ranking of configurations: "
            "--set fixed.input_size=14"
        )
    lines.append(f"fewer epochs: --set budget.epochs={max(1, spec.budget.epochs // 4)}")
    if spec.scoring.fold_count > 1:
        lines.append("one split instead of folds, noisier: --set scoring.rows=holdout")
    return lines
