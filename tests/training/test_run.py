"""One run: resumed bit-equal, the best epoch kept, usable without a validation part."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch

from hpo.data.development import Development
from hpo.statistics.auc import mean_auc_with_error
from hpo.study.choices import LOSSES
from hpo.study.config import TrainConfig
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop.checkpoint import largest_bytes, tensor_bytes
from hpo.training.loop.fold import Run, complete
from hpo.training.machine.device import choose_machine
from hpo.training.optim.losses.aucm import AUCMLoss
from hpo.training.optim.losses.cross_entropy import CrossEntropyLoss
from tests.arrays import made_development

pytestmark = pytest.mark.usefixtures("thin")

CPU = torch.device("cpu")
FIT, SCORING = np.arange(8, 52), np.arange(8)


def make_run(
    development: Development,
    epochs: int = 3,
    keep_weights: bool = False,
    samples: np.ndarray = FIT,
    **settings: Any,
) -> Run:
    config = TrainConfig(**({"batch_size": 16, "input_size": 4, "precision": "fp32"} | settings))
    machine = choose_machine(CPU, 2, config.precision)
    resident = make_device_dataset(development, config.input_size, CPU)
    return Run(config, development, resident, samples, epochs, 0, machine, keep_weights=keep_weights)


def train(run: Run, epochs: int | None = None) -> list[Any]:
    reports = []
    for epoch in list(run.remaining_epochs())[:epochs]:
        reports.append(complete(run.work(epoch, SCORING)))
    return reports


@pytest.mark.parametrize(
    "settings",
    [
        {"weight_average": "ema", "augmentation": "full", "resplit": "holdout"},
        {"cross_entropy_share": 0.34, "weight_average": "swa", "swa_start": 0.0},
        {"optimizer": "adam", "loss": "aucm_v2", "batching": "fixed_share"},
        {"progressive": 0.5, "progressive_share": 0.7, "augmentation": "morphology", "tta": "flips"},
        {"loss": "compositional", "momentum": 0.9, "score_scale": "standardised", "cross_entropy_share": 0.34},
        {"loss": "joint", "class_means": "running", "augmentation": "mixup"},
        {"loss": "pauc", "pauc_form": "dro", "augmentation": "mixup"},
        {"optimizer": "lion", "schedule": "cyclic", "cycles": 2, "weight_average": "cycles", "swa_start": 0.0},
        {"optimizer": "adamw", "schedule": "one_cycle", "batch_size": 8, "clip_norm": 0.1},
        {"sam": 0.1, "ghost_batch": 4, "score_scale": "standardised", "weight_average": "swa", "swa_start": 0.0},
    ],
)
def test_a_resumed_run_ends_bit_equal_to_one_that_never_stopped(
    development: Development, settings: dict[str, Any]
) -> None:
    whole = train(make_run(development, **settings))
    first = make_run(development, **settings)
    before = train(first, 2)
    resumed = make_run(development, **settings)
    resumed.load_state_dict(deepcopy(first.state_dict()))
    assert before + train(resumed) == whole


@pytest.mark.parametrize(
    "settings",
    [{"cross_entropy_share": 0.34}, {"loss": "compositional", "optimizer": "adam", "cross_entropy_share": 0.34}],
)
def test_its_largest_state_is_known_before_its_first_step(development: Development, settings: dict[str, Any]) -> None:
    """Also where the reference weights and their sum come with AUCM, after cross-entropy."""
    run = make_run(development, **settings)
    predicted = largest_bytes(run.state_dict(), run.config)
    train(run)
    assert tensor_bytes(run.state_dict()) == pytest.approx(predicted, rel=0.05)


def test_a_state_passes_through_a_file_of_plain_tensors(development: Development, tmp_path: Any) -> None:
    run = make_run(development, weight_average="ema", resplit="holdout")
    train(run, 2)
    torch.save(run.state_dict(), tmp_path / "state.pt")
    resumed = make_run(development, weight_average="ema", resplit="holdout")
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert train(resumed) == train(run)


def test_the_scores_that_count_are_those_at_the_best_selection_auc(development: Development) -> None:
    run = make_run(development, epochs=5, resplit="holdout", resplit_share=0.4, learning_rate=0.05)
    assert run.split.selection is not None
    best, expected = -1.0, None
    for epoch in run.remaining_epochs():
        for batch in run.batches(epoch):
            run.step(batch)
        scores, selection = (run.scores(run.resident.images[rows]) for rows in (SCORING, run.split.selection))
        chosen, _ = mean_auc_with_error(selection, development.labels[run.split.selection])
        if chosen > best:
            best, expected = chosen, mean_auc_with_error(scores, development.labels[SCORING])
        report = complete(run.work(epoch, SCORING))
        assert (report.auc, report.standard_error) == expected


def test_the_weights_of_the_epoch_that_counts_are_kept_where_asked_also_over_a_resume(
    development: Development,
) -> None:
    settings = {"resplit": "holdout", "resplit_share": 0.4, "learning_rate": 0.05}
    run = make_run(development, epochs=5, keep_weights=True, **settings)
    kept: dict[str, torch.Tensor] = {}
    for epoch in run.remaining_epochs():
        before = run.best.selection_auc
        complete(run.work(epoch, SCORING))
        if run.best.selection_auc > before:
            kept = deepcopy(run.scored_network().state_dict())
    resumed = make_run(development, epochs=5, keep_weights=True, **settings)
    resumed.load_state_dict(run.state_dict())
    for found in (run.best.weights, resumed.best.weights):
        assert kept.keys() == found.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in kept.items())
    assert make_run(development).best.weights == {}


def test_training_never_sees_selection_or_validation_samples(development: Development) -> None:
    run = make_run(development, resplit="holdout")
    seen = {int(row) for epoch in range(2) for batch in run.batches(epoch) for row in run_step(run, batch)}
    assert run.split.selection is not None
    assert seen == set(run.split.training.tolist())
    assert not seen & set(run.split.selection.tolist())
    assert not seen & set(SCORING.tolist())


def run_step(run: Run, batch: torch.Tensor) -> list[int]:
    run.step(batch)
    return batch.tolist()


def test_aucm_takes_over_from_cross_entropy_with_a_fresh_optimizer(development: Development) -> None:
    run = make_run(development, epochs=4, cross_entropy_share=0.5, reference_weights="initial", schedule="constant")
    train(run, 2)
    assert isinstance(run.loss, CrossEntropyLoss)
    next(run.batches(2))
    assert isinstance(run.loss, AUCMLoss)
    assert run.optimizer.steps == 0
    weights = [*run.network.parameters(), run.loss.a, run.loss.b]
    assert all(torch.equal(x, y) for x, y in zip(run.optimizer.model_ref, weights, strict=True))


def test_the_last_epoch_is_aucms_whatever_the_share_of_cross_entropy(development: Development) -> None:
    for epochs in (1, 2):
        run = make_run(development, epochs=epochs, cross_entropy_share=0.9)
        train(run)
        assert isinstance(run.loss, AUCMLoss)


def test_a_run_needs_no_validation_part(development: Development) -> None:
    run = make_run(development, epochs=1)
    for epoch in run.remaining_epochs():
        for batch in run.batches(epoch):
            run.step(batch)
        run.finish(epoch)
    assert run.scores(run.resident.images[:3]).shape == (3, 1)


@pytest.mark.parametrize("loss", LOSSES.names())
def test_every_loss_trains_several_labels_with_soft_targets_and_several_passes(loss: str) -> None:
    """Labels so rare that batches lack a class, as in ChestMNIST."""
    development = made_development(labels=14, share=0.1)
    settings = {"loss": loss, "augmentation": "mixup", "sam": 0.05, "batch_size": 8}
    reports = train(make_run(development, epochs=2, **settings))
    assert all(np.isfinite([report.training_loss, report.auc]).all() for report in reports)
