"""`Run`: one network trained on the fit rows of one fold, an epoch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hpo.data.development import Development
from hpo.data.resplit import resplit
from hpo.statistics.auc import OneClassError, mean_auc_with_error
from hpo.study.config import TrainConfig
from hpo.training.averaging import WeightAverage, refresh_statistics
from hpo.training.batches import epoch_batches
from hpo.training.device import Machine
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

    Draws depend on (seed, epoch) only, so that a run resumed from `state_dict` after an epoch goes on as it would have.
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
        self.steps_done = 0
        self._best_selection = -math.inf
        self._kept: NDArray[np.float32] | None = None
        share = config.cross_entropy_share if config.loss != "cross_entropy" else 0.0
        self._switch = min(round(share * epochs), epochs - 1)
        self._start_loss(0)

    @property
    def total_steps(self) -> int:
        """Steps of all its epochs."""
        return self.steps * self.epochs

    def remaining_epochs(self) -> range:
        """Numbers of the epochs still to train, from 0."""
        return range(self.epochs_done, self.epochs)

    def batches(self, epoch: int) -> Iterator[Tensor]:
        """The batches of an epoch, (B,) row numbers on the device; sets loss, learning rate and reference for it."""
        if epoch == self._switch and epoch > 0:
            self._start_loss(epoch)
        if updates_reference(epoch, self.epochs):
            self.optimizer.update_regularizer()
        factor = learning_rate_factor(self.config.schedule, epoch, self.epochs)
        self.optimizer.set_learning_rate(factor * self.config.learning_rate)
        self.network.train()
        self._random = generator(self.seed, "augmentation", epoch, device=self.machine.device)
        self._rows = self._draw_batches("batches", epoch)
        self._losses: list[Tensor] = []
        self._logits: list[Tensor] = []
        yield from self._rows.to(self.machine.device)

    def step(self, batch: Tensor) -> None:
        """One update from one batch; loss and scores stay on the device."""
        images, targets = self._prepare(batch, self._random)
        with self.machine.autocast():
            logits = self.network(images)
        loss = self.loss(logits, targets)
        loss.backward()
        self.optimizer.step()
        self.network.zero_grad()
        self.loss.zero_grad()
        self.average.after_step(self.network)
        self._losses.append(loss.detach())
        self._logits.append(logits.detach())
        self.steps_done += 1
        self.beat()

    def finish(self, epoch: int) -> None:
        """Ends an epoch: raises TrainingFailure if a loss was not finite, and takes the weights into the average."""
        self.training_loss = self._finite_mean_loss(epoch)
        if self.average.after_epoch(self.network, epoch):
            self._refresh_statistics(epoch)
        self.epochs_done = epoch + 1

    def score(self, epoch: int, rows: NDArray[np.int64]) -> FoldReport:
        """Ends an epoch and scores `rows`; raises TrainingFailure if a loss or a score was not finite."""
        self.finish(epoch)
        if self.selects_now() or self._kept is None:
            self._kept = self.scores(self.resident.images[torch.from_numpy(rows).to(self.machine.device)])
        area, error = mean_auc_with_error(self._kept, self.resident.host_labels[rows])
        return FoldReport(area, error, self._training_auc(), self.training_loss)

    def selects_now(self) -> bool:
        """Whether the weights that are scored now are the best so far on the selection rows; always without such."""
        if self.split.selection is None:
            return True
        rows = self.split.selection
        scores = self.scores(self.resident.images[torch.from_numpy(rows).to(self.machine.device)])
        area, _ = mean_auc_with_error(scores, self.resident.host_labels[rows])
        if area <= self._best_selection:
            return False
        self._best_selection = area
        return True

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
        """Everything that a run needs to go on after its last finished epoch; tensors are shared with the run."""
        return {
            "epochs_done": self.epochs_done,
            "network": self.network.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "best_selection": self._best_selection,
            "kept": None if self._kept is None else torch.from_numpy(self._kept),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Copies the state of a run with equal arguments."""
        self.epochs_done = state["epochs_done"]
        self.steps_done = self.epochs_done * self.steps
        self.network.load_state_dict(state["network"])
        self._start_loss(max(0, self.epochs_done - 1))
        self.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self._best_selection = state["best_selection"]
        self._kept = None if state["kept"] is None else state["kept"].numpy().copy()

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
            refresh_statistics(self.scored_network(), (self._prepare(batch, random)[0] for batch in batches))

    def _finite_mean_loss(self, epoch: int) -> float:
        losses = torch.stack(self._losses).double().cpu().numpy()
        if not np.isfinite(losses).all():
            step = int(np.flatnonzero(~np.isfinite(losses))[0])
            raise TrainingFailure("diverged", f"loss {losses[step]} at step {step + 1} of epoch {epoch + 1}")
        return float(losses.mean())

    def _training_auc(self) -> float:
        scores = torch.cat(self._logits).cpu().numpy()
        labels = self.resident.host_labels[self._rows.flatten().numpy()]
        if not np.isfinite(scores).all():
            raise TrainingFailure("diverged", "scores of training batches not finite")
        try:
            return mean_auc_with_error(scores, labels)[0]
        except OneClassError:
            return math.nan
