"""Training tests run on one core, one fold after the other, so that progress has the same steps on every machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from hpo.training.machine import limits
from hpo.training.machine.device import one_thread


@pytest.fixture(scope="package", autouse=True)
def one_core() -> Iterator[None]:
    """One core and one thread of PyTorch, and what was before afterwards."""
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setattr(limits, "_cores", 1)
        yield


@pytest.fixture
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of 16 channels, for what does not depend on how many there are."""
    monkeypatch.setattr("hpo.training.model.resnet._WIDTHS", (16, 16, 16, 16))


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Two threads of PyTorch, as a library finds it, and the number of before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
