"""`TrainConfig`: every setting of one training run, with its domain, unit and source.

A new setting is one field here, one line in `hpo.training` that reads it, and an entry in a study file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, model_validator

from hpo.registry import Registry, Using
from hpo.study.choices import AUGMENTATIONS, LOSSES, NETWORKS
from hpo.study.co_training import CO_TRAINING
from hpo.study.keys import check_names
from hpo.text import brief


@dataclass(frozen=True)
class Below:
    """The values of a number that fulfil a condition: those below a limit."""

    limit: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, (int, float)) and value < self.limit

    def __iter__(self) -> Iterator[str]:
        return iter([f"below {self.limit:g}"])


@dataclass(frozen=True)
class Domain:
    """Legal range of a setting, its unit, and the conditions on other settings under which it has an effect.

    Attributes:
        low: smallest legal value.
        high: largest legal value.
        choices: registry of the legal values, for a choice that plug-ins can extend.
        when: (setting, values of it); if one of these conditions fails, this setting stays at its default.
        used_by: settings with registered choices; each choice declares whether it uses this setting. Adds to `when`.
        is_later: whether it was added after studies and results had been stored, see `TrainConfig.identity`.
    """

    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: Registry[Any] | None = None
    when: tuple[tuple[str, tuple[object, ...] | Below], ...] = ()
    used_by: tuple[str, ...] = ()
    is_later: bool = False


SettingValue = bool | int | float | str
"""A value of a setting, as study files and the database hold it."""

ConfigValues = dict[str, SettingValue]
"""Values of settings by name: a configuration, or part of one, not yet validated."""

ClassMeans = Literal["learned", "running"]
AUCMVersion = Literal["v1", "v2"]
ScoreScale = Literal["sigmoid", "tanh", "standardised"]
PartialAUC = Literal["cvar", "dro"]
ScheduleName = Literal["constant", "step", "cosine", "one_cycle", "cyclic"]
Resplit = Literal["none", "holdout", "official", "balanced", "grouped", "importance"]
TtaViews = Literal["none", "flips", "shifts", "both"]
TtaAverage = Literal["probabilities", "logits"]


class TrainConfig(BaseModel):
    """One training configuration; the defaults are the LibAUC defaults (AUCM v1, PESG)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    network: Annotated[str, Domain(choices=NETWORKS, is_later=True)] = "resnet18"
    """Network, trained from scratch: MedMNIST's ResNet-18, with 3D convolutions for volumes; or the same with a quarter
    of the channels, for a first look on a CPU: its results say nothing about the other's."""

    loss: Annotated[str, Domain(choices=LOSSES)] = "aucm_v1"
    """Loss after any cross-entropy epochs: AUCM with batch prior (v1), AUCM without prior, corrected (v2) (Yuan et al.
    2021, arXiv 2012.03173), or cross-entropy; cross-entropy and AUCM together (joint); AUCM at the weights after a step
    on cross-entropy (compositional; Yuan et al. 2022, ICLR); squared hinge over pairs (pairwise; Gao and Zhou 2015,
    arXiv 1208.0645) or those of the hardest negatives (pauc; Zhu et al. 2022, ICML); focal loss (Lin et al. 2017,
    arXiv 1708.02002)."""

    margin: Annotated[float, Domain(0.0, 1.0, "score", used_by=("loss",))] = 1.0
    """Target margin between mean positive and negative scores: m in Yuan et al. 2021."""

    class_means: Annotated[ClassMeans, Domain(used_by=("loss",))] = "learned"
    """How alpha and the estimates a and b of the class means of scores are updated: learned by PESG as in LibAUC, from
    0 and at the learning rate; or running means, with alpha at its optimum given them, m + b - a."""

    cross_entropy_share: Annotated[float, Domain(0.0, 0.9, "share of epochs", used_by=("loss",))] = 0.0
    """Share of the epochs trained with cross-entropy before AUCM takes over. Yuan et al. 2021, section 5."""

    score_scale: Annotated[ScoreScale, Domain(used_by=("loss",), is_later=True)] = "sigmoid"
    """Scores to which the margin refers, of a logit z and a temperature t: sigmoid(z / t); tanh(z / t), whose range is
    twice as wide; or (z - mean) / (t deviation) by running mean and deviation of the logits, without a bound."""

    score_temperature: Annotated[float, Domain(0.1, 10.0, used_by=("loss",), is_later=True)] = 1.0
    """Temperature t of the scores: with standardised scores, the margin is t times as many standard deviations."""

    aucm_version: Annotated[AUCMVersion, Domain(used_by=("loss",), is_later=True)] = "v2"
    """Version of AUCM in a loss that has it as a part: v1 is p (1 - p) times v2 for a share p of positives."""

    cross_entropy_weight: Annotated[float, Domain(0.0, 0.9, "share of loss", used_by=("loss",), is_later=True)] = 0.5
    """Weight of cross-entropy beside AUCM, whose weight is 1 minus this: the linear combination in Yuan et al. 2022,
    section 3. At most 0.9, since 1 would be cross-entropy under another name."""

    inner_learning_rate: Annotated[float, Domain(1e-6, 1.0, used_by=("loss",), is_later=True)] = 0.01
    """Step size of the step on cross-entropy in compositional training, scaled by the schedule: eta_0 of PDSCA."""

    inner_momentum: Annotated[float, Domain(0.0, 0.99, used_by=("loss",), is_later=True)] = 0.01
    """Share of the running average of weights after that step that is kept; LibAUC's `beta1` of PDSCA is 1 minus this,
    and its `beta2` 1 minus `momentum`."""

    pauc_form: Annotated[PartialAUC, Domain(used_by=("loss",), is_later=True)] = "cvar"
    """Partial AUC as the mean over the hardest negatives of a batch (CVaR), or with each negative weighted by the
    exponential of its loss (KL-regularised DRO). Zhu et al. 2022, ICML, LibAUC's SOPA and SOPA-s."""

    pauc_share: Annotated[
        float,
        Domain(0.01, 1.0, "share of negatives", when=(("pauc_form", ("cvar",)),), used_by=("loss",), is_later=True),
    ] = 0.2
    """Share of the negatives that count, those of the highest scores: the bound of the false-positive rate, LibAUC's
    `beta`."""

    pauc_temperature: Annotated[
        float, Domain(0.05, 10.0, "loss", when=(("pauc_form", ("dro",)),), used_by=("loss",), is_later=True)
    ] = 1.0
    """Temperature of the weights of negatives, LibAUC's `Lambda`: near 0 the hardest alone counts, at infinity all."""

    focal_gamma: Annotated[float, Domain(0.0, 5.0, used_by=("loss",), is_later=True)] = 2.0
    """Exponent of focal loss; 0 is cross-entropy. Lin et al. 2017."""

    label_smoothing: Annotated[float, Domain(0.0, 0.3, "share", used_by=("loss",), is_later=True)] = 0.0
    """Share of each label spread evenly over both classes, for cross-entropy. Szegedy et al. 2016, arXiv 1512.00567."""

    optimizer: Annotated[Literal["sgd", "adam", "adamw", "lion"], Domain()] = "sgd"
    """Mode of PESG. With cross-entropy and without clipping and decay it equals plain SGD or Adam; with weight decay
    apart from the gradient AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) or Lion (Chen et al. 2023, arXiv
    2302.06675)."""

    learning_rate: Annotated[float, Domain(1e-6, 1.0)] = 0.01
    """Step size of PESG, for the weights and for a, b, alpha."""

    momentum: Annotated[float, Domain(0.0, 0.99, when=(("optimizer", ("sgd",)),))] = 0.1
    """Share of the running average of gradients kept at each step, as usual; LibAUC's `momentum` is 1 minus this."""

    epoch_decay: Annotated[float, Domain(0.0, 0.2, used_by=("loss",))] = 0.003
    """Strength of the L2 pull towards the reference weights: lambda_0 of PESG. Yuan et al. 2021, algorithm 1."""

    reference_weights: Annotated[Literal["noise", "initial"], Domain(used_by=("loss",))] = "noise"
    """Reference weights until their first update: N(0, 0.01) noise as in LibAUC, or the initial weights."""

    weight_decay: Annotated[float, Domain(0.0, 1.0)] = 1e-4
    """L2 penalty on all weights, including those of normalisation layers and biases, as in PESG; with adamw and lion
    the share of the learning rate by which they shrink in each step, usually 0.01 to 1."""

    clip: Annotated[float, Domain(0.0, 1000.0, "gradient")] = 1.0
    """Elementwise bound on gradients, LibAUC's `clip_value`; 0 disables clipping."""

    clip_norm: Annotated[float, Domain(0.0, 1000.0, "norm of gradient", is_later=True)] = 0.0
    """Bound on the L2 norm of the gradient over all weights, before `clip` and decay: a longer one is scaled down to
    it; 0 is off. Pascanu et al. 2013, arXiv 1211.5063."""

    sam: Annotated[float, Domain(0.0, 1.0, "norm of weights", is_later=True)] = 0.0
    """Radius rho of sharpness-aware minimisation: gradients are taken at the worst weights within that distance, which
    doubles the cost of a step; 0 is off, .05 usual. Foret et al. 2021, arXiv 2010.01412."""

    schedule: Annotated[ScheduleName, Domain()] = "step"
    """Learning rate schedule: constant, x0.1 at half and three quarters of the epochs, or cosine annealing; a rise and
    a fall (one_cycle; Smith and Topin 2018, arXiv 1708.07120); or cosine annealing that starts again (cyclic;
    Loshchilov and Hutter 2017, arXiv 1608.03983). The reference weights are updated at half and three quarters of the
    epochs with each of them."""

    cycles: Annotated[int, Domain(1, 20, when=(("schedule", ("cyclic",)),), is_later=True)] = 4
    """Number of cycles of the cyclic schedule, each of whole epochs."""

    warmup: Annotated[
        float,
        Domain(
            0.0,
            0.5,
            "share of epochs",
            when=(("schedule", ("constant", "step", "cosine", "cyclic")),),
            is_later=True,
        ),
    ] = 0.0
    """Share of the epochs in which the learning rate also rises in a line, step by step, from 0. Goyal et al. 2017,
    arXiv 1706.02677; one_cycle has a rise of its own."""

    batch_size: Annotated[int, Domain(4, 1024, "samples")] = 128
    """Number of samples in a batch."""

    ghost_batch: Annotated[int, Domain(0, 512, "samples", is_later=True)] = 0
    """Samples of the parts of a batch that BatchNorm normalises by themselves in training, for the noise of small
    batches at the cost of large ones; 0 is off. Hoffer et al. 2017, arXiv 1705.08741."""

    batching: Annotated[Literal["random", "fixed_share"], Domain()] = "random"
    """Batches sampled at random without replacement, or with a fixed share of positives in each."""

    positive_share: Annotated[float, Domain(0.05, 0.95, "share", when=(("batching", ("fixed_share",)),))] = 0.5
    """Share of positives in each batch (DualSampler's `sampling_rate`), at the start of training."""

    positive_share_schedule: Annotated[
        Literal["constant", "linear", "step"], Domain(when=(("batching", ("fixed_share",)),), is_later=True)
    ] = "constant"
    """How the share of positives changes over the epochs: not at all; linearly from the first to the last epoch; or
    half of the way at half of the epochs and all of it at three quarters. As deferred re-balancing, Cao et al. 2019,
    arXiv 1906.07413, which goes the other way."""

    positive_share_end: Annotated[
        float, Domain(0.0, 0.95, "share", when=(("positive_share_schedule", ("linear", "step")),), is_later=True)
    ] = 0.0
    """Share of positives in each batch at the end of training; 0 for their share of the training set."""

    duplicates: Annotated[Literal["keep", "remove"], Domain(is_later=True)] = "keep"
    """Near-duplicates within the training set of a fold: keep all, or the first of each group with the same labels. The
    number of steps stays the same."""

    noisy_samples: Annotated[Literal["none", "loss", "margin"], Domain(is_later=True)] = "none"
    """Samples that training disagrees with, left out of the batches of later epochs, `noisy_share` of each class: none;
    those of the largest cross-entropy, a running mean over epochs (small-loss selection, Han et al. 2018, arXiv
    1804.06872, by epoch); or of the smallest area under the margin, the mean over epochs of the logit towards their own
    label (Pleiss et al. 2020, arXiv 2001.10528). Chosen anew before each epoch."""

    noisy_share: Annotated[
        float, Domain(0.0, 0.4, "share of samples", when=(("noisy_samples", ("loss", "margin")),), is_later=True)
    ] = 0.1
    """Share of each class that is left out; with several labels, of the samples with and of those without a positive
    label."""

    noisy_start: Annotated[
        float, Domain(0.0, 0.9, "share of epochs", when=(("noisy_samples", ("loss", "margin")),), is_later=True)
    ] = 0.25
    """Share of the epochs, at least one, after which samples are left out: networks fit clean samples first."""

    augmentation: Annotated[str, Domain(choices=AUGMENTATIONS)] = "none"
    """Augmentation policy, applied to each training batch on the device; rigid, flip, shift, elastic and
    randaugment_rigid preserve sizes. cutmix: Yun et al. 2019, arXiv 1905.04899; randaugment: Cubuk et al. 2020, arXiv
    1909.13719."""

    augmentation_strength: Annotated[float, Domain(0.0, 1.0, used_by=("augmentation",))] = 0.5
    """Strength of the policy: 0 is the identity, 1 the largest change, which may destroy the label."""

    augmentation_operations: Annotated[int, Domain(1, 6, "operations", used_by=("augmentation",), is_later=True)] = 2
    """Number of operations that RandAugment draws for each image: N in Cubuk et al. 2020."""

    shape_multiplier: Annotated[bool, Domain()] = True
    """Mask datasets only: multiply images by U[0, 1] in training and by 0.5 in validation, as in MedMNIST's recipe."""

    weight_average: Annotated[Literal["none", "ema", "swa", "cycles"], Domain()] = "none"
    """Weights to evaluate: the last, their exponential moving average, their mean over the last epochs, or their mean
    over the last epoch of each cycle of the cyclic schedule (cycles)."""

    ema_decay: Annotated[float, Domain(0.5, 0.9999, "1 per step", when=(("weight_average", ("ema",)),))] = 0.99
    """Decay of the moving average: the share of it kept at each step."""

    swa_start: Annotated[float, Domain(0.0, 0.95, "share of epochs", when=(("weight_average", ("swa", "cycles")),))] = (
        0.5
    )
    """Share of the epochs after which weight averaging starts. Izmailov et al. 2018, arXiv 1803.05407."""

    tta: Annotated[TtaViews, Domain(is_later=True)] = "none"
    """Test-time augmentation: views scored with each image wherever a network is scored: flips (horizontal in 2D, all
    axes in 3D: 2 or 8 views), shifts by a pixel (5 or 7), or both (6 or 14); scoring takes as many times as long.
    Shanmugam et al. 2021, arXiv 2011.11156."""

    tta_average: Annotated[TtaAverage, Domain(when=(("tta", ("flips", "shifts", "both")),), is_later=True)] = (
        "probabilities"
    )
    """How the scores of the views are averaged: as probabilities, or as logits."""

    resplit: Annotated[Resplit, Domain()] = "none"
    """How the training part of a fold is divided into a training set and a selection set, which picks the epoch: no
    selection set; a stratified share; the official validation samples; a share with equal numbers of both classes;
    the official validation samples with all near-duplicates and others of their groups; a stratified share in whose AUC
    each group counts as one sample. Groups stay whole in all but official. The AUC needs no weights by class: it does
    not depend on the share of positives."""

    resplit_share: Annotated[
        float, Domain(0.05, 0.5, "share of samples", when=(("resplit", ("holdout", "balanced", "importance")),))
    ] = 0.15
    """Size of the selection set as a share of the training part of a fold."""

    input_size: Annotated[int, Domain(4, 224, "pixels or voxels")] = 28
    """Edge to which images are resized: up to 28 by area averaging, or the dataset's own size if that is smaller; above
    28 by linear interpolation, for which time and memory grow with the number of pixels. Touvron et al. 2019, arXiv
    1906.06423."""

    progressive: Annotated[float, Domain(0.25, 1.0, "share of the edge", is_later=True)] = 1.0
    """Size of the images at the beginning of training, as a share of `input_size`, in eighths; scoring is always at
    full size. 1: the same size throughout. Tan and Le 2021, arXiv 2104.00298; Karras et al. 2018, arXiv 1710.10196."""

    progressive_growth: Annotated[
        Literal["linear", "staged"], Domain(when=(("progressive", Below(1.0)),), is_later=True)
    ] = "linear"
    """How small images become large: by an eighth of the edge at a time, or from the first size to the full one."""

    progressive_share: Annotated[
        float, Domain(0.1, 0.9, "share of epochs", when=(("progressive", Below(1.0)),), is_later=True)
    ] = 0.5
    """Share of the epochs that train on images below full size."""

    co_training: Annotated[str, Domain(choices=CO_TRAINING, is_later=True)] = "none"
    """Datasets of the same format that the network is trained on in the first epochs, too, each with a linear layer and
    a loss of its own: none; all of MedMNIST's; one; or several, such as pneumonia+chest. Their train and validation
    files are used, never their test sets. Multi-task learning, Caruana 1997, doi 10.1023/A:1007379606734."""

    co_training_share: Annotated[
        float, Domain(0.05, 0.9, "share of batches", used_by=("co_training",), is_later=True)
    ] = 0.5
    """Share of the batches of these epochs that are of the other datasets, in place of the study's own: an epoch keeps
    its number of steps, at least one of them the study's own, so that an epoch of one step has no others."""

    co_training_epochs: Annotated[
        float, Domain(0.05, 0.95, "share of epochs", used_by=("co_training",), is_later=True)
    ] = 0.5
    """Share of the epochs, at least one, that train on all datasets; the study's own alone follows."""

    precision: Annotated[Literal["auto", "bf16", "fp32"], Domain()] = "auto"
    """bf16 autocast or fp32; auto selects bf16 if the device supports it natively."""

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, values: Any) -> Any:
        check_names(values, cls.model_fields)
        return values

    @model_validator(mode="after")
    def _inside_domains(self) -> TrainConfig:
        problems = [problem for name, value in self.model_dump().items() if (problem := problem_of(name, value))]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def active(self) -> ConfigValues:
        """Return the active settings: those whose conditions hold."""
        values = self.model_dump()
        return {name: value for name, value in values.items() if applies(name, values)}

    def identity(self) -> dict[str, Any]:
        """Return the settings, except those that were added later and have their default.

        Hashes of settings (study fingerprints, final networks, checkpoints) thus stay the same when a setting is added.
        """
        known = settings()
        return {
            name: value
            for name, value in self.model_dump().items()
            if not (known[name].domain.is_later and value == known[name].default)
        }

    def has_effect(self, name: str) -> bool:
        """Return whether the conditions of a setting hold."""
        return applies(name, self.model_dump())


