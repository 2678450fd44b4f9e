"""Implement PESG in place on blocks of tensors, as a subclass of LibAUC's."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Sequence
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from hpo.study.config import TrainConfig
from hpo.training.optim.blocks import Block, Source, cut_blocks
from hpo.training.optim.device_scalars import DeviceScalars
from hpo.training.optim.libauc_pesg import PESG
from hpo.training.optim.losses.compositional import CompositionalLoss
from hpo.training.optim.losses.minmax import ALPHA_MAX, MinMaxLoss
from hpo.training.optim.update_rules import add_decay, descend, descend_adam, descend_lion, shrink
from hpo.training.state import StateDict

_REFERENCE_SPREAD = 0.01
_BETAS = {"lion": (0.9, 0.99)}
"""As recommended by its authors; all other modes have Adam's, 0.9 and 0.999."""

_DECOUPLED = ("adamw", "lion")


def make_optimizer(
    config: TrainConfig,
    parameters: Iterable[Tensor],
    loss: nn.Module,
    noise: torch.Generator,
    capturable: bool = False,
) -> BlockPESG:
    """Make the optimizer of a configuration for `parameters` and the loss's dual variables, if it has any.

    Epoch decay is off if `config.loss` does not use it. The regularizer's reference is drawn from N(0, 0.01) by
    `noise`, or without it is the current weights. capturable: see BlockPESG.
    """
    return BlockPESG(
        list(parameters),
        loss,
        lr=config.learning_rate,
        mode=config.optimizer,
        clip_value=config.clip,
        clip_norm=config.clip_norm,
        weight_decay=config.weight_decay,
        epoch_decay=config.epoch_decay if config.has_effect("epoch_decay") else 0.0,
        momentum=1 - config.momentum,
        noise=noise if config.reference_weights == "noise" else None,
        inner_momentum=config.inner_momentum if isinstance(loss, CompositionalLoss) else None,
        capturable=capturable,
    )


class _Uncompiled:
    """Methods of optimizers as they are written: PyTorch's wrappers around them load TorchDynamo, a second a process.

    The wrappers keep the methods out of code that `torch.compile` makes, and nothing is compiled here.
    """

    add_param_group = inspect.unwrap(PESG.add_param_group)
    zero_grad = inspect.unwrap(PESG.zero_grad)


