"""Training methods: the changes of settings that turn each one on and off, for `hpo methods`.

A method is one entry of `METHODS`. Everything else is generic: to which recipes it applies follows from the conditions
of the settings, and its entry in docs/methods.md is made from it (`hpo methods --markdown`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hpo.errors import UsageError, did_you_mean
from hpo.study.catalogue import Dataset
from hpo.study.choices import AUCM, loss_family
from hpo.study.config import ConfigValues, SettingValue, TrainConfig
from hpo.study.meaning import meaning
from hpo.text import setting

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
    """

    name: str
    on: ConfigValues
    off: ConfigValues
    about: str
    source: str = ""
    families: tuple[str, ...] = ()
    data: DataKind = "any"

    def is_on(self, config: TrainConfig) -> bool:
        """Return whether a configuration has the method.

        It has if its choices are those of `on`, and no number that `off` names is at its value there: another decay of
        a moving average is the same method, a decay of 0 is none.
        """
        values = config.active()
        return all(
            values[name] != self.off.get(name) if _is_amount(value) else values[name] == value
            for name, value in self.on.items()
            if name in values
        )

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


def find_methods(names: Iterable[str]) -> tuple[Method, ...]:
    """Return the methods of these names, in the order of `METHODS`; all of them for none.

    Raises:
        UsageError: for a name that there is not.
    """
    known = {method.name: method for method in METHODS}
    asked = tuple(names)
    for name in asked:
        if name not in known:
            raise UsageError(f"unknown method {name!r}{did_you_mean(name, known)}; `hpo methods` lists them all")
    return tuple(method for method in METHODS if method.name in asked or not asked)


def markdown_of(methods: Iterable[Method]) -> str:
    """Return a Markdown table of methods, as in docs/methods.md."""
    lines = ["| method | on | off | what it does | source |", "|---|---|---|---|---|"]
    for one in methods:
        about = one.about + (f" For {one.data} data sets." if one.data != "any" else "")
        cells = (one.name, _shown(one.on), _shown(one.off), about, one.source or "our own")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _shown(values: ConfigValues) -> str:
    return ", ".join(f"`{name} = {setting(value)}`" for name, value in values.items())


def _is_amount(value: SettingValue) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _augmentation(policy: str, about: str, source: str = "") -> Method:
    on: ConfigValues = {"augmentation": policy, "augmentation_strength": 0.5}
    return Method(policy, on, {"augmentation": "none"}, about, source)


_SGD: ConfigValues = {"optimizer": "sgd", "learning_rate": 0.03, "momentum": 0.9}

