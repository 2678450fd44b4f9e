"""One network for several datasets: a shared trunk, a layer and a loss each, and afterwards the target alone."""

from __future__ import annotations

import dataclasses
import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hpo.data.development import Development
from hpo.data.folds import scoring_folds
from hpo.errors import DataError
from hpo.study.choices import NETWORKS
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop.checkpoint import Checkpoint
from hpo.training.loop.co_training import (
    TARGET,
    OtherBatch,
    features_of,
    output_layer,
    place_others,
    update_what_has_gradients,
)
from hpo.training.loop.fold import Run
from hpo.training.loop.model_file import load_model, save_model
from hpo.training.loop.passes import fixed_statistics
from hpo.training.loop.trial import train_trial
from hpo.training.machine.device import choose_machine
from hpo.training.optim.losses.aucm import AUCMLoss
from tests.arrays import made_development
from tests.plugins import kept_registries
from tests.refitting import refitted
from tests.training.test_resume import Life
from tests.training.test_run import CPU, FIT, train

pytestmark = pytest.mark.usefixtures("thin", "registered")


def named(development: Development, name: str) -> Development:
    dataset = dataclasses.replace(development.dataset, name=name, official_name=name)
    return dataclasses.replace(development, dataset=dataset)


ONE = named(made_development(rows=(48, 12), seed=1), "one")
TWO = named(made_development(rows=(30, 6), labels=3, seed=2), "two")


@pytest.fixture
def registered() -> Any:
    """The datasets one and two, the latter with three labels; in memory, so that no loader is ever called."""
    from hpo.study.catalogue import DATASETS

    with kept_registries():
        for development in (ONE, TWO):
            DATASETS.register(development.dataset.name, development.dataset)
        yield


def make_run(
    development: Development, epochs: int = 4, others: tuple[Development, ...] = (ONE, TWO), **settings: Any
) -> Run:
    names = {"co_training": "+".join(one.dataset.name for one in others) or "none"}
    config = TrainConfig(**({"batch_size": 8, "input_size": 4, "precision": "fp32"} | names | settings))
    machine = choose_machine(CPU, 2, config.precision)
    placed = place_others(config, others, machine)
    resident = make_device_dataset(development, config.input_size, CPU)
    return Run(config, development, resident, FIT, epochs, 0, machine, placed, keep_weights=True)


def tensors(run: Run) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in run.network.state_dict().items()}


def first_other_step(run: Run, epoch: int = 0) -> OtherBatch:
    """Take the steps of an epoch up to the first of another dataset, and return its batch."""
    for batch in run.batches(epoch):
        if isinstance(batch, OtherBatch):
            return batch
        run.step(batch)
    raise AssertionError("no batch of another dataset")


def test_an_epoch_keeps_its_steps_and_the_share_of_them_is_of_the_others(development: Development) -> None:
    run = make_run(development, epochs=8, co_training_share=0.4, co_training_epochs=0.5)
    counts = []
    for epoch in range(8):
        turns = run.together.draw(epoch, 20)
        counts.append(0 if turns is None else 20 - turns.own_steps)
        assert turns is None or len(turns.order) == 20
    assert counts == [8, 8, 8, 8, 0, 0, 0, 0]


def test_a_small_share_of_few_steps_is_right_over_all_epochs(development: Development) -> None:
    run = make_run(development, epochs=100, co_training_share=0.1, co_training_epochs=0.95)
    counts = [4 - turns.own_steps for epoch in range(90) if (turns := run.together.draw(epoch, 4)) is not None]
    assert sum(counts) == 36
    assert max(counts) == 1


def test_the_first_step_of_an_epoch_is_the_targets_and_the_others_have_equally_many(development: Development) -> None:
    run = make_run(development, epochs=40, co_training_share=0.9, co_training_epochs=0.95)
    places = []
    for epoch in range(30):
        turns = run.together.draw(epoch, 6)
        assert turns is not None
        assert turns.order[0] == TARGET
        assert [len(rows) for rows in turns.rows] == [turns.order.count(place) for place in range(2)]
        places += [place for place in turns.order if place != TARGET]
    assert abs(places.count(0) - places.count(1)) <= 30
    single = make_run(development, epochs=1).together.draw(0, 1)
    assert single is not None
    assert single.order == (TARGET,)


