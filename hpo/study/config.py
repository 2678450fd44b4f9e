"""`TrainConfig`: every setting of one training run, with its domain, unit and source.

A new setting is one field here, one line in `hpo.training` that reads it, and an entry in a study file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, model_validator

from hpo.registry import Registry, Using
from hpo.study.choices import AUGMENTATIONS, LOSSES, NETWORKS


@dataclass(frozen=True)
class Domain:
    """Where a setting may lie, its unit, and the other settings under which it has an effect.

    Attributes:
        choices: where its legal values are registered, if it is a choice that plug-ins may add to.
        is_later: whether there were studies and results before it, see `TrainConfig.identity`.
        when: (setting, legal values of it); all must hold, else the setting is left at its default.
        used_by: settings with registered choices, each of which says itself whether it uses this setting; as in `when`.
    """

    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: Registry[Any] | None = None
    when: tuple[tuple[str, tuple[object, ...]], ...] = ()
    used_by: tuple[str, ...] = ()
    is_later: bool = False


SettingValue = bool | int | float | str
"""A value of a setting, as study files and the database hold it."""

ConfigValues = dict[str, SettingValue]
"""Values of settings by name: a configuration, or a part of one, that is not validated yet."""

ClassMeans = Literal["learned", "running"]
Resplit = Literal["none", "holdout", "official", "balanced"]


class TrainConfig(BaseModel):
    """One configuration; the defaults are LibAUC as it comes (AUCM v1, PESG) on LibAUC's own settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    network: Annotated[str, Domain(choices=NETWORKS, is_later=True)] = "resnet18"
    """Network that is trained from scratch: MedMNIST's ResNet-18, made 3D for volumes."""

    loss: Annotated[str, Domain(choices=LOSSES)] = "aucm_v1"
    """Loss after any cross-entropy epochs: AUCM with batch prior (v1), AUCM without prior, corrected (v2), or
    cross-entropy. Yuan et al. 2021, arXiv 2012.03173."""

    margin: Annotated[float, Domain(0.0, 1.0, "score", used_by=("loss",))] = 1.0
    """Gap asked for between the mean scores of positives and negatives: m in Yuan et al. 2021."""

    class_means: Annotated[ClassMeans, Domain(used_by=("loss",))] = "learned"
    """How a and b, the class means of scores, and alpha follow the network: learned by PESG as LibAUC does, from 0 and
    at the learning rate; or running means, with alpha at its optimum for them, m + b - a."""

    cross_entropy_share: Annotated[float, Domain(0.0, 0.9, "share of epochs", used_by=("loss",))] = 0.0
    """Share of the epochs trained with cross-entropy before AUCM takes over. Yuan et al. 2021, section 5."""

    optimizer: Annotated[Literal["sgd", "adam"], Domain()] = "sgd"
    """Mode of PESG. With cross-entropy, no clip and no decay it is plain SGD or Adam."""

    learning_rate: Annotated[float, Domain(1e-6, 1.0)] = 0.01
    """Step size of PESG, for the weights and for a, b, alpha."""

    momentum: Annotated[float, Domain(0.0, 0.99, when=(("optimizer", ("sgd",)),))] = 0.1
    """Share of the gradient average kept at each step, the usual meaning; LibAUC's `momentum` is 1 - this."""

    epoch_decay: Annotated[float, Domain(0.0, 0.2, used_by=("loss",))] = 0.003
    """Pull towards the reference weights: lambda_0 of PESG. Yuan et al. 2021, algorithm 1."""

    reference_weights: Annotated[Literal["noise", "initial"], Domain(used_by=("loss",))] = "noise"
    """Reference weights until the regularizer is first updated: LibAUC's N(0, 0.01) noise, or the initial weights."""

    weight_decay: Annotated[float, Domain(0.0, 0.1)] = 1e-4
    """L2 penalty on all weights, norms and biases included, as PESG applies it."""

    clip: Annotated[float, Domain(0.0, 1000.0, "gradient")] = 1.0
    """Elementwise bound on gradients, LibAUC's `clip_value`; 0 is off."""

    schedule: Annotated[Literal["constant", "step", "cosine"], Domain()] = "step"
    """Decay of the learning rate: none, x0.1 at half and three quarters of the epochs, or half a cosine. With
    `step` the regularizer's reference is updated at the same points, with the others at half and three quarters."""

    batch_size: Annotated[int, Domain(4, 1024, "rows")] = 128
    """Rows in a batch."""

    batching: Annotated[Literal["random", "fixed_share"], Domain()] = "random"
    """Batches drawn at random without replacement, or with a fixed share of positives in each."""

    positive_share: Annotated[float, Domain(0.05, 0.95, "share", when=(("batching", ("fixed_share",)),))] = 0.5
    """Share of positives in each batch (DualSampler's `sampling_rate`)."""

    augmentation: Annotated[str, Domain(choices=AUGMENTATIONS)] = "none"
    """Named policy of augmentations, applied to each training batch on the device; rigid, flip and shift keep sizes."""

    augmentation_strength: Annotated[float, Domain(0.0, 1.0, used_by=("augmentation",))] = 0.5
    """Strength of the policy: 0 changes nothing, 1 is the largest change, which may hide the label."""

    shape_multiplier: Annotated[bool, Domain()] = True
    """Mask datasets only: images times U[0, 1] in training and times 0.5 at scoring, as MedMNIST's recipe does."""

    weight_average: Annotated[Literal["none", "ema", "swa"], Domain()] = "none"
    """Weights that are scored: the last, their exponential moving average, or their mean over the last epochs."""

    ema_decay: Annotated[float, Domain(0.5, 0.9999, "1 per step", when=(("weight_average", ("ema",)),))] = 0.99
    """Share of the moving average kept at each step."""

    swa_start: Annotated[float, Domain(0.0, 0.95, "share of epochs", when=(("weight_average", ("swa",)),))] = 0.5
    """Share of the epochs after which the mean of weights begins. Izmailov et al. 2018, arXiv 1803.05407."""

    resplit: Annotated[Resplit, Domain()] = "none"
    """How the fit rows are divided into training rows and selection rows: all train; a stratified share selects the
    epoch; their official roles; selection rows with another share of positives."""

    resplit_share: Annotated[
        float, Domain(0.05, 0.5, "share of fit rows", when=(("resplit", ("holdout", "balanced")),))
    ] = 0.15
    """Share of the fit rows that selects the epoch."""

    input_size: Annotated[int, Domain(4, 28, "pixels or voxels")] = 28
    """Edge to which images are resized by area averaging; the dataset's own size if that is smaller."""

    precision: Annotated[Literal["auto", "bf16", "fp32"], Domain()] = "auto"
    """bf16 autocast or fp32; auto takes bf16 where the device computes in it."""

    @model_validator(mode="after")
    def _inside_domains(self) -> TrainConfig:
        problems = [problem for name, value in self.model_dump().items() if (problem := problem_of(name, value))]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def active(self) -> ConfigValues:
        """The settings that mean something here: those whose conditions hold."""
        values = self.model_dump()
        return {name: value for name, value in values.items() if applies(name, values)}

    def identity(self) -> dict[str, Any]:
        """Its settings, without those that came later and have their default.

        So a configuration that was stored before such a setting is the same as one from after it, wherever settings
        are hashed: fingerprints of studies, final networks, checkpoints.
        """
        known = settings()
        return {
            name: value
            for name, value in self.model_dump().items()
            if not (known[name].domain.is_later and value == known[name].default)
        }

    def has_effect(self, name: str) -> bool:
        """Whether the conditions of a setting hold."""
        return applies(name, self.model_dump())


