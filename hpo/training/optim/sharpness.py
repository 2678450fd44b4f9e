"""Sharpness-aware minimisation: gradients at the worst weights in a neighbourhood."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_LEAST_NORM = 1e-12


class Neighbour:
    """The weights w + rho g / |g|, with g the gradient at w and |g| its norm over all weights.

    They approximate the worst ones within distance rho. Whatever is minimised or maximised besides the weights (class
    means, alpha) stays where it is. Holds a copy of the weights while it is used; no synchronisation with the device.

    Source: Foret et al. 2021, arXiv 2010.01412, equation 2 with p = 2.
    """

    def __init__(self, parameters: Iterable[Tensor], radius: float) -> None:
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._radius = radius

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Move the weights there by their gradients, which it uses up; back, bit for bit, at the end."""
        weights = [parameter.detach() for parameter in self._parameters]
        kept = [weight.clone() for weight in weights]
        with torch.no_grad():
            gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
            assert len(gradients) == len(weights), "every weight has a gradient"
            norm = torch.stack(torch._foreach_norm(gradients)).norm()
            torch._foreach_mul_(gradients, self._radius / (norm + _LEAST_NORM))
            torch._foreach_add_(weights, gradients)
            # Their memory is needed for the activations of the next pass.
            del gradients
            for parameter in self._parameters:
                parameter.grad = None
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(weights, kept)