def test_both_phases_have_an_epoch(development: Development) -> None:
    for share, epochs, joint in ((0.05, 4, 1), (0.95, 4, 3), (0.5, 4, 2), (0.5, 1, 1)):
        run = make_run(development, epochs=epochs, co_training_epochs=share)
        assert [run.together.joins(epoch) for epoch in range(epochs)] == [n < joint for n in range(epochs)]


def test_without_co_training_a_run_is_what_it_was(development: Development) -> None:
    run = make_run(development, others=())
    assert run.together.draw(0, 5) is None
    assert run.together.state_dict() == {}
    with pytest.raises(ValueError, match="1 other"):
        make_run(development, others=(ONE,), co_training="none")
    with pytest.raises(ValueError, match="0 other"):
        make_run(development, others=(), co_training="one")


@pytest.mark.parametrize("class_means", ["learned", "running"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "lion"])
def test_a_step_on_another_set_trains_the_trunk_and_its_layer_and_nothing_of_the_target(
    development: Development, optimizer: str, class_means: str
) -> None:
    run = make_run(development, optimizer=optimizer, class_means=class_means, momentum=0.9)
    batch = first_other_step(run)
    member = run.together._members[batch.place]
    own = [run.network.linear.weight, run.network.linear.bias, *run.loss.parameters(), *run.loss.buffers()]
    buffers = [value for one in own for value in run.optimizer.state.get(one, {}).values()]
    layer, trunk = member.layer.weight.clone(), run.network.conv1.weight.clone()
    before, means = [value.clone() for value in (*own, *buffers)], member.loss.state_dict()
    means = {name: value.clone() for name, value in means.items()}
    run.step(batch)
    assert all(torch.equal(value, old) for value, old in zip((*own, *buffers), before, strict=True))
    assert not torch.equal(member.layer.weight, layer)
    assert not torch.equal(run.network.conv1.weight, trunk)
    assert any(not torch.equal(value, means[name]) for name, value in member.loss.state_dict().items())


def test_running_statistics_are_of_the_targets_images_alone(development: Development) -> None:
    run = make_run(development)
    batch = first_other_step(run)
    before = {name: buffer.clone() for name, buffer in run.network.named_buffers()}
    run.step(batch)
    assert all(torch.equal(buffer, before[name]) for name, buffer in run.network.named_buffers())
    assert all(norm.track_running_stats for norm in run.network.modules() if isinstance(norm, nn.BatchNorm2d))


