"""Training tests run on one thread: with two on a busy machine, OpenMP's threads wait for each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """One thread of PyTorch, and the number of before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of 16 channels, for what does not depend on how many there are."""
    monkeypatch.setattr("hpo.training.model.resnet._WIDTHS", (16, 16, 16, 16))
