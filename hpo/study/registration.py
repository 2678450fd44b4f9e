"""Register networks, losses, augmentations, samplers and pruners for use in study files; see docs/extending.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hpo.errors import did_you_mean
from hpo.registry import Registry
from hpo.study.choices import AUGMENTATIONS, LOSSES, NETWORKS, PRUNERS, SAMPLERS
from hpo.study.config import settings

Target = TypeVar("Target", bound=Callable[..., Any])


def register_network(
    name: str, target: Callable[..., Any] | str | None = None, *, description: str = "", replace: bool = False
) -> Callable[[Target], Target]:
    """Register a network for the setting `network`; use as a decorator, or pass a function or "module:function".

    Args:
        name: lower-case letters, digits, "-" and "_".
        target: called with the shape of an image, (1, H, W), (3, H, W) in RGB or (1, D, H, W), and the number of
            labels; returns an `nn.Module` that maps (B, C, ...) float images to (B, labels) logits. Initialise weights
            with PyTorch's default generator, which is seeded for the call.
        description: short noun phrase for reports.
        replace: whether to replace an existing network of that name.

    Example:
        >>> import math
        >>> import hpo
        >>> from torch import nn
        >>> @hpo.register_network("linear", description="a linear model")
        ... def linear(shape, labels):
        ...     return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), labels))
    """
    return _register(NETWORKS, name, target, description, (), replace)


def register_loss(
    name: str,
    target: Callable[..., Any] | str | None = None,
    *,
    uses: tuple[str, ...] = (),
    family: str = "",
    description: str = "",
    replace: bool = False,
) -> Callable[[Target], Target]:
    """Register a loss for the setting `loss`; use as a decorator, or pass a function or "module:function".

    Args:
        name: lower-case letters, digits, "-" and "_".
        target: called with the `TrainConfig` and the number of labels; returns an `nn.Module` that maps (B, L) logits
            of any float type and (B, L) targets in [0, 1] to a scalar. If it has the method `dual_variables` of
            `hpo.training.optim.losses.minmax.MinMaxLoss`, PESG also updates its class means and alpha; if it has
            `inner_loss`, as compositional.CompositionalLoss beside it, each step begins with one on that loss.
        uses: which of the loss-specific settings have an effect with this loss: margin, class_means, score_scale,
            score_temperature, cross_entropy_share, epoch_decay, reference_weights, label_smoothing, or others that
            built-in losses use. The others are neither searched nor applied.
        family: losses of one family are variants of each other, and the best of each family are confirmed and tested:
            "aucm", "cross_entropy", or another name; by default the loss is a family of its own.
        description: short noun phrase for reports.
        replace: whether to replace an existing loss of that name.

    Example:
        >>> import hpo
        >>> from torch import nn
        >>> @hpo.register_loss("soft_margin", uses=("cross_entropy_share",))
        ... def soft_margin(config, labels):
        ...     return nn.MultiLabelSoftMarginLoss()
    """
    return _register(LOSSES, name, target, description, uses, replace, group=family)


def register_augmentation(
    name: str,
    target: Callable[..., Any] | str | None = None,
    *,
    uses: tuple[str, ...] = ("augmentation_strength",),
    description: str = "",
    replace: bool = False,
) -> Callable[[Target], Target]:
    """Register an augmentation for the setting `augmentation`, as a decorator or by a function or "module:function".

    Args:
        name: lower-case letters, digits, "-" and "_".
        target: called with (B, C, ...) float images from 0 to 1, C = 1 or 3, (B, L) targets, a strength from 0 to 1 and
            a `torch.Generator` on their device, which must be the only source of randomness, so that trials are
            reproducible; returns images and targets. A `Policy` is such a function.
        uses: () if it ignores the strength.
        description: short noun phrase for reports.
        replace: whether to replace an existing augmentation of that name.

    Example:
        >>> import hpo
        >>> from hpo.training.inputs.augmentation import Policy
        >>> _ = hpo.register_augmentation("tilt", Policy(rotation=10.0, shift=0.05))
    """
    return _register(AUGMENTATIONS, name, target, description, uses, replace)


def register_sampler(
    name: str, target: Callable[..., Any] | str | None = None, *, description: str = "", replace: bool = False
) -> Callable[[Target], Target]:
    """Register a sampler for `sampler` in [search]; use as a decorator, or pass a function or "module:function".

    Args:
        name: lower-case letters, digits, "-" and "_".
        target: called with the section [search] and a seed for each trial; returns an `optuna.samplers.BaseSampler`.
            Each trial gets a new one, in whichever worker claims it, so it must keep no state and learn only from the
            study's trials.
        description: short noun phrase for reports.
        replace: whether to replace an existing sampler of that name.

    Example:
        >>> import hpo
        >>> from optuna.samplers import NSGAIISampler
        >>> @hpo.register_sampler("nsga2", description="NSGA-II")
        ... def nsga2(search, seed):
        ...     return NSGAIISampler(population_size=20, seed=seed)
    """
    return _register(SAMPLERS, name, target, description, (), replace)


def register_pruner(
    name: str, target: Callable[..., Any] | str | None = None, *, description: str = "", replace: bool = False
) -> Callable[[Target], Target]:
    """Register a pruner for `pruner` in [search]; use as a decorator, or pass a class or "module:Class".

    Args:
        name: lower-case letters, digits, "-" and "_".
        target: a subclass of `hpo.Pruner`.
        description: short phrase for reports.
        replace: whether to replace an existing pruner of that name.

    Example:
        >>> import hpo
        >>> @hpo.register_pruner("upper_half", description="the upper half goes on after 3 epochs")
        ... class UpperHalf(hpo.Pruner):
        ...     def rungs(self):
        ...         return (3,)
        ...     def goes_on(self, rung):
        ...         return rung.better < (rung.recorded + 1) // 2
    """
    return _register(PRUNERS, name, target, description, (), replace)


def _register(
    registry: Registry[Any],
    name: str,
    target: Callable[..., Any] | str | None,
    description: str,
    uses: tuple[str, ...],
    replace: bool,
    group: str = "",
) -> Callable[[Target], Target]:
    """Register `target`, or return a decorator that registers its argument.

    Raises:
        ValueError: if the name is taken or malformed, or `uses` names what is no setting.
    """
    _check_uses(registry.kind, name, uses)
    if target is not None:
        registry.register(name, target, description=description, uses=uses, group=group, replace=replace)
        return lambda decorated: decorated
    return registry.register(name, description=description, uses=uses, group=group, replace=replace)


def _check_uses(kind: str, name: str, uses: tuple[str, ...]) -> None:
    """Raise ValueError unless `uses` is of settings: a misspelt one would be neither searched nor applied."""
    if isinstance(uses, str):
        raise ValueError(f"{kind} {name!r}: uses = {uses!r} is a text; give a tuple, uses=({uses!r},)")
    for setting in uses:
        if setting not in settings():
            hint = did_you_mean(setting, settings())
            raise ValueError(f"{kind} {name!r}: uses names {setting!r}, which is no setting{hint}")