def test_a_batch_of_another_set_is_normalised_by_itself() -> None:
    norm = nn.BatchNorm1d(3)
    images = torch.randn(16, 3) * 4 + 7
    with fixed_statistics(norm):
        out = norm(images)
    assert torch.allclose(out.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.equal(norm.running_mean, torch.zeros(3))  # type: ignore[arg-type]


def test_features_are_the_input_of_the_output_layer(development: Development) -> None:
    run = make_run(development)
    output = output_layer(run.network, 1, "resnet18")
    images = torch.randn(4, 1, 4, 4)
    run.network.eval()
    assert torch.allclose(output(features_of(run.network, output, images)), run.network(images))
    assert not output._forward_pre_hooks


@pytest.mark.parametrize("network", [nn.Conv2d(1, 1, 1), nn.Sequential(nn.Linear(3, 1), nn.Linear(1, 5))])
def test_a_network_without_a_linear_layer_at_its_end_is_refused(network: nn.Module) -> None:
    with pytest.raises(DataError):
        output_layer(network, 1, "mine")


def test_each_set_has_a_loss_of_its_own_with_a_class_mean_for_each_label(development: Development) -> None:
    run = make_run(development, loss="aucm_v2", margin=0.7, cross_entropy_share=0.4, epochs=5, co_training_epochs=0.9)
    train(run, 2)
    assert not any(isinstance(member.loss, AUCMLoss) for member in run.together._members)
    train(run, 2)
    losses = [member.loss for member in run.together._members]
    assert [(loss.labels, loss.margin, loss.version) for loss in losses] == [(1, 0.7, "v2"), (3, 0.7, "v2")]
    assert len({id(loss.a) for loss in (run.loss, *losses)}) == 3
    rates = {optimizer.param_groups[0]["lr"] for optimizer in (run.optimizer, *run.together.optimizers)}
    assert rates == {0.001}


def test_batches_with_a_fixed_share_are_so_where_a_set_has_one_label(development: Development) -> None:
    run = make_run(development, batching="fixed_share", positive_share=0.25, co_training_share=0.9)
    turns = run.together.draw(0, 12)
    assert turns is not None
    assert (ONE.labels[turns.rows[0].numpy(), 0].sum(axis=1) == 2).all()
    assert len(turns.rows[1])


def test_every_sample_of_another_sets_train_and_validation_parts_is_drawn(development: Development) -> None:
    run = make_run(development, others=(ONE,), co_training_share=0.9)
    turns = run.together.draw(0, 20)
    assert turns is not None
    assert set(turns.rows[0].flatten().tolist()) == set(range(60))


def test_update_leaves_the_momentum_of_idle_weights(development: Development) -> None:
    run = make_run(development, momentum=0.9)
    first_other_step(run)
    linear = run.network.linear.weight
    momentum = run.optimizer.state[linear]["momentum_buffer"].clone()
    for parameter in run.network.parameters():
        parameter.grad = None if parameter is linear else torch.ones_like(parameter)
    before = linear.clone()
    place = next(number for number, one in enumerate(run.network.parameters()) if one is linear)
    total = run.optimizer.model_acc[place].clone()
    run.optimizer.count()
    update_what_has_gradients(run.optimizer)
    assert torch.equal(linear, before)
    assert torch.equal(run.optimizer.state[linear]["momentum_buffer"], momentum)
    assert torch.equal(run.optimizer.model_acc[place], total + linear)
    assert linear.grad is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"weight_average": "ema", "augmentation": "full", "class_means": "running"},
        {"optimizer": "adam", "cross_entropy_share": 0.5, "weight_average": "swa", "swa_start": 0.0},
        {"resplit": "holdout", "noisy_samples": "loss", "noisy_start": 0.0, "batching": "fixed_share"},
        {"loss": "joint", "optimizer": "adamw", "schedule": "one_cycle"},
        {"loss": "pauc", "optimizer": "lion", "progressive": 0.5, "weight_average": "ema"},
    ],
)
def test_a_run_resumed_within_the_joint_phase_ends_bit_equal(
    development: Development, settings: dict[str, Any]
) -> None:
    settings = {"co_training_epochs": 0.5, **settings}
    whole_run = make_run(development, **settings)
    whole = train(whole_run)
    for steps in (1, 3, 5):
        first = make_run(development, **settings)
        before = train(first, 1)
        work = first.work(1, np.arange(8))
        for _ in range(steps):
            next(work)
        state = deepcopy(first.state_dict())
        work.close()
        resumed = make_run(development, **settings)
        resumed.load_state_dict(state)
        assert before + train(resumed) == whole
        weights, others = tensors(whole_run), tensors(resumed)
        assert all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.mark.slow
def test_a_stopped_trial_goes_on_bit_equal_from_its_file(development: Development, tmp_path: Path) -> None:
    config = TrainConfig(co_training="one+two", batch_size=8, input_size=4, precision="fp32", optimizer="adam")
    folds = scoring_folds(development, Scoring(rows="kfold", folds=2), 0)

    def trial(life: Life, checkpoint: Checkpoint | None = None) -> list[Any]:
        reports = train_trial(config, development, folds, 3, 0, "cpu", life.control, checkpoint, others=(ONE, TWO))
        return [(report.epoch, report.auc, report.fold_aucs) for report in reports]

    whole = trial(Life())
    for beat in (2, 9, 15):
        made = Checkpoint(tmp_path / str(beat), 0, 1, "same")
        before = trial(Life(beat), made)
        after = trial(Life(), Checkpoint(tmp_path / str(beat), 0, 2, "same"))
        assert {*before, *after} == {*whole}


