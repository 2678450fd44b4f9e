"""Average weights: exponentially by step (EMA), or uniformly by epoch (SWA) or by cycle."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hpo.study.config import TrainConfig
from hpo.training.optim.device_scalars import DeviceScalars, Number
from hpo.training.optim.lr_schedule import cycle_ends
from hpo.training.state import StateDict


class WeightAverage:
    """The weights used for scoring: the network's own, or an average in a second network.

    ema: after each step, average += (1 - d)(weights - average), BatchNorm statistics included; d grows as (1 + t) / (10
    + t) up to `ema_decay`, to limit the weight of the initial network in a short run.

    swa: after each epoch from `swa_start` on, uniform mean of the weights; BatchNorm statistics are recomputed from
    training batches, because those of the averaged networks are not those of the average (Izmailov et al. 2018, arXiv
    1803.05407). Until then the last weights are scored.

    cycles: likewise after the last epoch of each cycle of the learning rate that ends after `swa_start`, where the
    weights have settled; between two of them the mean stays. Source: Huang et al. 2017, arXiv 1704.00109, with the mean
    of the weights instead of the scores (Wortsman et al. 2022, arXiv 2203.05482).

    As in the optimizer, a step is `count_step` on the host, then `move` on the device; capturable: see BlockPESG.
    """

    def __init__(self, config: TrainConfig, network: nn.Module, epochs: int, capturable: bool = False) -> None:
        self._kind = config.weight_average
        self._decay = config.ema_decay
        first = min(round(config.swa_start * epochs), epochs - 1)
        averaged = {"swa": range(epochs), "cycles": cycle_ends(config.schedule, config.cycles, epochs)}
        self._averaged_epochs = frozenset(epoch for epoch in averaged.get(self._kind, ()) if epoch >= first)
        self._count = 0
        self._epochs_taken = 0
        self._average = None if self._kind == "none" else deepcopy(network).requires_grad_(False)
        self._numbers = DeviceScalars(next(network.parameters()) if capturable else None)

    def count_step(self) -> None:
        """Count a step, and set the share that `move` uses."""
        if self._kind == "ema":
            self._count += 1
            self._numbers.put("share", 1 - min(self._decay, (1 + self._count) / (10 + self._count)))

    def move(self, network: nn.Module) -> None:
        """Add the weights to the average after a step; never synchronises."""
        if self._kind == "ema":
            self._move_towards(network, self._numbers["share"])

    def after_epoch(self, network: nn.Module, epoch: int) -> bool:
        """Add the weights after `epoch`, counted from 0, once; return whether BatchNorm statistics must be recomputed.

        A repeated call for the same epoch, interrupted before its statistics were ready, only returns the answer.
        """
        if epoch not in self._averaged_epochs:
            return False
        if self._epochs_taken <= epoch:
            self._count += 1
            self._epochs_taken = epoch + 1
            self._move_towards(network, 1 / self._count)
        return True

    def choose(self, network: nn.Module) -> nn.Module:
        """Return the network to score: the average if there is one yet, else `network`."""
        return network if self._average is None or self._count == 0 else self._average

    def state_dict(self) -> StateDict:
        """Return the counts of averaged steps and epochs, and the average."""
        average = None if self._average is None else self._average.state_dict()
        return {"count": self._count, "epochs_taken": self._epochs_taken, "average": average}

    def load_state_dict(self, state: StateDict) -> None:
        """Copy the state of an average of the same configuration."""
        self._count, self._epochs_taken = state["count"], state["epochs_taken"]
        if self._average is not None:
            self._average.load_state_dict(state["average"])

    @torch.no_grad()
    def _move_towards(self, network: nn.Module, share: Number) -> None:
        assert self._average is not None
        average = _tensors(self._average)
        if isinstance(share, float):
            torch._foreach_lerp_(average, _tensors(network), share)
            return
        gaps = torch._foreach_sub(_tensors(network), average)
        torch._foreach_mul_(gaps, share)
        torch._foreach_add_(average, gaps)


def refresh_statistics(
    network: nn.Module, batches: Iterable[Tensor], autocast: Callable[[], AbstractContextManager[object]]
) -> Generator[None, None, None]:
    """Set a network's BatchNorm statistics to the plain mean over forward passes of `batches`, one at a time.

    autocast: the context of each forward pass.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        # BatchNorm reads the count of a plain mean in each layer, for each batch: on the host, where nothing waits.
        norm.num_batches_tracked = torch.zeros((), dtype=torch.long)
    network.train()
    try:
        for batch in batches:
            with torch.no_grad(), autocast():
                network(batch)
            yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            if count is not None and norm.num_batches_tracked is not None:
                norm.num_batches_tracked = count.fill_(int(norm.num_batches_tracked))


def _tensors(network: nn.Module) -> list[Tensor]:
    buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    return [*(p.detach() for p in network.parameters()), *buffers]
