"""Choose the configurations to measure: a typical one for throughput, the heaviest for memory."""

from __future__ import annotations

import math
from typing import Any

from hpo.study.baselines import baselines
from hpo.study.catalogue import Dataset
from hpo.study.co_training import other_datasets
from hpo.study.config import TrainConfig, applies
from hpo.study.space import Choices, Range
from hpo.study.spec import StudySpec

_GROWING = ("batch_size", "input_size")
_COSTLY = ("input_size", "tta")
_HEAVY: dict[str, tuple[str, ...]] = {
    "optimizer": ("adam", "adamw"),
    "weight_average": ("ema", "swa", "cycles"),
    "network": ("resnet18",),
    "precision": ("fp32",),
    "augmentation": ("full",),
}
"""Choices that take most memory; of one setting equally much, and more than its other choices."""


def typical(spec: StudySpec) -> TrainConfig:
    """Return the configuration with every searched number mid-range, and the first choice of other settings."""
    return spec.config({name: _middle(entry) for name, entry in spec.space.items()})


def timed(spec: StudySpec) -> TrainConfig:
    """Return the configuration whose epoch is timed: the first baseline, with what the study's own trials cost more by.

    Raises as `StudySpec.config`.
    """
    own = typical(spec)
    config = next(iter(baselines(spec).values()), None) or spec.config({})
    return config.model_copy(update={name: getattr(own, name) for name in _COSTLY})


def heaviest(spec: StudySpec) -> TrainConfig:
    """Return the largest batch and input of space, baselines and plan, with all other memory-hungry choices."""
    values = {name: _middle(entry) for name, entry in spec.space.items()}
    values |= {name: _largest(spec.space[name]) for name in (*_GROWING, "sam") if name in spec.space}
    for name, heavy in _HEAVY.items():
        entry = spec.space.get(name)
        if isinstance(entry, Choices):
            values[name] = next((choice for choice in heavy if choice in entry.choices), values[name])
    if isinstance(entry := spec.space.get("loss"), Choices):
        values["loss"] = max(map(str, entry.choices), key=_kept_by_loss)
    planned = [candidate.config for candidate in spec.plan.candidates] if spec.plan is not None else []
    others = [one.co_training for one in planned]
    if isinstance(entry := spec.space.get("co_training"), Choices):
        others += map(str, entry.choices)
    if others:
        values["co_training"] = max(others, key=lambda one: _samples(one, spec.data))
    config = spec.config(values)
    compared = [config, *baselines(spec).values(), *planned]
    largest = {name: max(getattr(other, name) for other in compared) for name in _GROWING}
    return config.model_copy(update=largest)


def _kept_by_loss(loss: str) -> int:
    """Return how many tensors of the size of the network training keeps for a loss."""
    # Reference weights and the sum of weights of epoch decay; a running mean of the weights after inner steps.
    return 2 * applies("epoch_decay", {"loss": loss}) + (loss == "compositional")


def _samples(co_training: str, target: Dataset) -> int:
    return sum(dataset.development_rows for dataset in other_datasets(co_training, target))


def _middle(entry: Range) -> Any:
    if isinstance(entry, Choices):
        numbers = [choice for choice in entry.choices if not isinstance(choice, (bool, str))]
        return sorted(numbers)[len(numbers) // 2] if len(numbers) == len(entry.choices) else entry.choices[0]
    middle = math.sqrt(entry.low * entry.high) if entry.log else (entry.low + entry.high) / 2
    return middle if entry.kind == "float" else round(middle)


def _largest(entry: Range) -> Any:
    return max(entry.choices) if isinstance(entry, Choices) else entry.high