def test_a_loss_that_is_not_finite_on_another_set_fails_the_trial(development: Development) -> None:
    from hpo.training.machine.failure import TrainingFailure

    run = make_run(development)
    batch = first_other_step(run)
    run.together._members[batch.place].layer.weight.data.fill_(torch.nan)
    run.step(batch)
    with pytest.raises(TrainingFailure):
        train(run, 1)


def test_the_exported_network_is_the_targets_alone(development: Development, tmp_path: Path) -> None:
    config = TrainConfig(co_training="one+two", batch_size=8, input_size=4, precision="fp32")
    plain = refitted(config.model_copy(update={"co_training": "none"}), development, 2, 0, "cpu")
    made = refitted(config, development, 2, 0, "cpu", others=(ONE, TWO))
    shapes = [{name: value.shape for name, value in one.model.network.state_dict().items()} for one in (made, plain)]
    assert shapes[0] == shapes[1]
    assert made.model.dataset is development.dataset
    with kept_registries():
        from hpo.study.catalogue import DATASETS

        DATASETS.register("made", development.dataset)
        save_model(made.model, tmp_path / "one.safetensors")
        loaded = load_model(tmp_path / "one.safetensors")
    scores = made.model.scores(development.images[:5], "cpu")
    assert np.array_equal(loaded.scores(development.images[:5], "cpu"), scores)


@pytest.mark.parametrize("loss", ["joint", "compositional", "pairwise", "pauc", "focal", "cross_entropy", "aucm_v1"])
def test_every_loss_trains_several_sets(development: Development, loss: str) -> None:
    reports = train(make_run(development, epochs=2, loss=loss))
    assert all(np.isfinite(report.training_loss) for report in reports)


def test_learning_rates_of_the_others_follow_the_schedule(development: Development) -> None:
    run = make_run(development, epochs=4, schedule="one_cycle", co_training_epochs=0.9)
    rates = []
    for epoch in range(2):
        train(run, 1)
        found = {optimizer.param_groups[0]["lr"] for optimizer in (run.optimizer, *run.together.optimizers)}
        assert len(found) == 1, epoch
        rates += found
    assert rates[0] != rates[1]


def test_networks_of_plug_ins_take_part(development: Development) -> None:
    def small(shape: tuple[int, ...], labels: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, labels))

    def flat(shape: tuple[int, ...], labels: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), labels))

    NETWORKS.register("small", small)
    NETWORKS.register("flat", flat)
    for name in ("small", "flat"):
        run = make_run(development, epochs=2, network=name)
        batch = first_other_step(run)
        layer = run.together._members[batch.place].layer.weight.clone()
        run.step(batch)
        assert not torch.equal(run.together._members[batch.place].layer.weight, layer)
        assert len(train(run)) == 2


def test_volumes_are_trained_together(development_3d: Development) -> None:
    other = named(made_development(dimensions=3, rows=(20, 6), seed=3), "third")
    from hpo.study.catalogue import DATASETS

    DATASETS.register("third", other.dataset)
    config = TrainConfig(co_training="third", batch_size=6, input_size=4, shape_multiplier=True)
    folds = scoring_folds(development_3d, Scoring(rows="official"), 0)
    reports = list(train_trial(config, development_3d, folds, 2, 0, "cpu", others=(other,)))
    assert [report.epoch for report in reports] == [1, 2]


@pytest.mark.parametrize("settings", [{"loss": "compositional", "epoch_decay": 0.01}, {"sam": 0.1, "ghost_batch": 4}])
def test_steps_of_several_passes_are_the_studys_own_and_the_reference_is_a_mean_over_all(
    development: Development, settings: dict[str, Any]
) -> None:
    """A compositional step sums the weights twice, one of another dataset once, and so do the own layers' always."""
    run = make_run(development, others=(ONE,), co_training_share=0.5, **settings)
    train(run, 1)
    turns = run.together.draw(0, run.steps)
    assert turns is not None
    own, others = turns.own_steps, run.steps - turns.own_steps
    assert others > 0
    assert (2 if "loss" in settings else 1) * own + others == run.optimizer.T
    assert [optimizer.T for optimizer in run.together.optimizers] == [others]
