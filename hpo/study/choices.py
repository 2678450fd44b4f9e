"""Registries of what a study file selects by name, built in or added by plug-ins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

from hpo.errors import UsageError, did_you_mean
from hpo.registry import Registry

NETWORKS: Registry[Any] = Registry("network")
"""Functions of an image shape and a number of labels, see `hpo.training.model.network.NetworkFactory`."""

NETWORKS.register("resnet18", "hpo.training.model.resnet:ResNet18.for_images", description="MedMNIST's ResNet-18")
NETWORKS.register(
    "resnet18_narrow",
    "hpo.training.model.resnet:ResNet18.narrow",
    description="ResNet-18 with a quarter of the channels",
)

LOSSES: Registry[Any] = Registry("loss")
"""Functions of a `TrainConfig` and a number of labels, see `hpo.training.optim.losses.factory.LossFactory`."""

_OF_PESG = ("cross_entropy_share", "epoch_decay", "reference_weights")
_OF_PAIRS = ("margin", "score_scale", "score_temperature", *_OF_PESG)
_OF_AUCM = ("class_means", *_OF_PAIRS)
_OF_BOTH = ("aucm_version", "label_smoothing", *_OF_AUCM)

AUCM, CROSS_ENTROPY = "aucm", "cross_entropy"
"""The families of the built-in losses: those that maximise the AUC, and the proper scores of single samples."""

for _name, _module, _description, _uses, _family in (
    ("aucm_v1", "aucm", "AUCM with batch prior", _OF_AUCM, AUCM),
    ("aucm_v2", "aucm", "AUCM without prior", _OF_AUCM, AUCM),
    ("cross_entropy", "cross_entropy", "binary cross-entropy", ("label_smoothing",), CROSS_ENTROPY),
    ("joint", "joint", "cross-entropy and AUCM together", ("cross_entropy_weight", *_OF_BOTH), AUCM),
    (
        "compositional",
        "compositional",
        "AUCM after an inner step on cross-entropy",
        ("inner_learning_rate", "inner_momentum", *_OF_BOTH),
        AUCM,
    ),
    ("pairwise", "pairs", "squared hinge of pairs", _OF_PAIRS, AUCM),
    ("pauc", "pairs", "partial AUC", ("pauc_form", "pauc_share", "pauc_temperature", *_OF_PAIRS), AUCM),
    ("focal", "cross_entropy", "focal loss", ("focal_gamma", "label_smoothing"), CROSS_ENTROPY),
):
    LOSSES.register(
        _name, f"hpo.training.optim.losses.{_module}:{_name}", description=_description, uses=_uses, group=_family
    )


def loss_family(loss: str) -> str:
    """Return the family of a loss: all that maximise the AUC are one, a loss that names none is a family of its own.

    A loss that is not registered in this process is one of its own, too: stored results can name it.
    """
    return (LOSSES.entry(loss).group if loss in LOSSES else "") or loss


AUGMENTATIONS: Registry[Any] = Registry("augmentation")
"""Functions that transform a batch, see `hpo.training.inputs.augmentation.AugmentationFunction`."""

_OF_RANDAUGMENT = ("augmentation_strength", "augmentation_operations")
_USED: dict[str, tuple[str, ...]] = {"none": (), "randaugment": _OF_RANDAUGMENT, "randaugment_rigid": _OF_RANDAUGMENT}

for _name, _description in {
    "none": "no change",
    "flip": "mirror images",
    "shift": "shifts",
    "rigid": "mirror images, rotations and shifts, which keep sizes",
    "affine": "rotations, shifts, scales and shears",
    "crop": "crops",
    "noise": "Gaussian noise",
    "intensity": "gamma, contrast and brightness",
    "cutout": "a part of the image hidden",
    "mixup": "mixtures of two images and their labels",
    "cutmix": "a part of each image replaced by that of another, labels mixed by area",
    "elastic": "smooth bending, which keeps sizes",
    "morphology": "smooth bending, thicker and thinner shapes, smoother surfaces",
    "randaugment": "a few operations drawn for each image",
    "randaugment_rigid": "a few operations drawn for each image, of those that keep sizes",
    "geometric": "everything that moves pixels",
    "full": "geometric, intensity, noise and cutout",
}.items():
    AUGMENTATIONS.register(
        _name,
        f"hpo.training.inputs.policies:{_name}",
        description=_description,
        uses=_USED.get(_name, ("augmentation_strength",)),
    )

SAMPLERS: Registry[Any] = Registry("sampler", {"optuna": "hpo.search.strategy.samplers:of_optuna"})
"""Functions of the [search] section and a seed, see `hpo.search.strategy.sampler.SamplerFactory`. `optuna:CLASS` is any
of Optuna's."""

_SAMPLERS = "hpo.search.strategy.samplers"

SAMPLERS.register("tpe", f"{_SAMPLERS}:tpe", description="tree-structured Parzen estimator")
SAMPLERS.register("random", f"{_SAMPLERS}:random", description="random draws")
SAMPLERS.register("gp", f"{_SAMPLERS}:gp", description="Gaussian process")
SAMPLERS.register("cmaes", f"{_SAMPLERS}:cmaes", description="CMA-ES")
SAMPLERS.register("qmc", f"{_SAMPLERS}:qmc", description="quasi-random draws")

PRUNERS: Registry[Any] = Registry("pruner")
"""Subclasses of `hpo.search.strategy.pruner.Pruner`."""

PRUNERS.register("asha", "hpo.search.strategy.asha:SuccessiveHalving", description="asynchronous successive halving")
PRUNERS.register("hyperband", "hpo.search.strategy.asha:Hyperband", description="Hyperband, asynchronous")
PRUNERS.register("median", "hpo.search.strategy.rules:Median", description="what is below the median is stopped")
PRUNERS.register("wilcoxon", "hpo.search.strategy.rules:Wilcoxon", description="a paired test over folds")
PRUNERS.register("none", "hpo.search.strategy.pruner:NoPruning", description="no pruning")


@dataclass(frozen=True)
class OneOf:
    """Annotation of a study file key whose value must be a registered name."""

    registry: Registry[Any]

    def check(self, name: str) -> str:
        """Return the name if it is registered.

        Raises:
            PydanticCustomError: with the closest legal name, if it is not.
        """
        if name in self.registry:
            return name
        if ":" in name:
            try:
                self.registry.entry(name)
            except UsageError as error:
                raise PydanticCustomError("unknown_name", "{why}", {"why": str(error)}) from None
        hint = did_you_mean(name, self.registry.names())
        context = {"kind": self.registry.kind, "hint": hint}
        raise PydanticCustomError("unknown_name", "unknown {kind}{hint}", context)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self.check, handler(source))


def describe_network(name: str, dimensions: int) -> str:
    """Return the name of a network for use in a sentence about a dataset."""
    return (NETWORKS.entry(name).description or name) + (" in 3D" if dimensions == 3 else "")