@dataclass(frozen=True)
class Setting:
    """Metadata of one field of TrainConfig.

    Attributes:
        kind: float, int, bool or str.
        literal: legal values of a choice that plug-ins cannot extend.
    """

    name: str
    kind: type[Any]
    domain: Domain
    default: Any
    literal: tuple[Any, ...] | None
    description: str

    @property
    def choices(self) -> tuple[Any, ...] | None:
        """Legal values of a choice, including those of plug-ins; None for a number."""
        return self.literal if self.domain.choices is None else self.domain.choices.names()

    @cached_property
    def when(self) -> tuple[tuple[str, tuple[object, ...] | Below | Using], ...]:
        """Values of other settings under which this one has an effect; all conditions must hold."""
        registries = ((other, settings()[other].domain.choices) for other in self.domain.used_by)
        registered = ((other, known.using(self.name)) for other, known in registries if known is not None)
        return (*self.domain.when, *registered)

    def is_choice(self, value: object) -> bool:
        """Return whether `value` is a legal choice."""
        if type(value) is not self.kind:
            return False
        # `in` loads the plug-ins only if the value is not built in.
        return value in (self.domain.choices or self.literal or ())


@cache
def settings() -> dict[str, Setting]:
    """Return every setting by name, in the order of the fields."""
    hints = get_type_hints(TrainConfig, include_extras=True)
    by_name = {}
    for name, field in TrainConfig.model_fields.items():
        annotation = get_args(hints[name])[0]
        domain = next(extra for extra in field.metadata if isinstance(extra, Domain))
        literal: tuple[Any, ...] | None = None
        kind: type[Any] = annotation
        if get_origin(annotation) is Literal:
            literal, kind = get_args(annotation), str
        elif annotation is bool:
            literal = (False, True)
        by_name[name] = Setting(name, kind, domain, field.default, literal, " ".join((field.description or "").split()))
    return by_name


def applies(name: str, values: Mapping[str, object]) -> bool:
    """Return whether a setting has an effect under `values`, where missing ones have their defaults."""
    known = settings()
    # Unknown settings, stored by another version of hpo, are assumed to have an effect.
    return name not in known or all(
        values.get(other, known[other].default) in legal and applies(other, values) for other, legal in known[name].when
    )


def problem_of(name: str, value: object) -> str | None:
    """Return what is wrong with the value of a setting, as part of a sentence; None if it is legal."""
    setting = settings()[name]
    if setting.literal is not None or setting.domain.choices is not None:
        if setting.is_choice(value):
            return None
        legal = ", ".join(map(str, setting.choices or ()))
        return f"{name} = {brief(value)} is not one of: {legal}"
    if isinstance(value, bool) or not isinstance(value, (int, float) if setting.kind is float else int):
        wanted = "a number" if setting.kind is float else "a whole number"
        return f"{name} = {brief(value)} is not {wanted}"
    low, high = setting.domain.low, setting.domain.high
    if low is not None and high is not None and not low <= value <= high:
        return f"{name} = {brief(value)} is out of range; legal: {low:g} to {high:g}"
    return None