@dataclass(frozen=True)
class Setting:
    """What is known of one field of TrainConfig.

    Attributes:
        kind: float, int, bool or str.
        literal: legal values of a choice that plug-ins cannot add to.
    """

    name: str
    kind: type[Any]
    domain: Domain
    default: Any
    literal: tuple[Any, ...] | None
    description: str

    @property
    def choices(self) -> tuple[Any, ...] | None:
        """Legal values of a choice, those of plug-ins too; None if it is a number."""
        return self.literal if self.domain.choices is None else self.domain.choices.names()

    @property
    def when(self) -> tuple[tuple[str, tuple[object, ...] | Using], ...]:
        """Under which values of which other settings it has an effect; all must hold."""
        registries = ((other, settings()[other].domain.choices) for other in self.domain.used_by)
        registered = ((other, known.using(self.name)) for other, known in registries if known is not None)
        return (*self.domain.when, *registered)

    def is_choice(self, value: object) -> bool:
        """Whether a choice may have this value; plug-ins are loaded only if it is not known without them."""
        if type(value) is not self.kind:
            return False
        return value in (self.domain.choices or self.literal or ())


@cache
def settings() -> dict[str, Setting]:
    """Every setting by name, in the order of the fields."""
    hints = get_type_hints(TrainConfig, include_extras=True)
    found = {}
    for name, field in TrainConfig.model_fields.items():
        annotation = get_args(hints[name])[0]
        domain = next(extra for extra in field.metadata if isinstance(extra, Domain))
        literal: tuple[Any, ...] | None = None
        kind: type[Any] = annotation
        if get_origin(annotation) is Literal:
            literal, kind = get_args(annotation), str
        elif annotation is bool:
            literal = (False, True)
        found[name] = Setting(name, kind, domain, field.default, literal, " ".join((field.description or "").split()))
    return found


def applies(name: str, values: Mapping[str, object]) -> bool:
    """Whether a setting means something under `values` (a missing value counts as its default).

    A setting that this version does not have counts as meaning something: another version stored it.
    """
    known = settings()
    return name not in known or all(
        values.get(other, known[other].default) in legal and applies(other, values) for other, legal in known[name].when
    )


def problem_of(name: str, value: object) -> str | None:
    """What is wrong with a value of a setting, as one sentence part, or None."""
    setting = settings()[name]
    if setting.literal is not None or setting.domain.choices is not None:
        if setting.is_choice(value):
            return None
        legal = ", ".join(map(str, setting.choices or ()))
        return f"{name} = {value!r} is not one of: {legal}"
    if isinstance(value, bool) or not isinstance(value, (int, float) if setting.kind is float else int):
        wanted = "a number" if setting.kind is float else "a whole number"
        return f"{name} = {value!r} is not {wanted}"
    low, high = setting.domain.low, setting.domain.high
    if low is not None and high is not None and not low <= value <= high:
        return f"{name} = {value} lies outside {low:g} to {high:g}"
    return None