class BlockPESG(_Uncompiled, PESG):  # type: ignore[misc]
    """LibAUC's PESG with another `step`: the same update within float error, by `torch._foreach_*` in place.

    Deliberate differences: clip_value 0 is off; a, b and alpha have shape (L,) and their gradients are expected as
    AUCMLoss gives them; alpha >= 0 without synchronisation; the reference is drawn from an explicit generator, or is
    the current weights; `update_regularizer` does nothing without epoch decay or without a step since the last call;
    `load_state_dict` does not modify its argument. `momentum` is LibAUC's: the share of the new gradient.

    Running class means belong to the loss: a, b and alpha are then not updated here.

    clip_norm: bound on the norm of the gradient over all weights, without those of a and b; 0 is off.

    mode: PESG's sgd and adam; adamw and lion, in which weight decay is decoupled from the gradient and epoch decay, a
    part of the objective, is not. In every mode a and b move as the weights do, and alpha by PESG's own step.

    It is a subclass to keep LibAUC's state dicts and attributes; the constructor is called without epoch decay, because
    it would draw the reference from the global generator. All parameters except a and b must have gradients.

    A step has two parts: `count` on the host, `update` on the device. capturable: values that change per step are kept
    on the device, so that an `update` recorded as a CUDA graph after the first step stays correct for all later ones.
    """

    def __init__(
        self,
        params: list[Tensor],
        loss_fn: nn.Module,
        *,
        lr: float,
        mode: str = "sgd",
        clip_value: float = 1.0,
        clip_norm: float = 0.0,
        weight_decay: float = 0.0,
        epoch_decay: float = 0.0,
        momentum: float = 0.9,
        noise: torch.Generator | None = None,
        inner_momentum: float | None = None,
        capturable: bool = False,
    ) -> None:
        dual = loss_fn.dual_variables() if isinstance(loss_fn, MinMaxLoss) else None
        super().__init__(
            params,
            dual or SimpleNamespace(a=None, b=None, alpha=None, margin=None),
            lr=lr,
            mode="sgd" if mode == "sgd" else "adam",
            clip_value=clip_value,
            weight_decay=weight_decay,
            epoch_decay=0.0,
            momentum=momentum,
            betas=_BETAS.get(mode, (0.9, 0.999)),
            verbose=False,
            device=params[0].device,
        )
        self.mode = mode
        self._weights, self._clip_norm = params, clip_norm
        self._decays_apart = mode in _DECOUPLED and weight_decay > 0
        self._blocks: list[Block] = []
        self._inner_blocks: list[Block] = []
        self._inner_momentum, self._inner_learning_rate = inner_momentum, 0.0
        self._numbers = DeviceScalars(params[0] if capturable else None)
        self.T: int = 0
        self.steps: int = 0
        self.epoch_decay = epoch_decay
        group = self.param_groups[0]
        group["epoch_decay"] = epoch_decay
        if epoch_decay > 0:
            self.model_ref = [_reference(p, noise) for p in group["params"]]
            self.model_acc = [torch.zeros_like(p) for p in group["params"]]
        group["model_ref"], group["model_acc"] = self.model_ref, self.model_acc

    def step(self) -> None:
        """Update weights, a, b and alpha once from their gradients, which it overwrites, without an inner step."""
        self.count(has_inner=False)
        self.update()

    def count(self, has_inner: bool = True) -> None:
        """Do the host's part of a step: count it, and set the scalars that `update` and `update_inner` use.

        has_inner: whether the step of a compositional loss has its inner one.
        """
        self.steps += 1
        # Weights are summed for the reference after the inner step, too.
        self.T += 2 if has_inner and self._inner_momentum is not None else 1
        group = self.param_groups[0]
        learning_rate = group["lr"]
        if self._inner_momentum is not None:
            self._numbers.put("inner move", -self._inner_learning_rate)
        if self._decays_apart:
            self._numbers.put("kept", 1 - learning_rate * group["weight_decay"])
        if self.mode in ("sgd", "lion"):
            self._numbers.put("move", -learning_rate)
        else:
            beta1, beta2 = group["betas"]
            move = -learning_rate / (1 - beta1**self.steps)
            self._numbers.put("size", 1 / (move * math.sqrt(1 - beta2**self.steps)))
            self._numbers.put("least size", group["eps"] / move)
        if self.alpha is not None:
            self._numbers.put("alpha", 2 * learning_rate)

    @torch.no_grad()
    def update(self) -> None:
        """Do the device's part of a step, after `count`; never synchronises."""
        self._bound_norm()
        group = self.param_groups[0]
        if not self._blocks:
            self._blocks = self._cut_blocks(range(len(group["params"])), self._averages())
        gradients = [p.grad for p in group["params"]]
        for block in self._blocks:
            grads = [gradients[index][low:high] for index, low, high in block.where]
            add_decay(grads, block, group, self._decays_apart)
            if self._decays_apart:
                shrink(block, self._numbers["kept"])
            if self.mode == "sgd":
                descend(grads, block, group["momentum"], self._numbers["move"], first=self.steps == 1)
            elif self.mode == "lion":
                descend_lion(grads, block, group["betas"], self._numbers["move"])
            else:
                descend_adam(grads, block, group["betas"], self._numbers["size"], self._numbers["least size"])
            if block.summed:
                torch._foreach_add_(block.summed, block.parameters)
        if self.alpha is not None:
            gap = self.margin + self.b - self.a
            self.alpha.add_((gap - self.alpha) * self._numbers["alpha"]).clamp_(0, ALPHA_MAX)

    @torch.no_grad()
    def update_inner(self) -> None:
        """Take the device's part of the inner step of compositional training, between `count` and `update`.

        As LibAUC's PDSCA: u = k u + (1 - k)(w - eta_0 (g + decay)), then w = u, where k is `inner_momentum`, eta_0 the
        inner learning rate and g the clipped gradient of the inner loss; u starts as the first such point. So the
        weights stay at u, from which `update` goes on.
        """
        assert self._inner_momentum is not None
        self._bound_norm()
        group = self.param_groups[0]
        inner = [index for index, p in enumerate(group["params"]) if p is not self.a and p is not self.b]
        if not self._inner_blocks:
            self._inner_blocks = self._cut_blocks(inner, ("weight_buffer",))
        for block in self._inner_blocks:
            grads = [group["params"][index].grad[low:high] for index, low, high in block.where]
            add_decay(grads, block, group)
            torch._foreach_mul_(grads, self._numbers["inner move"])
            torch._foreach_add_(block.parameters, grads)
            if self.steps == 1:
                torch._foreach_copy_(block.first, block.parameters)
            else:
                torch._foreach_lerp_(block.first, block.parameters, 1 - self._inner_momentum)
                torch._foreach_copy_(block.parameters, block.first)
            if block.summed:
                torch._foreach_add_(block.summed, block.parameters)
        if self.model_acc is not None and self.a is not None:
            torch._foreach_add_(self.model_acc[-2:], [self.a, self.b])

    def set_learning_rate(self, learning_rate: float, inner: float = 0.0) -> None:
        """Use `learning_rate`, and `inner` for the inner step of compositional training, from the next step on."""
        self.param_groups[0]["lr"] = learning_rate
        self._inner_learning_rate = inner

    @torch.no_grad()
    def update_regularizer(self, decay_factor: float | None = None) -> None:
        """Set the reference to the mean of the weights since the last call, and divide the learning rate by the factor.

        Without epoch decay, or without a step since the last call, the reference is unchanged.
        """
        self.update_lr(decay_factor)
        if self.model_ref is None or self.T == 0:
            return
        torch._foreach_copy_(self.model_ref, self.model_acc)
        torch._foreach_div_(self.model_ref, float(self.T))
        torch._foreach_zero_(self.model_acc)
        self.T = 0

    def state_dict(self) -> StateDict:
        """Return the state of the update: buffers, reference, weight sum, counts; a, b and alpha are in the loss's."""
        # LibAUC's, on PyTorch's method as it is written, see _Uncompiled.
        state: StateDict = inspect.unwrap(torch.optim.Optimizer.state_dict)(self)
        state |= {"model_ref": self.model_ref, "model_acc": self.model_acc, "T": self.T, "steps": self.steps}
        own = ("a", "b", "alpha", "model_ref", "model_acc")
        state["param_groups"] = [
            {key: value for key, value in group.items() if key not in own} for group in state["param_groups"]
        ]
        return state

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Copy the state of an optimizer of the same configuration; the argument is neither changed nor shared."""
        # Not LibAUC's, which goes through PyTorch's wrapped method, see _Uncompiled.
        saved = dict(state_dict)
        sums = [(self.model_ref, saved.pop("model_ref")), (self.model_acc, saved.pop("model_acc"))]
        self.T, self.steps = saved.pop("T"), saved.pop("steps")
        inspect.unwrap(torch.optim.Optimizer.load_state_dict)(self, saved)
        for own, other in sums:
            if own is not None:
                torch._foreach_copy_(own, other)
        group = self.param_groups[0]
        group |= {"model_ref": self.model_ref, "model_acc": self.model_acc}
        group |= {"a": self.a, "b": self.b, "alpha": self.alpha}
        for state in self.state.values():
            state.update({name: value.clone() for name, value in state.items() if isinstance(value, Tensor)})
        self._blocks, self._inner_blocks = [], []

    def _bound_norm(self) -> None:
        if self._clip_norm > 0:
            clip_grad_norm_(self._weights, self._clip_norm)

    def _averages(self) -> tuple[str, ...]:
        """Return the names of the running averages that the mode keeps of each parameter."""
        if self.mode in ("adam", "adamw"):
            return ("exp_avg", "exp_avg_sq")
        if self.mode == "lion":
            return ("exp_avg",)
        return () if self.momentum == 1 else ("momentum_buffer",)

    def _cut_blocks(self, indices: Sequence[int], names: tuple[str, ...]) -> list[Block]:
        """Cut the parameters of these numbers, and their state of these names, into blocks."""
        params = self.param_groups[0]["params"]
        for index in indices:
            for name in names:
                self.state[params[index]].setdefault(name, torch.zeros_like(params[index]))
        sources = [
            Source(
                index,
                params[index],
                [self.state[params[index]][name] for name in names],
                None if self.model_ref is None else self.model_ref[index],
                None if self.model_acc is None else self.model_acc[index],
            )
            for index in indices
        ]
        return cut_blocks(sources)


def _reference(parameter: Tensor, noise: torch.Generator | None) -> Tensor:
    if noise is None:
        return parameter.detach().clone()
    drawn = torch.empty(parameter.shape, device=noise.device).normal_(0, _REFERENCE_SPREAD, generator=noise)
    return torch.empty_like(parameter).copy_(drawn)
