"""The forward and backward passes of a training step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hpo.training.optim.losses.compositional import CompositionalLoss
from hpo.training.optim.pesg import BlockPESG
from hpo.training.optim.sharpness import Neighbour


class Passes:
    """Compute the gradients of a batch, and leave them in the parameters for the optimizer's update.

    With a compositional loss a step has two passes over its batch: an inner one, whose gradient moves the weights
    (`BlockPESG.update_inner`), and the outer one at the moved weights. BatchNorm statistics are updated once a step, in
    the outer pass, whose weights are nearer to those that will be scored.

    Sharpness-aware steps have one more pass, at a neighbour of the weights, whose gradients count (`Neighbour`). Loss
    and scores are those at the weights themselves, and so are the statistics of BatchNorm and of the loss: the pass at
    the neighbour changes none of them.

    autocast: the context of each forward pass. radius: of the neighbourhood; 0 is no sharpness-aware step.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: BlockPESG,
        autocast: Callable[[], AbstractContextManager[object]],
        radius: float = 0.0,
    ) -> None:
        self._network, self._loss, self._optimizer, self._autocast = network, loss, optimizer, autocast
        self._inner = loss.inner_loss() if isinstance(loss, CompositionalLoss) else None
        self._neighbour = Neighbour(network.parameters(), radius) if radius > 0 else None

    def compute(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and logits of a batch, detached, whose gradients it leaves; never synchronises."""
        if self._inner is not None:
            with fixed_statistics(self._network):
                self._backward(images, targets, self._inner)
            self._optimizer.update_inner()
            # Their memory is needed for the activations of the next pass.
            self.forget_gradients()
        found = self._backward(images, targets, self._loss)
        if self._neighbour is not None:
            with self._neighbour.reached(), fixed_statistics(self._network), _in_evaluation(self._loss):
                self._backward(images, targets, self._loss)
        return found

    def forget_gradients(self) -> None:
        """Drop the gradients of network and loss."""
        self._network.zero_grad()
        self._loss.zero_grad()

    def _backward(self, images: Tensor, targets: Tensor, loss: nn.Module) -> tuple[Tensor, Tensor]:
        with self._autocast():
            scores = self._network(images)
            _check_logits(scores, targets)
            logits = scores.float()
        value = loss(logits, targets)
        _check_loss(value)
        # Normally none are left from the pass before; a recording that failed midway may leave some.
        self.forget_gradients()
        value.backward()
        return value.detach(), logits.detach()


def _check_logits(logits: object, targets: Tensor) -> None:
    """Raise unless a network, perhaps of a plug-in, returned logits of the shape of the targets.

    AUCM broadcasts (B,) against (B, 1), so that a whole epoch would be trained before scoring fails.
    """
    wanted = f"a tensor of shape {tuple(targets.shape)}, a logit for each image and label"
    if not isinstance(logits, Tensor):
        raise TypeError(f"the network returned {type(logits).__name__}, not {wanted}")
    if logits.shape != targets.shape:
        raise ValueError(f"the network returned a tensor of shape {tuple(logits.shape)}, not {wanted}")


def _check_loss(value: object) -> None:
    """Raise unless a loss, perhaps of a plug-in, returned a number that depends on the logits."""
    if not isinstance(value, Tensor):
        raise TypeError(f"the loss returned {type(value).__name__}, not a tensor")
    if value.numel() != 1:
        raise ValueError(f"the loss returned a tensor of shape {tuple(value.shape)}, not one number")
    if not value.requires_grad:
        raise ValueError("no gradient leads from the loss to the network: it, or the logits, are detached or constant")


@contextmanager
def fixed_statistics(network: nn.Module) -> Iterator[None]:
    """Leave BatchNorm's running statistics as they are inside the context; batches are normalised as before."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@contextmanager
def _in_evaluation(loss: nn.Module) -> Iterator[None]:
    """Let the running statistics of a loss stay as they are inside the context."""
    loss.eval()
    try:
        yield
    finally:
        loss.train()
