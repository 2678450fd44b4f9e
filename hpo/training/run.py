"""`Run`: one network trained on the fit rows of one fold, an epoch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hpo.data.development import Development
from hpo.data.resplit import resplit
from hpo.statistics.auc import mean_auc_with_error
from hpo.study.config import TrainConfig
from hpo.training.averaging import WeightAverage, refresh_statistics
from hpo.training.batches import epoch_batches
from hpo.training.device import Machine
from hpo.training.epoch import Epoch
from hpo.training.failure import TrainingFailure
from hpo.training.inputs import make_inputs
from hpo.training.loss import make_loss
from hpo.training.network import resnet18
from hpo.training.optimizer import make_optimizer
from hpo.training.resident import Resident
from hpo.training.schedule import learning_rate_factor, updates_reference
from hpo.training.seeds import derive_seed, generator

Beat = Callable[[], None]

SCORING_ROWS = {2: 512, 3: 32}
_STATISTICS_BATCHES = 16


@dataclass(frozen=True)
class FoldReport:
    """One epoch of one fold. auc and standard_error: of the scoring rows; training_*: of the epoch's batches."""

    auc: float
    standard_error: float
    training_auc: float
    training_loss: float


class Run:
    """Training of one network; `fit` are row numbers of the development rows that `resident` holds.

    Draws depend on (seed, epoch) only. `beat` is called after each step and each batch of scoring; where it raises, the
    run may be saved: one resumed from `state_dict` takes the steps that are left and then scores, as it would have.
    An epoch is ceil(len(fit) / batch_size) steps, whatever the resplit. With `cross_entropy_share` the first epochs
    train with cross-entropy, in the same mode of the optimizer and at the same learning rate; at the switch the
    optimizer starts anew, with empty averages of gradients, a = b = alpha = 0, and its reference drawn, or set to the
    weights, then. With selection rows the scores that count are those at the best selection AUC, the earlier of equals.
    """

    def __init__(
        self,
        config: TrainConfig,
        development: Development,
        resident: Resident,
        fit: NDArray[np.int64],
        epochs: int,
        seed: int,
        machine: Machine,
        beat: Beat = lambda: None,
    ) -> None:
        self.config, self.epochs, self.seed, self.machine = config, epochs, seed, machine
        self.resident, self.beat = resident, beat
        dataset = development.dataset
        self.split = resplit(development, fit, config, derive_seed(seed, "resplit") % 2**32)
        self.steps = math.ceil(len(fit) / config.batch_size)
        self.inputs = make_inputs(config, dataset)
        self.network = resnet18(dataset.dimensions, dataset.labels, derive_seed(seed, "weights"))
        machine.place(self.network)
        self.average = WeightAverage(config, self.network, epochs)
        self.epochs_done = 0
        self._under_way: Epoch | None = None
        self._best_selection = -math.inf
        self._kept: NDArray[np.float32] | None = None
        share = config.cross_entropy_share if config.loss != "cross_entropy" else 0.0
        self._switch = min(round(share * epochs), epochs - 1)
        self._start_loss(0)

    @property
    def total_steps(self) -> int:
        """Steps of all its epochs."""
        return self.steps * self.epochs

    @property
    def steps_done(self) -> int:
        """Steps taken so far."""
        return self.epochs_done * self.steps + (self._under_way.steps_done if self._under_way else 0)

    def remaining_epochs(self) -> range:
        """Numbers of the epochs still to train or to finish, from 0."""
        return range(self.epochs_done, self.epochs)

    def batches(self, epoch: int) -> Iterator[Tensor]:
        """The batches of an epoch that are left, (B,) row numbers on the device.

        Sets loss, learning rate and reference where the epoch begins.
        """
        under_way = self._under_way
        if under_way is None or under_way.number != epoch:
            under_way = self._begin(epoch)
        self.network.train()
        yield from under_way.rows[under_way.steps_done :].to(self.machine.device)

    def step(self, batch: Tensor) -> None:
        """One update from one batch; loss and scores stay on the device."""
        assert self._under_way is not None
        images, targets = self._prepare(batch, self._under_way.random)
        with self.machine.autocast():
            logits = self.network(images)
        loss = self.loss(logits, targets)
        loss.backward()
        self.optimizer.step()
        self.network.zero_grad()
        self.loss.zero_grad()
        self.average.after_step(self.network)
        self._under_way.losses.append(loss.detach())
        self._under_way.logits.append(logits.detach())
        self.beat()

    def finish(self, epoch: int) -> None:
        """Ends an epoch: raises TrainingFailure if a loss was not finite, and takes the weights into the average."""
        self._take_into_average(epoch)
        self._end(epoch)

    def score(self, epoch: int, rows: NDArray[np.int64]) -> FoldReport:
        """Ends an epoch and scores `rows`; raises TrainingFailure if a loss or a score was not finite.

        What it changes before its last line it changes to the same again if a beat ends it and it is called anew.
        """
        under_way = self._take_into_average(epoch)
        selection = self._selection_auc()
        if selection > self._best_selection or self._kept is None:
            self._kept = self.scores(self._images(rows))
            self._best_selection = selection if self.split.selection is not None else -math.inf
        area, error = mean_auc_with_error(self._kept, self.resident.host_labels[rows])
        training_auc = under_way.training_auc(self.resident.host_labels)
        self._end(epoch)
        return FoldReport(area, error, training_auc, self.training_loss)

    def scores(self, images: Tensor) -> NDArray[np.float32]:
        """Logits of (N, 1, ...) uint8 images on the device by the weights that are scored, (N, L).

        Raises TrainingFailure if one is not finite.
        """
        network = self.scored_network().eval()
        parts = []
        with torch.inference_mode(), self.machine.autocast():
            for part in torch.split(images, SCORING_ROWS[images.dim() - 2]):
                parts.append(network(self.inputs.for_scoring(part)))
                self.beat()
        scores: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        if not np.isfinite(scores).all():
            raise TrainingFailure("diverged", f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores not finite")
        return scores

    def scored_network(self) -> nn.Module:
        """The network whose scores count now: the last weights or their average."""
        return self.average.choose(self.network)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a run needs to go on from its last step; tensors are shared with the run."""
        return {
            "epochs_done": self.epochs_done,
            "under_way": None if self._under_way is None else self._under_way.state_dict(),
            "network": self.network.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "best_selection": self._best_selection,
            "kept": None if self._kept is None else torch.from_numpy(self._kept),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Copies the state of a run with equal arguments."""
        self.epochs_done, under_way = state["epochs_done"], state["under_way"]
        self._under_way = None
        if under_way is not None:
            self._under_way = self._draw(under_way["number"])
            self._under_way.load_state_dict(under_way)
        self.network.load_state_dict(state["network"])
        self._start_loss(max(0, self.epochs_done - 1) if under_way is None else under_way["number"])
        self.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self._best_selection = state["best_selection"]
        self._kept = None if state["kept"] is None else state["kept"].numpy().copy()

    def _begin(self, epoch: int) -> Epoch:
        if epoch == self._switch and epoch > 0:
            self._start_loss(epoch)
        if updates_reference(epoch, self.epochs):
            self.optimizer.update_regularizer()
        factor = learning_rate_factor(self.config.schedule, epoch, self.epochs)
        self.optimizer.set_learning_rate(factor * self.config.learning_rate)
        self._under_way = self._draw(epoch)
        return self._under_way

    def _draw(self, epoch: int) -> Epoch:
        random = generator(self.seed, "augmentation", epoch, device=self.machine.device)
        return Epoch(epoch, self._draw_batches("batches", epoch), random)

    def _take_into_average(self, epoch: int) -> Epoch:
        assert self._under_way is not None
        self.training_loss = self._under_way.mean_loss()
        if self.average.after_epoch(self.network, epoch):
            self._refresh_statistics(epoch)
        return self._under_way

    def _end(self, epoch: int) -> None:
        self.epochs_done, self._under_way = epoch + 1, None

    def _selection_auc(self) -> float:
        """Of the weights that are scored now, on the selection rows; infinite without such, so that the last count."""
        rows = self.split.selection
        if rows is None:
            return math.inf
        return mean_auc_with_error(self.scores(self._images(rows)), self.resident.host_labels[rows])[0]

    def _images(self, rows: NDArray[np.int64]) -> Tensor:
        return self.resident.images[torch.from_numpy(rows).to(self.machine.device)]

    def _start_loss(self, epoch: int) -> None:
        labels = self.resident.labels.shape[1]
        name = self.config.loss if epoch >= self._switch else "cross_entropy"
        self.loss = make_loss(name, labels, self.config.margin).to(self.machine.device)
        noise = generator(self.seed, "reference")
        self.optimizer = make_optimizer(self.config, self.network.parameters(), self.loss, noise)

    def _prepare(self, batch: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        return self.inputs.for_training(self.resident.images[batch], self.resident.labels[batch], random)

    def _draw_batches(self, stream: str, epoch: int) -> Tensor:
        rows = self.split.training
        labels = self.resident.host_labels[rows]
        return epoch_batches(self.config, rows, labels, self.steps, generator(self.seed, stream, epoch))

    def _refresh_statistics(self, epoch: int) -> None:
        random = generator(self.seed, "statistics", epoch, device=self.machine.device)
        batches = self._draw_batches("statistics batches", epoch)[:_STATISTICS_BATCHES].to(self.machine.device)
        with self.machine.autocast():
            refresh_statistics(
                self.scored_network(), self._beaten(self._prepare(batch, random)[0] for batch in batches)
            )

    def _beaten(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        for batch in batches:
            self.beat()
            yield batch
