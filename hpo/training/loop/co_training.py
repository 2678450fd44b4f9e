"""Train one network on several datasets: a shared trunk, and for each dataset a linear layer and a loss of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hpo.data.development import Development
from hpo.errors import DataError
from hpo.study.catalogue import Dataset
from hpo.study.co_training import NONE
from hpo.study.config import TrainConfig
from hpo.training.inputs.batches import epoch_batches
from hpo.training.inputs.device_dataset import DeviceDataset, make_device_dataset
from hpo.training.inputs.preprocessing import make_inputs
from hpo.training.loop.class_share import in_epoch
from hpo.training.loop.passes import fixed_statistics
from hpo.training.machine.device import Machine
from hpo.training.model.network import seeded
from hpo.training.optim.losses.factory import make_loss
from hpo.training.optim.pesg import BlockPESG, make_optimizer
from hpo.training.seeds import derive_seed, generator
from hpo.training.state import StateDict

TARGET = -1
"""The place of the study's own dataset among the datasets of an epoch; others count from 0."""


@dataclass(frozen=True, eq=False)
class OtherSet:
    """The development set of another dataset on the device, all of which is trained on."""

    dataset: Dataset
    resident: DeviceDataset


def place_others(config: TrainConfig, developments: Sequence[Development], machine: Machine) -> tuple[OtherSet, ...]:
    """Move the development sets of other datasets to the device, in the size of a configuration.

    Raises:
        ValueError: if there are none, and `config.co_training` names some.
    """
    if (config.co_training == NONE) != (not developments):
        raise ValueError(f"co_training = {config.co_training}, with {len(developments)} other datasets")
    return tuple(
        OtherSet(one.dataset, make_device_dataset(one, config.input_size, machine.device)) for one in developments
    )


@dataclass(frozen=True, eq=False)
class OtherBatch:
    """A batch of another dataset: its place among them, and (B,) sample numbers on the device."""

    place: int
    rows: Tensor


@dataclass(frozen=True, eq=False)
class Turns:
    """Whose turn each step of an epoch is.

    Attributes:
        order: place of the dataset of each step, TARGET for the study's own.
        rows: for each other dataset, (its steps, B) sample numbers on the CPU.
    """

    order: tuple[int, ...]
    rows: tuple[Tensor, ...]

    @property
    def own_steps(self) -> int:
        """Return the number of steps of the study's own dataset."""
        return self.order.count(TARGET)


class CoTraining:
    """The other datasets of a run, and what is trained for them: a linear layer, a loss, and an optimizer for the two.

    In the first `co_training_epochs` of the epochs a share of the steps, `co_training_share`, take a batch of another
    dataset instead of the study's own, each dataset as often as any other. An epoch thus keeps its number of steps, and
    a trial costs the same with and without. The first step of an epoch is always the study's own.

    The network stays what it is without: its last linear layer is that of the study's dataset, so its weights can be
    scored, averaged and exported at any time. A batch of another dataset takes the input of that layer, the features,
    to a layer of its own, and the loss of the configuration with class means and alpha of its own. The step then
    updates the trunk by the run's optimizer and the own layer by another of the same configuration; it leaves what has
    no gradient, the study's own layer and its class means, as it was, and does not enter BatchNorm's running
    statistics: networks are scored with those of the study's images. It has one pass: the inner step of a compositional
    loss and the second pass of sharpness-aware steps are for the study's own batches.
    """

    def __init__(
        self,
        config: TrainConfig,
        others: Sequence[OtherSet],
        network: nn.Module,
        labels: int,
        epochs: int,
        seed: int,
        machine: Machine,
    ) -> None:
        self._config, self._network, self._epochs = config, network, epochs
        self._seed, self._machine = seed, machine
        if not others:
            self._first_alone, self._members = 0, list[_Member]()
            return
        # One epoch at least of each phase, if there are two.
        self._first_alone = min(max(1, round(config.co_training_epochs * epochs)), max(1, epochs - 1))
        self._output = output_layer(network, labels, config.network)
        self._members = [_Member(config, other, self._output.in_features, seed, machine) for other in others]

    def joins(self, epoch: int) -> bool:
        """Return whether the other datasets take part in an epoch, counted from 0."""
        return epoch < self._first_alone

    @property
    def optimizers(self) -> list[BlockPESG]:
        """Return the optimizers of the other datasets' layers."""
        return [member.optimizer for member in self._members]

    def start_loss(self, config: TrainConfig) -> None:
        """Make losses and optimizers anew, as a run does at the switch from cross-entropy to AUCM."""
        for member in self._members:
            member.start_loss(config)

    def draw(self, epoch: int, steps: int) -> Turns | None:
        """Draw whose turn each step of an epoch is, and the batches of the others; None if they do not take part."""
        if not self.joins(epoch):
            return None
        # Rounded over all epochs together, so that a small share of few steps is one, too.
        before, after = (int(number * steps * self._config.co_training_share) for number in (epoch, epoch + 1))
        count = min(after - before, steps - 1)
        random = generator(self._seed, "co-training", epoch)
        places = torch.arange(before, before + count) % len(self._members)
        order = torch.full((steps,), TARGET)
        order[torch.randperm(steps - 1, generator=random)[:count] + 1] = places
        rows = tuple(
            member.batches(int((places == place).sum()), epoch, self._epochs)
            for place, member in enumerate(self._members)
        )
        return Turns(tuple(order.tolist()), rows)

    def step(self, batch: OtherBatch, optimizer: BlockPESG, random: torch.Generator, edge: int) -> Tensor:
        """Do one update of the trunk and of a dataset's own layer from a batch of it; return the loss.

        Args:
            optimizer: of the network; its step must be counted.
            edge: of the images.
        """
        member, network = self._members[batch.place], self._network
        resident = member.other.resident
        rows = batch.rows
        images, targets = member.inputs.for_training(resident.images[rows], resident.labels[rows], random, edge)
        with self._machine.autocast(), fixed_statistics(network):
            features = features_of(network, self._output, images)
        loss = member.loss(member.layer(features.float()), targets)
        self._forget_gradients(member)
        loss.backward()
        member.optimizer.step()
        update_what_has_gradients(optimizer)
        self._forget_gradients(member)
        return loss.detach()  # type: ignore[no-any-return]

    def state_dict(self) -> StateDict:
        """Return the state of each dataset's layer, loss and optimizer, by name; tensors are shared."""
        return {member.other.dataset.name: member.state_dict() for member in self._members}

    def load_state_dict(self, state: StateDict) -> None:
        """Copy the state of the same datasets, after `start_loss`."""
        for member in self._members:
            member.load_state_dict(state[member.other.dataset.name])

    def _forget_gradients(self, member: _Member) -> None:
        for part in (self._network, member.layer, member.loss):
            part.zero_grad()


