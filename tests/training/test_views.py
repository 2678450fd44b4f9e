"""Test-time augmentation: which views are scored, how they are averaged, and that every network is scored by them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hpo.data.development import Development
from hpo.study.config import TrainConfig, TtaViews
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.inputs.views import View, average_views, make_views
from hpo.training.loop.fold import Run, complete
from hpo.training.loop.model_file import Model
from hpo.training.machine.device import choose_machine
from tests.arrays import made_development

pytestmark = pytest.mark.usefixtures("thin")

CPU = torch.device("cpu")
QUICK: dict[str, Any] = {"batch_size": 16, "input_size": 8, "precision": "fp32"}


def make_run(development: Development, **settings: Any) -> Run:
    config = TrainConfig(**(QUICK | settings))
    dimensions = development.dataset.dimensions
    resident = make_device_dataset(development, config.input_size, CPU)
    machine = choose_machine(CPU, dimensions, "fp32")
    return Run(config, development, resident, np.arange(len(development)), 1, 0, machine)


def probabilities(run: Run, images: Tensor) -> np.ndarray:
    return 1 / (1 + np.exp(-run.scores(images).astype(np.float64)))


@pytest.mark.parametrize(
    ("kind", "dimensions", "count"),
    [
        ("none", 2, 1),
        ("flips", 2, 2),
        ("shifts", 2, 5),
        ("both", 2, 6),
        ("flips", 3, 8),
        ("shifts", 3, 7),
        ("both", 3, 14),
    ],
)
def test_the_images_themselves_come_first_and_no_view_comes_twice(kind: TtaViews, dimensions: int, count: int) -> None:
    images = torch.rand((2, 1, *(6,) * dimensions), generator=torch.Generator().manual_seed(0))
    seen = [view(images) for view in make_views(kind, dimensions)]
    assert torch.equal(seen[0], images)
    assert len(seen) == count
    assert all(not torch.equal(one, other) for place, one in enumerate(seen) for other in seen[:place])


def test_only_left_and_right_are_mirrored_in_2d() -> None:
    images = torch.arange(12, dtype=torch.uint8).view(1, 1, 3, 4)
    assert torch.equal(make_views("flips", 2)[1](images), images.flip(3))


def test_a_shift_repeats_the_edge_and_grows_with_the_image() -> None:
    row = torch.arange(5).expand(1, 1, 5, 5)
    assert View(shift=(3, 1))(row)[0, 0, 0].tolist() == [0, 0, 1, 2, 3]
    assert View(shift=(3, -1))(row)[0, 0, 0].tolist() == [1, 2, 3, 4, 4]
    large = torch.arange(56).expand(1, 1, 56, 56)
    assert View(shift=(3, 1))(large)[0, 0, 0, :4].tolist() == [0, 0, 0, 1]


def test_the_mean_probability_is_that_of_the_views_and_extreme_scores_do_not_tie() -> None:
    logits = [torch.tensor([[-1.0, 40.0], [2.0, -60.0]]), torch.tensor([[0.5, 50.0], [3.0, -70.0]])]
    averaged = average_views(logits, "probabilities")
    wide = torch.stack(logits).double()
    positive, negative = torch.sigmoid(wide).mean(0), torch.sigmoid(-wide).mean(0)
    torch.testing.assert_close(averaged.double(), positive.log() - negative.log(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(average_views(logits, "logits"), torch.stack(logits).mean(0))


@pytest.mark.parametrize(("dimensions", "labels"), [(2, 1), (2, 3), (3, 1)])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_a_run_scores_the_average_of_its_views(dimensions: int, labels: int, average: str) -> None:
    development = made_development(dimensions=dimensions, labels=labels, rows=(12, 4))
    plain, mean = (make_run(development, tta=tta, tta_average=average) for tta in ("none", "both"))
    images = plain.resident.images
    views = [view(images) for view in make_views("both", dimensions)]
    if average == "logits":
        expected = np.mean([plain.scores(view) for view in views], axis=0)
        np.testing.assert_allclose(mean.scores(images), expected, rtol=1e-4, atol=1e-5)
    else:
        expected = np.mean([probabilities(plain, view) for view in views], axis=0)
        np.testing.assert_allclose(probabilities(mean, images), expected, rtol=1e-4, atol=1e-6)


def test_mirrored_images_have_equal_scores_by_flips() -> None:
    development = made_development(dimensions=3, rows=(12, 4))
    run = make_run(development, tta="flips")
    images = run.resident.images
    np.testing.assert_allclose(run.scores(images.flip((2, 4))), run.scores(images), rtol=1e-4, atol=1e-5)


def test_validation_and_selection_are_scored_by_views_and_training_is_not(development: Development) -> None:
    reports, trained = [], []
    for tta in ("none", "both"):
        run = make_run(development, tta=tta, resplit="holdout", resplit_share=0.4)
        reports.append(complete(run.work(0, np.arange(len(development)))))
        trained.append(deepcopy(run.network.state_dict()))
        assert run.split.selection is not None
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])
    assert reports[0].training_loss == reports[1].training_loss
    scored = [report.scores for report in reports]
    assert scored[0] is not None
    assert scored[1] is not None
    assert not np.array_equal(scored[0].logits, scored[1].logits)


def test_a_stored_network_is_scored_by_the_views_of_its_configuration(development: Development) -> None:
    run = make_run(development, tta="both")
    model = Model(development.dataset, run.config, run.network, {})
    expected = probabilities(run, run.resident.images)
    np.testing.assert_allclose(model.scores(development.images, "cpu"), expected, rtol=1e-5, atol=1e-6)
