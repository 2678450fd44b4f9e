"""Train a final network at once, without its epochs."""

from __future__ import annotations

from typing import Any

from hpo.training.loop.fold import complete
from hpo.training.loop.refit import Refit, refit


def refitted(*arguments: Any, **options: Any) -> Refit:
    """Train as `refit` does; return the model."""
    return complete(refit(*arguments, **options))
