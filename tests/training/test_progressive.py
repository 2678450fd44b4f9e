"""Training that begins with small images: their sizes, what is scored, and graphs of their own."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hpo.data.development import Development
from hpo.errors import HpoError
from hpo.study.config import TrainConfig, applies, settings
from hpo.study.files import builtin_study_file, load_spec
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.inputs.progressive import TrainingSizes
from hpo.training.loop import fold
from hpo.training.loop.cuda_graph import GraphableStep
from hpo.training.loop.fold import Run, complete
from hpo.training.machine.device import choose_machine
from hpo.training.model.network import make_network
from hpo.training.seeds import generator

pytestmark = pytest.mark.usefixtures("thin")

CPU = torch.device("cpu")
ROWS = np.arange(52)


def make_run(development: Development, epochs: int = 4, **settings: Any) -> Run:
    config = TrainConfig(**({"batch_size": 16, "precision": "fp32"} | settings))
    resident = make_device_dataset(development, config.input_size, CPU)
    return Run(config, development, resident, ROWS, epochs, 0, choose_machine(CPU, 2, "fp32"))


def edges(epochs: int, full: int = 28, **settings: Any) -> list[int]:
    sizes = TrainingSizes(TrainConfig(**settings), full, epochs)
    return [sizes.edge(epoch) for epoch in range(epochs)]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, int]]:
    """Whether in training, and the edge, of every batch that a network saw."""
    found: list[tuple[bool, int]] = []

    def watched(*arguments: Any) -> torch.nn.Module:
        network = make_network(*arguments)
        network.register_forward_pre_hook(
            lambda _, given: found.append((torch.is_grad_enabled() and network.training, given[0].shape[-1]))
        )
        return network

    monkeypatch.setattr(fold, "make_network", watched)
    return found


def test_linear_growth_goes_by_eighths_of_the_edge_from_the_share_to_the_full_size() -> None:
    assert edges(10, progressive=0.5) == [14, 18, 21, 21, 24, 28, 28, 28, 28, 28]
    assert edges(20, progressive=0.5, progressive_share=0.9)[-3:] == [28, 28, 28]
    assert edges(4, full=56, progressive=0.75, progressive_share=0.5) == [42, 49, 56, 56]


def test_staged_growth_has_two_sizes() -> None:
    assert edges(5, progressive=0.5, progressive_growth="staged", progressive_share=0.6) == [14, 14, 14, 28, 28]


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_the_last_epoch_is_at_full_size_however_few_there_are(epochs: int) -> None:
    assert edges(epochs, progressive=0.25, progressive_share=0.9)[-1] == 28


def test_without_it_every_epoch_is_at_full_size() -> None:
    assert edges(3, progressive_share=0.9) == [28, 28, 28]


def test_training_sees_small_images_and_scoring_full_ones(
    development: Development, seen: list[tuple[bool, int]]
) -> None:
    run = make_run(development, progressive=0.5, progressive_growth="staged", resplit="holdout")
    for epoch in range(4):
        seen.clear()
        complete(run.work(epoch, ROWS))
        assert {edge for trains, edge in seen if trains} == {4 if epoch < 2 else 8}
        assert {edge for trains, edge in seen if not trains} == {8}


def test_small_images_are_means_over_areas_of_the_augmented_ones(development: Development) -> None:
    run = make_run(development, augmentation="full")
    batch = torch.arange(10)
    whole, _ = run._prepare(batch, torch.Generator().manual_seed(0))
    small, _ = run._prepare(batch, torch.Generator().manual_seed(0), 4)
    torch.testing.assert_close(small, whole.view(10, 1, 4, 2, 4, 2).mean((3, 5)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weight_average", ["none", "ema"])
def test_statistics_of_normalisation_are_those_of_full_images_when_a_small_epoch_is_scored(
    development: Development, weight_average: str
) -> None:
    run = make_run(development, progressive=0.5, progressive_growth="staged", weight_average=weight_average)
    complete(run.work(0, ROWS))
    network = deepcopy(run.scored_network())
    found = [buffer.clone() for name, buffer in network.named_buffers() if "running" in name]
    random = generator(0, "statistics", 0)
    batches = run._draw_batches("statistics batches", 0, run.steps)
    first = network.get_submodule("bn1")
    assert isinstance(first, torch.nn.BatchNorm2d)
    means: list[Tensor] = []
    network.get_submodule("conv1").register_forward_hook(lambda *given: means.append(given[2].mean((0, 2, 3))))
    with torch.no_grad():
        for batch in batches[: 128 // 16]:
            network(run._prepare(batch, random)[0])
    torch.testing.assert_close(found[0], torch.stack(means).mean(0), rtol=1e-4, atol=1e-5)


def test_a_new_size_gets_a_graph_of_its_own_also_after_a_resume(
    development: Development, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjects: list[GraphableStep] = []

    class Recorded:
        def __init__(self, subject: GraphableStep) -> None:
            subjects.append(subject)
            self.step = subject.step

        def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
            return self.step(rows)

    monkeypatch.setattr(fold, "StepGraph", Recorded)
    run = make_run(development, progressive=0.5, progressive_growth="staged")
    run._on_cuda = True
    monkeypatch.setattr(run, "_send", lambda rows: rows)
    for epoch in range(4):
        complete(run.work(epoch, ROWS))
    assert len(subjects) == 1
    resumed = make_run(development, progressive=0.5, progressive_growth="staged")
    resumed._on_cuda = True
    resumed.load_state_dict(deepcopy(run.state_dict()))
    assert resumed._edge == 8
    assert subjects[0].kind == subjects[1].kind
    assert subjects[0].kind != make_run(development, progressive=0.5)._subject("aucm_v1").kind


def test_growth_and_share_have_an_effect_only_below_full_size() -> None:
    assert not applies("progressive_growth", {"progressive": 1.0})
    assert applies("progressive_growth", {"progressive": 0.75})
    assert "progressive_share" not in TrainConfig().active()
    assert [list(legal) for _, legal in settings()["progressive_share"].when] == [["below 1"]]


def test_a_study_that_searches_growth_needs_a_smaller_size() -> None:
    growth = 'space.progressive_growth.choices=["linear","staged"]'
    for size in ("fixed.progressive=0.5", "space.progressive.choices=[0.5,1.0]"):
        load_spec(builtin_study_file("breast"), (size, growth))
    load_spec(builtin_study_file("breast"), ("space.progressive.low=0.5", "space.progressive.high=1.0", growth))
    with pytest.raises(HpoError):
        load_spec(builtin_study_file("breast"), (growth,))