class _Member:
    """What is trained for one other dataset."""

    optimizer: BlockPESG
    loss: nn.Module

    def __init__(self, config: TrainConfig, other: OtherSet, width: int, seed: int, machine: Machine) -> None:
        dataset = other.dataset
        self.other, self.inputs = other, make_inputs(config, dataset)
        self._seed, self._machine = seed, machine
        # Batches with a fixed share of positives need one label.
        self._config = config if dataset.labels == 1 else config.model_copy(update={"batching": "random"})
        with seeded(derive_seed(seed, "weights", dataset.name)):
            self.layer = nn.Linear(width, dataset.labels).to(machine.device)

    def start_loss(self, config: TrainConfig) -> None:
        self.loss = make_loss(config, self.other.dataset.labels).to(self._machine.device)
        noise = generator(self._seed, "reference", self.other.dataset.name)
        self.optimizer = make_optimizer(config, self.layer.parameters(), self.loss, noise)

    def batches(self, steps: int, epoch: int, epochs: int) -> Tensor:
        resident, random = self.other.resident, generator(self._seed, "co-training", self.other.dataset.name, epoch)
        config = in_epoch(self._config, resident.host_labels, epoch, epochs)
        rows = np.arange(len(resident.host_labels))
        # At least one batch can be drawn; in an epoch of few steps it may not be this dataset's turn.
        return epoch_batches(config, rows, resident.host_labels, max(1, steps), random)[:steps]

    def state_dict(self) -> StateDict:
        return {name: getattr(self, name).state_dict() for name in ("layer", "loss", "optimizer")}

    def load_state_dict(self, state: StateDict) -> None:
        for name in ("layer", "loss", "optimizer"):
            getattr(self, name).load_state_dict(state[name])


def output_layer(network: nn.Module, labels: int, name: str) -> nn.Linear:
    """Return the last linear layer of a network, which must have an output for each label.

    Raises:
        DataError: if it has none; by it the trial fails and not the worker, as by a resplit that cannot be made.
    """
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linear or linear[-1].out_features != labels:
        raise DataError(f"co_training needs a network that ends in a linear layer, which {name} does not: choose one")
    return linear[-1]


def features_of(network: nn.Module, output: nn.Linear, images: Tensor) -> Tensor:
    """Return the (B, width) input of the output layer for a batch of images."""
    found: list[Tensor] = []
    handle = output.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    try:
        network(images)
    finally:
        handle.remove()
    return found[-1]


@torch.no_grad()
def update_what_has_gradients(optimizer: BlockPESG) -> None:
    """Do the update of a counted step, but leave parameters without a gradient, their buffers and alpha as they are.

    PESG updates all parameters at once, in blocks; what must stay, a layer of a few hundred weights, is copied back. It
    still counts in the mean of the weights from which the reference is made, as it is.
    """
    parameters = optimizer.param_groups[0]["params"]
    idle = {place: parameter for place, parameter in enumerate(parameters) if parameter.grad is None}
    for parameter in idle.values():
        parameter.grad = torch.zeros_like(parameter)
    kept = [*idle.values(), *([] if optimizer.alpha is None else [optimizer.alpha])]
    kept += [buffer for one in idle.values() for buffer in optimizer.state[one].values() if isinstance(buffer, Tensor)]
    sums = {} if optimizer.model_acc is None else {place: optimizer.model_acc[place] for place in idle}
    kept += sums.values()
    before = [tensor.clone() for tensor in kept]
    optimizer.update()
    for tensor, value in zip(kept, before, strict=True):
        tensor.copy_(value)
    for place, total in sums.items():
        total.add_(idle[place])
    for parameter in idle.values():
        parameter.grad = None
