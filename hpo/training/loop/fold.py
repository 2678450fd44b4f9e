"""Train one network on the training part of one fold, an epoch at a time."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hpo.data.development import Development
from hpo.data.fold_scores import FoldScores
from hpo.data.resplit import resplit
from hpo.statistics.auc import mean_auc_with_error, mean_weighted_auc
from hpo.statistics.roc import mean_roc
from hpo.study.config import TrainConfig
from hpo.training.inputs.batches import epoch_batches
from hpo.training.inputs.device_dataset import DeviceDataset
from hpo.training.inputs.preprocessing import make_inputs
from hpo.training.inputs.progressive import TrainingSizes
from hpo.training.loop.best_epoch import BestEpoch
from hpo.training.loop.class_share import in_epoch
from hpo.training.loop.co_training import CoTraining, OtherBatch, OtherSet
from hpo.training.loop.cuda_graph import GraphableStep, StepGraph
from hpo.training.loop.epoch import Epoch
from hpo.training.loop.noisy import NoisySamples
from hpo.training.loop.passes import Passes
from hpo.training.loop.scoring import logits_of, score_images, scoring_rows
from hpo.training.machine.device import Machine
from hpo.training.machine.failure import plugin_failures
from hpo.training.model.ghost_batch import use_ghost_batches
from hpo.training.model.network import make_network
from hpo.training.optim.losses.factory import make_loss
from hpo.training.optim.lr_schedule import Schedule, updates_reference
from hpo.training.optim.pesg import make_optimizer
from hpo.training.optim.weight_averaging import WeightAverage, refresh_statistics
from hpo.training.report import FoldReport
from hpo.training.seeds import derive_seed, generator
from hpo.training.state import StateDict

Result = TypeVar("Result")

_STATISTICS_BATCHES = 16
_STATISTICS_SAMPLES = 128
"""Fewest samples from which statistics at full size are computed after an epoch of smaller images."""


Work = Generator[None, None, FoldReport]
"""Work in units, each a step or an evaluation batch: `next` does one, and the generator returns the report."""


class Run:
    """Training of one network; `samples` indexes the samples of the development set in `resident`.

    Random draws depend on (seed, epoch) only. Between two units of `work` the run can be checkpointed, or the device
    handed to another fold; no unit leaves a PyTorch context manager open. A run resumed from `state_dict` takes the
    remaining steps and then scores, exactly as if uninterrupted. On CUDA all units must run on one stream, which
    becomes that of a recorded graph.

    An epoch is ceil(len(samples) / batch_size) steps, whatever the resplit. With `cross_entropy_share` the first epochs
    train with cross-entropy, in the same mode of the optimizer and at the same learning rate. At the switch the
    optimizer is reset: empty gradient averages, a = b = alpha = 0, and the regularizer's reference drawn, or set to the
    weights, at that moment.

    With other datasets a share of the steps of its first epochs are on them, see `CoTraining`; a report is of the
    study's dataset alone.

    With a selection set the reported scores are those of the epoch with the best selection AUC, the earliest if equal.

    Args:
        others: the datasets that `co_training` names, on the device.
        keep_weights: keep the weights of that epoch, too.
    """

    def __init__(
        self,
        config: TrainConfig,
        development: Development,
        resident: DeviceDataset,
        samples: NDArray[np.int64],
        epochs: int,
        seed: int,
        machine: Machine,
        others: Sequence[OtherSet] = (),
        keep_weights: bool = False,
    ) -> None:
        self.config, self.epochs, self.seed, self.machine = config, epochs, seed, machine
        self.resident = resident
        self._on_cuda = machine.device.type == "cuda"
        dataset = development.dataset
        self.split = resplit(development, samples, config, derive_seed(seed, "resplit") % 2**32)
        training = self.split.training
        self.noisy = NoisySamples(config, training, resident.host_labels[training], epochs)
        self.steps = math.ceil(len(samples) / config.batch_size)
        self._schedule = Schedule.of(config, epochs, self.steps)
        with plugin_failures(config):
            self.inputs = make_inputs(config, dataset)
            self.network = make_network(config, dataset, derive_seed(seed, "weights"))
            use_ghost_batches(self.network, config.ghost_batch)
            machine.place(self.network)
            self.together = CoTraining(config, others, self.network, dataset.labels, epochs, seed, machine)
            self.average = WeightAverage(config, self.network, epochs, capturable=self._on_cuda)
            self._random = torch.Generator(machine.device)
            self.epochs_done = 0
            self._under_way: Epoch | None = None
            self.best = BestEpoch(keep_weights)
            share = config.cross_entropy_share if config.has_effect("cross_entropy_share") else 0.0
            self._switch = min(round(share * epochs), epochs - 1)
            self._sizes = TrainingSizes(config, max(resident.images.shape[2:]), epochs)
            self._edge = self._sizes.edge(0)
            self._start_loss(0)

    @property
    def total_steps(self) -> int:
        """Return the number of steps of all its epochs."""
        return self.steps * self.epochs

    @property
    def steps_done(self) -> int:
        """Return the number of steps taken."""
        return self.epochs_done * self.steps + (self._under_way.steps_done if self._under_way else 0)

    def remaining_epochs(self) -> range:
        """Return the epochs still to train or to finish, from 0."""
        return range(self.epochs_done, self.epochs)

    def work(self, epoch: int, rows: NDArray[np.int64]) -> Work:
        """Do the rest of an epoch, one unit at a time: its steps, then scores of the samples `rows`.

        A generator abandoned between two units can be created again and resumes. Raises TrainingFailure if a loss or a
        score was not finite.
        """
        with plugin_failures(self.config):
            for batch in self.batches(epoch):
                self.step(batch)
                yield
            return (yield from self.score(epoch, rows))

    def batches(self, epoch: int) -> Iterator[Tensor | OtherBatch]:
        """Yield the remaining batches of an epoch, (B,) sample numbers on the device, of this or another dataset.

        Sets loss and reference at the start of the epoch.
        """
        under_way = self._under_way
        if under_way is None or under_way.number != epoch:
            under_way = self._begin(epoch)
        self.network.train()
        yield from under_way.batches(self._send)

    def step(self, batch: Tensor | OtherBatch) -> None:
        """Do one update from one batch; loss and scores stay on the device."""
        assert self._under_way is not None
        factor = self._schedule.factor(self._under_way.number, self._under_way.steps_done)
        for optimizer in (self.optimizer, *self.together.optimizers):
            optimizer.set_learning_rate(factor * self.config.learning_rate, factor * self.config.inner_learning_rate)
        self.optimizer.count(has_inner=not isinstance(batch, OtherBatch))
        self.average.count_step()
        if isinstance(batch, OtherBatch):
            self._under_way.other_losses.append(self.together.step(batch, self.optimizer, self._random, self._edge))
            self.average.move(self.network)
            return
        loss, logits = self._graph(batch) if self._graph else self._compute(batch)
        self._under_way.losses.append(loss)
        self._under_way.logits.append(logits)

    def finish(self, epoch: int) -> None:
        """End an epoch without scoring: update the weight average. Raises TrainingFailure if a loss was not finite."""
        complete(self._take_into_average(epoch))
        self._end(epoch, complete(self._left_out_logits(epoch)))

    def score(self, epoch: int, rows: NDArray[np.int64]) -> Work:
        """End an epoch and score `rows`. Raises TrainingFailure if a loss or a score was not finite.

        Idempotent up to its last line: if abandoned on the way and created again, it makes the same changes.
        """
        under_way = yield from self._take_into_average(epoch)
        left_out = yield from self._left_out_logits(epoch)
        selection = yield from self._selection_auc()
        if self.best.is_beaten_by(selection):
            scores = yield from self._scoring(self._images(rows))
            self.best.replace(selection, scores, self.scored_network())
        assert self.best.scores is not None
        area, error = mean_auc_with_error(self.best.scores, self.resident.host_labels[rows])
        training_auc = under_way.training_auc(self.resident.host_labels)
        self._end(epoch, left_out)
        roc = mean_roc(self.best.scores, self.resident.host_labels[rows])
        return FoldReport(area, error, training_auc, self.training_loss, roc, self.kept_scores(rows))

    def kept_scores(self, rows: NDArray[np.int64]) -> FoldScores | None:
        """Return the scores of the last report, which were of the samples `rows`; None before the first."""
        scores = self.best.scores
        return None if scores is None else FoldScores(rows, self.resident.host_labels[rows], scores)

    def scores(self, images: Tensor) -> NDArray[np.float32]:
        """Return the logits, (N, L), of (N, 1, ...) uint8 images on the device by the weights in use for scoring.

        Raises TrainingFailure if one is not finite.
        """
        return complete(self._scoring(images))

    def scored_network(self) -> nn.Module:
        """Return the network in use for scoring: the last weights or their average."""
        return self.average.choose(self.network)

    def state_dict(self) -> StateDict:
        """Return everything that a run needs to resume from its last step; tensors are shared with the run."""
        return {
            "epochs_done": self.epochs_done,
            "under_way": None if self._under_way is None else self._under_way.state_dict(),
            "network": self.network.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            **self.best.state_dict(),
            "noisy": self.noisy.state_dict(),
            "together": self.together.state_dict(),
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Copy the state of a run with equal arguments."""
        self.epochs_done, under_way = state["epochs_done"], state["under_way"]
        self._under_way = None
        self.noisy.load_state_dict(state.get("noisy", {}))
        if under_way is not None:
            self._under_way = self._draw(under_way["number"])
            self._under_way.load_state_dict(under_way)
        self.network.load_state_dict(state["network"])
        last = max(0, self.epochs_done - 1) if under_way is None else under_way["number"]
        self._edge = self._sizes.edge(last)
        self._start_loss(last)
        self.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.together.load_state_dict(state.get("together", {}))
        self.best.load_state_dict(state, self.machine.device)

    def _begin(self, epoch: int) -> Epoch:
        if epoch == self._switch and epoch > 0:
            self._start_loss(epoch)
        self._set_edge(self._sizes.edge(epoch))
        if updates_reference(epoch, self.epochs):
            for optimizer in (self.optimizer, *self.together.optimizers):
                optimizer.update_regularizer()
        self._under_way = self._draw(epoch)
        return self._under_way

    def _set_edge(self, edge: int) -> None:
        """Set the size of the images of the next steps; a new one needs a graph of its own."""
        if edge != self._edge:
            self._edge = edge
            self._graph = StepGraph(self._subject(self._loss_name)) if self._on_cuda else None

    def _draw(self, epoch: int) -> Epoch:
        self._random.manual_seed(derive_seed(self.seed, "augmentation", epoch))
        turns = self.together.draw(epoch, self.steps)
        steps = self.steps if turns is None else turns.own_steps
        return Epoch(epoch, self._draw_batches("batches", epoch, steps), self._random, turns)

    def _compute(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and logits of a batch after updating from them: the device's part of a step."""
        images, targets = self._prepare(batch, self._random, self._edge)
        loss, logits = self._passes.compute(images, targets)
        self.optimizer.update()
        self._passes.forget_gradients()
        self.average.move(self.network)
        return loss, logits

    def _scoring(self, images: Tensor) -> Generator[None, None, NDArray[np.float32]]:
        return score_images(self.scored_network(), images, self.inputs, self.machine.autocast)

    def _take_into_average(self, epoch: int) -> Generator[None, None, Epoch]:
        assert self._under_way is not None
        self.training_loss = self._under_way.mean_loss()
        if self.average.after_epoch(self.network, epoch):
            yield from self._refresh_statistics(epoch, _STATISTICS_BATCHES)
        elif self._sizes.are_small(epoch):
            # Features of small images have other means and variances: Touvron et al. 2019, arXiv 1906.06423.
            yield from self._refresh_statistics(epoch, -(-_STATISTICS_SAMPLES // self.config.batch_size))
        return self._under_way

    def _left_out_logits(self, epoch: int) -> Generator[None, None, NDArray[np.float32]]:
        """Return the logits, (n, L), of the samples left out of an epoch, augmented as in training."""
        rows = self.noisy.left_out(epoch)
        random = generator(self.seed, "left out", epoch, device=self.machine.device)
        size = scoring_rows(self.inputs.dimensions, max(self.resident.images.shape[2:]))
        parts = torch.split(self._send(torch.from_numpy(rows)), size) if len(rows) else ()
        # Beside an average, which is scored, the network keeps the statistics of the images that it was trained on.
        edge = None if self.scored_network() is self.network else self._sizes.edge(epoch)
        prepared = (self._prepare(part, random, edge)[0] for part in parts)
        return logits_of(self.network, prepared, self.resident.labels.shape[1], self.machine.autocast)

    def _end(self, epoch: int, left_out: NDArray[np.float32]) -> None:
        assert self._under_way is not None
        self.noisy.end_epoch(epoch, *self._under_way.trained(), left_out)
        self.epochs_done, self._under_way = epoch + 1, None

    def _selection_auc(self) -> Generator[None, None, float]:
        """Return the AUC on the selection set; infinite without one, so that the last epoch counts."""
        rows = self.split.selection
        if rows is None:
            return math.inf
        scores = yield from self._scoring(self._images(rows))
        labels, weights = self.resident.host_labels[rows], self.split.weights
        return mean_auc_with_error(scores, labels)[0] if weights is None else mean_weighted_auc(scores, labels, weights)

    def _images(self, rows: NDArray[np.int64]) -> Tensor:
        return self.resident.images[self._send(torch.from_numpy(rows))]

    def _send(self, rows: Tensor) -> Tensor:
        """Copy sample numbers to the device without waiting for its queue."""
        return rows.pin_memory().to(self.machine.device, non_blocking=True) if self._on_cuda else rows

    def _start_loss(self, epoch: int) -> None:
        config = self.config if epoch >= self._switch else _with_cross_entropy(self.config)
        self.loss = make_loss(config, self.resident.labels.shape[1]).to(self.machine.device)
        noise = generator(self.seed, "reference")
        self.optimizer = make_optimizer(config, self.network.parameters(), self.loss, noise, capturable=self._on_cuda)
        self._loss_name = config.loss
        self._passes = Passes(self.network, self.loss, self.optimizer, self.machine.autocast, config.sam)
        self.together.start_loss(config)
        self._graph = StepGraph(self._subject(config.loss)) if self._on_cuda else None

    def _subject(self, loss: str) -> GraphableStep:
        settings = self.config.model_dump().values()
        kind = (
            loss,
            # Choices, and whether a number is 0: a part that is off launches no kernels.
            tuple(value if isinstance(value, str) else bool(value) for value in settings),
            min(self.config.batch_size, len(self.split.training)),
            self.resident.images.shape[1:],
            self._edge,
            self.resident.labels.shape[1],
            self.machine,
        )
        return GraphableStep(self._compute, self._random, self._changing, kind)

    def _changing(self) -> list[Any]:
        return [part.state_dict() for part in (self.network, self.loss, self.optimizer, self.average)]

    def _prepare(self, batch: Tensor, random: torch.Generator, edge: int | None = None) -> tuple[Tensor, Tensor]:
        return self.inputs.for_training(self.resident.images[batch], self.resident.labels[batch], random, edge)

    def _draw_batches(self, stream: str, epoch: int, steps: int) -> Tensor:
        rows = self.noisy.kept(epoch)
        labels = self.resident.host_labels[rows]
        config = in_epoch(self.config, labels, epoch, self.epochs)
        return epoch_batches(config, rows, labels, steps, generator(self.seed, stream, epoch))

    def _refresh_statistics(self, epoch: int, count: int) -> Generator[None, None, None]:
        """Recompute the BatchNorm statistics of the scored network from `count` batches of full size."""
        random = generator(self.seed, "statistics", epoch, device=self.machine.device)
        batches = self._send(self._draw_batches("statistics batches", epoch, self.steps)[:count])
        prepared = (self._prepare(batch, random)[0] for batch in batches)
        return refresh_statistics(self.scored_network(), prepared, self.machine.autocast)


def _with_cross_entropy(config: TrainConfig) -> TrainConfig:
    """Return the configuration of the epochs before the loss, with the label smoothing that belongs to it."""
    smoothing = config.label_smoothing if config.has_effect("label_smoothing") else 0.0
    return config.model_copy(update={"loss": "cross_entropy", "label_smoothing": smoothing})


def complete(work: Generator[None, None, Result]) -> Result:
    """Run all units of a work and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
