"""A training method: the changes of settings that turn it on and off, and to which recipes it applies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hpo.study.catalogue import Dataset
from hpo.study.choices import loss_family
from hpo.study.config import ConfigValues, SettingValue, TrainConfig
from hpo.study.meaning import meaning

DataKind = Literal["any", "2D", "3D", "masks"]


@dataclass(frozen=True)
class Method:
    """A training method.

    Attributes:
        name: a word or a few.
        on: settings that turn it on in a recipe that does not have it.
        off: settings that turn it off in a recipe that has it.
        about: what it does, a sentence.
        source: where it is from; "" if it is our own.
        families: loss families for which it is meant; empty for all whose losses use its settings.
        data: kind of data sets for which it is meant.
        needs_files: whether it needs files of other data sets, so that it is measured only if it is named.
        has_family: loss family each of whose losses counts as the method; "" if `on` says what counts.
        is_put_in: whether it is put into every recipe as it is, and taken out of none.
    """

    name: str
    on: ConfigValues
    off: ConfigValues
    about: str
    source: str = ""
    families: tuple[str, ...] = ()
    data: DataKind = "any"
    needs_files: bool = False
    has_family: str = ""
    is_put_in: bool = False

    def is_on(self, config: TrainConfig) -> bool:
        """Return whether a configuration has the method.

        It has if its choices are those of `on`: another decay of a moving average, or another learning rate of Lion,
        is the same method. One without choices has it if each number lies on that side of the number of `off`: a label
        smoothing of 0 is none, and 14 pixels are no method of larger images.
        """
        if self.is_put_in:
            return False
        if self.has_family:
            return loss_family(config.loss) == self.has_family
        values = {name: value for name, value in config.active().items() if name in self.on}
        choices = {name: value for name, value in values.items() if isinstance(value, (bool, str))}
        return all(self._has(name, value) for name, value in (choices or values).items())

    def _has(self, name: str, value: SettingValue) -> bool:
        on, off = self.on[name], self.off.get(name)
        if isinstance(on, (bool, str)) or isinstance(value, (bool, str)):
            return value == on
        return off is None or isinstance(off, str) or (value - off) * (on - off) > 0

    def switched(self, config: TrainConfig) -> TrainConfig:
        """Return a configuration with the method if it has not, and without it if it has."""
        return self.turned(config, on=not self.is_on(config))

    def turned(self, config: TrainConfig, *, on: bool) -> TrainConfig:
        """Return a configuration with the method or without it.

        Raises:
            ValidationError: if its settings are not legal.
        """
        return TrainConfig.model_validate({**config.model_dump(), **(self.on if on else self.off)})

    def is_meant_for(self, config: TrainConfig, dataset: Dataset) -> bool:
        """Return whether it makes a difference to a configuration on a data set."""
        kinds = {"any", f"{dataset.dimensions}D", *(["masks"] if dataset.is_mask else [])}
        if self.data not in kinds or (self.families and loss_family(config.loss) not in self.families):
            return False
        return meaning(self.switched(config), dataset) != meaning(config, dataset)
