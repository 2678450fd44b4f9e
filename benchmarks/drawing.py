"""Configurations drawn at random from the search space of a study."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpo.study.config import TrainConfig, applies
from hpo.study.space import Choices, IntRange, suggestion_order
from hpo.study.spec import StudySpec


def draw(spec: StudySpec, random: np.random.Generator) -> TrainConfig:
    """A configuration of the study's space, each setting uniform, or log-uniform where the study says so."""
    values: dict[str, Any] = {}
    for name in suggestion_order(spec.space):
        entry = spec.space[name]
        if not applies(name, {**spec.fixed, **values}):
            continue
        if isinstance(entry, Choices):
            values[name] = entry.choices[int(random.integers(len(entry.choices)))]
            continue
        share = random.random()
        value = entry.low + share * (entry.high - entry.low)
        if entry.log:
            value = entry.low * (entry.high / entry.low) ** share
        values[name] = round(value) if isinstance(entry, IntRange) else value
    return spec.config(values)
