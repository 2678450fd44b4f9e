"""A network, a loss and an augmentation of a user's own, trained like those that are built in."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hpo.data.development import Development
from hpo.data.folds import scoring_folds
from hpo.study import choices
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring
from hpo.training.loop.checkpoint import Checkpoint
from hpo.training.loop.trial import train_trial
from hpo.training.machine.failure import TrainingFailure, plugin_failures
from hpo.training.optim.losses.aucm import AUCMLoss
from hpo.training.optim.losses.minmax import DualVariables
from hpo.training.report import EpochReport
from tests.plugins import kept_registries
from tests.refitting import refitted

EPOCHS = 3


class SquaredHinge(nn.Module):
    """Pairs of a positive and a negative that are closer than the margin cost the square of what is missing."""

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        gaps = self.margin - (logits[:, None] - logits[None])
        return (gaps.clamp(min=0) ** 2 * targets[:, None] * (1 - targets[None])).mean()


class MovesItself(nn.Module):
    """A loss with class means and alpha under other names, which PESG is to move."""

    def __init__(self, config: TrainConfig, labels: int) -> None:
        super().__init__()
        self.inner = AUCMLoss(labels, config.margin, "v1")

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        loss: Tensor = self.inner(logits, targets)
        return loss

    def dual_variables(self) -> DualVariables | None:
        return self.inner.dual_variables()


class Thin(nn.Module):
    """Its logits are bf16 under autocast, which the built-in network's never are."""

    def __init__(self, shape: tuple[int, ...], labels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(math.prod(shape))
        self.layer = nn.Linear(math.prod(shape), labels)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(self.norm(images.flatten(1)))
        return logits


def darken(images: Tensor, targets: Tensor, strength: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each image times a number of its own."""
    shape = (len(images),) + (1,) * (images.dim() - 1)
    return images * (1 - strength * torch.rand(shape, generator=random, device=random.device)), targets


class AlwaysDue(Checkpoint):
    """Saves at every chance."""

    def is_due(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _registered() -> object:
    with kept_registries():
        choices.NETWORKS.register("thin", Thin)
        choices.LOSSES.register("squared_hinge", lambda config, labels: SquaredHinge(config.margin), uses=("margin",))
        choices.LOSSES.register("mine", MovesItself, uses=("margin", "epoch_decay", "reference_weights"))
        choices.AUGMENTATIONS.register("darken", darken, uses=("augmentation_strength",))
        yield


def iter_reports(config: TrainConfig, development: Development, **options: object) -> Any:
    folds = scoring_folds(development, Scoring(folds=2), 0)
    return train_trial(config, development, folds, EPOCHS, seed=3, device="cpu", **options)


def reports_of(config: TrainConfig, development: Development, **options: object) -> list[EpochReport]:
    return list(iter_reports(config, development, **options))


@pytest.mark.slow
def test_they_train_and_their_draws_follow_the_seed(development: Development) -> None:
    config = TrainConfig(
        network="thin",
        loss="squared_hinge",
        augmentation="darken",
        precision="bf16",
        batch_size=16,
        weight_average="swa",
        swa_start=0.0,
    )
    first, second = (reports_of(config, development) for _ in range(2))
    assert [report.fold_aucs for report in first] == [report.fold_aucs for report in second]
    assert len(first) == EPOCHS
    assert all(math.isfinite(report.training_loss or math.nan) for report in first)
    plain = reports_of(config.model_copy(update={"augmentation": "none"}), development)
    assert [report.training_loss for report in plain] != [report.training_loss for report in first]


def test_a_loss_of_ones_own_with_dual_variables_trains_as_the_built_in_one(development: Development) -> None:
    mine, theirs = (
        reports_of(TrainConfig(network="thin", loss=loss, epoch_decay=0.01, batch_size=16), development)
        for loss in ("mine", "aucm_v1")
    )
    assert [report.training_loss for report in mine] == [report.training_loss for report in theirs]
    assert [report.fold_aucs for report in mine] == [report.fold_aucs for report in theirs]


def test_a_loss_that_does_not_use_epoch_decay_is_trained_without(development: Development) -> None:
    with_decay, without = (
        reports_of(TrainConfig(network="thin", loss="squared_hinge", epoch_decay=decay, batch_size=16), development)
        for decay in (0.2, 0.0)
    )
    assert [report.training_loss for report in with_decay] == [report.training_loss for report in without]


def test_a_trial_with_them_resumes_bit_equal(development: Development, tmp_path: Path) -> None:
    config = TrainConfig(network="thin", loss="mine", augmentation="darken", batch_size=16)
    whole = reports_of(config, development)
    left = iter_reports(config, development, checkpoint=AlwaysDue(tmp_path, 0, 1, "same"))
    next(left), next(left)
    left.close()
    rest = reports_of(config, development, checkpoint=Checkpoint(tmp_path, 0, 2, "same"))
    assert 0 < len(rest) < EPOCHS
    assert [report.fold_aucs for report in rest] == [report.fold_aucs for report in whole[-len(rest) :]]


def test_a_network_of_ones_own_is_trained_for_a_final_result(development: Development) -> None:
    made = refitted(TrainConfig(network="thin", loss="cross_entropy", batch_size=16), development, EPOCHS, 0, "cpu")
    assert isinstance(made.model.network, Thin)
    assert made.model.scores(np.asarray(development.images), "cpu").shape == (len(development), 1)


class Returns(nn.Module):
    """A network that makes something of its logits, or a loss that makes something of a right one."""

    def __init__(self, change: Callable[[Tensor], Any], shape: tuple[int, ...] = (1,)) -> None:
        super().__init__()
        self.change, self.layer = change, nn.Linear(math.prod(shape), 1)

    def forward(self, given: Tensor, targets: Tensor | None = None) -> Any:
        if targets is not None:
            return self.change(nn.functional.binary_cross_entropy_with_logits(given, targets, reduction="none"))
        return self.change(self.layer(given.flatten(1)))


def raising(*_: object) -> Any:
    raise ZeroDivisionError("by zero")


NETWORKS = {
    "of shape (B,)": lambda shape, _: Returns(lambda logits: logits[:, 0], shape),
    "of two columns": lambda shape, _: Returns(lambda logits: torch.cat([logits, logits], 1), shape),
    "a tuple": lambda shape, _: Returns(lambda logits: (logits, logits), shape),
    "detached": lambda shape, _: Returns(lambda logits: logits.detach(), shape),
    "raising": lambda shape, _: Returns(raising, shape),
    "raising when made": raising,
    "no module": lambda *_: None,
    "without parameters": lambda *_: nn.Flatten(),
}
LOSSES = {
    "a vector": lambda *_: Returns(lambda values: values),
    "no tensor": lambda *_: Returns(lambda values: values.detach().mean().item()),
    "detached": lambda *_: Returns(lambda values: values.mean().detach()),
    "raising": lambda *_: Returns(raising),
    "raising when made": raising,
    "no module": lambda *_: nn.functional.binary_cross_entropy_with_logits,
}
AUGMENTATIONS = {
    "images alone": lambda images, *_: images,
    "fewer images": lambda images, targets, *_: (images[:5], targets[:5]),
    "arrays": lambda images, targets, *_: (images.numpy(), targets),
    "raising": raising,
}


@pytest.mark.parametrize(
    ("kind", "faulty"),
    [
        *(pytest.param("network", faulty, id=f"network, {name}") for name, faulty in NETWORKS.items()),
        *(pytest.param("loss", faulty, id=f"loss, {name}") for name, faulty in LOSSES.items()),
        *(pytest.param("augmentation", faulty, id=f"augmentation, {name}") for name, faulty in AUGMENTATIONS.items()),
    ],
)
def test_a_faulty_plugin_fails_the_trial_and_is_named(
    kind: str, faulty: Callable[..., Any], development: Development
) -> None:
    registries = {"network": choices.NETWORKS, "loss": choices.LOSSES, "augmentation": choices.AUGMENTATIONS}
    registries[kind].register("faulty", faulty)
    config = TrainConfig(**{"network": "thin", "loss": "cross_entropy", "batch_size": 16, kind: "faulty"})
    with pytest.raises(TrainingFailure) as caught:
        reports_of(config, development)
    assert caught.value.reason == "plug-in"
    assert f"{kind} faulty" in caught.value.detail


def test_the_line_of_a_plugin_that_raised_is_named(development: Development) -> None:
    choices.LOSSES.register("faulty", LOSSES["raising"])
    with pytest.raises(TrainingFailure) as caught:
        reports_of(TrainConfig(network="thin", loss="faulty", batch_size=16), development)
    assert "ZeroDivisionError" in caught.value.detail
    assert Path(__file__).name in caught.value.detail


def test_refused_memory_in_a_plugin_is_no_fault_of_its(development: Development) -> None:
    def refused(*_: object) -> Any:
        raise MemoryError

    choices.LOSSES.register("faulty", lambda *_: Returns(refused))
    with pytest.raises(TrainingFailure) as caught:
        reports_of(TrainConfig(network="thin", loss="faulty", batch_size=16), development)
    assert caught.value.reason == "out of memory"


def test_an_error_without_a_plugin_is_a_bug_and_comes_out() -> None:
    with pytest.raises(ZeroDivisionError), plugin_failures(TrainConfig()):
        raising()


def test_an_augmentation_in_double_precision_trains_as_in_single(development: Development) -> None:
    choices.AUGMENTATIONS.register("double", lambda images, targets, *_: (images.double(), targets.double()))
    double, single = (
        reports_of(TrainConfig(network="thin", augmentation=name, batch_size=16), development)
        for name in ("double", "none")
    )
    assert [report.training_loss for report in double] == [report.training_loss for report in single]
