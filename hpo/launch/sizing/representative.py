"""The configurations of a study that are rehearsed: one of middling cost for the rate, the costliest for the memory."""

from __future__ import annotations

import math
from typing import Any

from hpo.study.config import TrainConfig
from hpo.study.references import references
from hpo.study.space import Choices, Range
from hpo.study.spec import StudySpec

_GROWING = ("batch_size", "input_size")
_HEAVY = {"optimizer": "adam", "weight_average": "ema", "precision": "fp32", "augmentation": "full"}


def typical(spec: StudySpec) -> TrainConfig:
    """Every searched number in the middle of its range or of its choices; of other settings the first choice."""
    return spec.config({name: _middle(entry) for name, entry in spec.space.items()})


def heaviest(spec: StudySpec) -> TrainConfig:
    """The largest batch and input of the space and the references, with what else of the space takes memory."""
    values = {name: _middle(entry) for name, entry in spec.space.items()}
    values |= {name: _largest(spec.space[name]) for name in _GROWING if name in spec.space}
    for name, wanted in _HEAVY.items():
        entry = spec.space.get(name)
        if isinstance(entry, Choices) and wanted in entry.choices:
            values[name] = wanted
    config = spec.config(values)
    compared = [config, *references(spec).values()]
    largest = {name: max(getattr(other, name) for other in compared) for name in _GROWING}
    return config.model_copy(update=largest)


def _middle(entry: Range) -> Any:
    if isinstance(entry, Choices):
        numbers = [choice for choice in entry.choices if not isinstance(choice, (bool, str))]
        return sorted(numbers)[len(numbers) // 2] if len(numbers) == len(entry.choices) else entry.choices[0]
    middle = math.sqrt(entry.low * entry.high) if entry.log else (entry.low + entry.high) / 2
    return middle if entry.kind == "float" else round(middle)


def _largest(entry: Range) -> Any:
    return max(entry.choices) if isinstance(entry, Choices) else entry.high
