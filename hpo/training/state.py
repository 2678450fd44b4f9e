"""Define `StateDict`: the part of a checkpoint that one object saves."""

from __future__ import annotations

from typing import Any

StateDict = dict[str, Any]
"""As PyTorch's `state_dict`: plain values, tensors, and lists and dicts of them, by name."""
