"""What a configuration means on a data set: two that mean the same train the same networks."""

from __future__ import annotations

from hpo.study.catalogue import Dataset
from hpo.study.config import ConfigValues, TrainConfig


def meaning(config: TrainConfig, dataset: Dataset) -> ConfigValues:
    """Return the settings of a configuration that have an effect, resolved for the dataset."""
    values = config.active()
    values["input_size"] = dataset.edge(config.input_size)
    if not dataset.is_mask:
        del values["shape_multiplier"]
    return values