METHODS: tuple[Method, ...] = (
    # The loss and what belongs to it.
    Method(
        "running class means",
        {"class_means": "running"},
        {"class_means": "learned"},
        "Class means of scores are running means instead of parameters that PESG learns at the learning rate.",
    ),
    Method(
        "AUCM without prior",
        {"loss": "aucm_v2"},
        {"loss": "aucm_v1"},
        "The corrected AUCM loss, in place of the one that weighs by the share of positives in the batch.",
        "Yuan et al. 2021, arXiv 2012.03173; LibAUC",
        families=(AUCM,),
    ),
    Method(
        "cross-entropy warm start",
        {"cross_entropy_share": 0.3},
        {"cross_entropy_share": 0.0},
        "The first epochs train with cross-entropy, then AUCM takes over.",
        "Yuan et al. 2021, arXiv 2012.03173, section 5",
    ),
    Method(
        "epoch decay",
        {"epoch_decay": 0.003},
        {"epoch_decay": 0.0},
        "Weights are pulled towards reference weights, which are updated twice.",
        "Yuan et al. 2021, arXiv 2012.03173, algorithm 1",
    ),
    Method(
        "initial reference weights",
        {"reference_weights": "initial"},
        {"reference_weights": "noise"},
        "The pull is towards the initial weights until the first update, not towards noise near 0 as in LibAUC.",
    ),
    # Optimization.
    Method(
        "adam",
        {"optimizer": "adam", "learning_rate": 3e-4},
        _SGD,
        "PESG in Adam's mode; without it SGD with momentum .9 at a rate of .03, which is usual and not tuned here.",
        "Kingma and Ba 2015, arXiv 1412.6980",
    ),
    Method(
        "step decay",
        {"schedule": "step"},
        {"schedule": "constant"},
        "The learning rate falls to a tenth at half and at three quarters of the epochs.",
        "He et al. 2016, arXiv 1512.03385",
    ),
    Method(
        "cosine",
        {"schedule": "cosine"},
        {"schedule": "constant"},
        "The learning rate follows half a cosine to 0.",
        "Loshchilov and Hutter 2017, arXiv 1608.03983",
    ),
    Method(
        "weight decay",
        {"weight_decay": 1e-3},
        {"weight_decay": 0.0},
        "L2 penalty on all weights.",
        "Krogh and Hertz 1991",
    ),
    Method(
        "clipping",
        {"clip": 1.0},
        {"clip": 0.0},
        "Each element of a gradient is bounded by 1.",
        "Pascanu et al. 2013, arXiv 1211.5063",
    ),
    Method(
        "ema",
        {"weight_average": "ema", "ema_decay": 0.99},
        {"weight_average": "none"},
        "The network that is scored has an exponential moving average of the weights.",
        "Polyak and Juditsky 1992",
    ),
    Method(
        "swa",
        {"weight_average": "swa", "swa_start": 0.5},
        {"weight_average": "none"},
        "The network that is scored has the mean weights of the last epochs.",
        "Izmailov et al. 2018, arXiv 1803.05407",
    ),
    # Batches and samples.
    Method(
        "fixed share",
        {"batching": "fixed_share", "positive_share": 0.5},
        {"batching": "random"},
        "Half of each batch is positive, whatever the share in the data.",
        "LibAUC's DualSampler, Yuan et al. 2023, arXiv 2306.03065",
    ),
    Method(
        "holdout selection",
        {"resplit": "holdout", "resplit_share": 0.15},
        {"resplit": "none"},
        "A stratified share of the training part picks the epoch, instead of the last epoch being taken.",
    ),
    Method(
        "balanced selection",
        {"resplit": "balanced", "resplit_share": 0.15},
        {"resplit": "none"},
        "A share of the training part with as many positives as negatives picks the epoch.",
    ),
    Method(
        "official selection",
        {"resplit": "official"},
        {"resplit": "none"},
        "MedMNIST's own validation samples, where they are in the training part, pick the epoch.",
        "Yang et al. 2023, arXiv 2110.14795",
    ),
    # Augmentation, each at half of its strength.
    _augmentation("flip", "Mirror images."),
    _augmentation("shift", "Shifts by up to a tenth of the edge."),
    _augmentation("rigid", "Mirror images, rotations and shifts, which keep the sizes of shapes."),
    _augmentation("affine", "Rotations, shifts, scales and shears."),
    _augmentation("crop", "Crops, scaled to the whole image."),
    _augmentation("geometric", "Everything that moves pixels: mirror images, affine maps and crops."),
    _augmentation("noise", "Gaussian noise."),
    _augmentation("intensity", "Gamma, contrast and brightness."),
    _augmentation("cutout", "A part of the image hidden.", "DeVries and Taylor 2017, arXiv 1708.04552"),
    _augmentation("full", "All of these together."),
    _augmentation("mixup", "Mixtures of two images and their labels.", "Zhang et al. 2018, arXiv 1710.09412"),
    Method(
        "shape multiplier",
        {"shape_multiplier": True},
        {"shape_multiplier": False},
        "Masks are multiplied by a number between 0 and 1 in training and by 0.5 in validation.",
        "MedMNIST's recipe for 3D, Yang et al. 2023, arXiv 2110.14795",
        data="masks",
    ),
    # Cost.
    Method(
        "14 pixels",
        {"input_size": 14},
        {"input_size": 28},
        "Images of half the edge length, by area averaging: a quarter of the work in 2D, an eighth in 3D.",
    ),
)
"""Every method that `hpo methods` measures. A new one is one entry here."""
