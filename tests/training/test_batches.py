"""Batches of row numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from hpo.study.config import TrainConfig
from hpo.training.inputs.batches import epoch_batches
from hpo.training.seeds import generator

ROWS = np.arange(100, 150)
LABELS = (np.arange(50) % 5 == 0).astype(np.uint8)[:, None]


def draw(steps: int = 7, seed: int = 0, rows: np.ndarray = ROWS, labels: np.ndarray = LABELS, **settings) -> Tensor:
    return epoch_batches(TrainConfig(**settings), rows, labels, steps, generator(seed))


def test_random_batches_are_full_and_use_every_row_before_any_comes_again() -> None:
    batches = draw(steps=7, batch_size=8)
    assert batches.shape == (7, 8)
    _, counts = np.unique(batches.numpy(), return_counts=True)
    assert len(counts) == 50
    assert sorted(set(counts)) == [1, 2]
    assert len(set(batches.flatten()[:50].tolist())) == 50


@pytest.mark.parametrize(("share", "size", "expected"), [(0.5, 8, 4), (0.05, 8, 1), (0.95, 8, 7), (0.3, 10, 3)])
def test_a_fixed_share_holds_in_every_batch(share: float, size: int, expected: int) -> None:
    batches = draw(batching="fixed_share", positive_share=share, batch_size=size)
    positives = np.isin(batches.numpy(), ROWS[LABELS[:, 0] == 1]).sum(axis=1)
    assert set(positives) == {expected}


def test_with_ghost_batches_a_fixed_share_is_in_random_order() -> None:
    settings = {"batching": "fixed_share", "positive_share": 0.5, "batch_size": 32}
    plain, mixed = draw(**settings), draw(**settings, ghost_batch=16)
    assert torch.equal(plain.sort().values[0], mixed.sort().values[0])
    positives = np.isin(mixed.numpy(), ROWS[LABELS[:, 0] == 1])
    assert set(positives.sum(axis=1)) == {16}
    # BatchNorm normalises each half by itself; of one class alone nothing would be left of what tells the two apart.
    assert all(0 < half.sum() < 16 for batch in positives for half in (batch[:16], batch[16:]))


def test_a_fixed_share_cycles_each_class() -> None:
    batches = draw(steps=20, batching="fixed_share", positive_share=0.5, batch_size=10)
    rows, counts = np.unique(batches.numpy(), return_counts=True)
    of_positives = counts[np.isin(rows, ROWS[LABELS[:, 0] == 1])]
    of_negatives = counts[~np.isin(rows, ROWS[LABELS[:, 0] == 1])]
    assert set(of_positives) == {10}
    assert set(of_negatives) == {2, 3}


def test_batches_follow_from_their_generator_and_nothing_else() -> None:
    torch.manual_seed(1)
    first = draw(seed=4)
    torch.manual_seed(2)
    np.random.seed(2)
    assert torch.equal(first, draw(seed=4))
    assert not torch.equal(first, draw(seed=5))


def test_a_batch_larger_than_the_training_set_is_all_of_it() -> None:
    batches = draw(steps=1, batch_size=1024)
    assert sorted(batches[0].tolist()) == ROWS.tolist()


def test_what_cannot_make_a_batch_is_reported() -> None:
    with pytest.raises(ValueError, match=r"\b1\b"):
        draw(rows=ROWS[:1], labels=LABELS[:1])
    with pytest.raises(ValueError, match=r"fixed_share.*\b0\b.*\b4\b"):
        draw(rows=ROWS[1:5], labels=LABELS[1:5], batching="fixed_share")
    with pytest.raises(ValueError, match=r"fixed_share.*\b2\b"):
        draw(labels=np.repeat(LABELS, 2, axis=1), batching="fixed_share")
