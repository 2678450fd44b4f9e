"""A trial from configuration to reports, on a few tiny images."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hpo.control import Control
from hpo.data.development import Development
from hpo.data.folds import Fold, scoring_folds
from hpo.statistics.auc import mean_auc_with_error
from hpo.statistics.roc import ROC_GRID
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring
from hpo.study.stages import Stage
from hpo.training.loop.fold import Run
from hpo.training.loop.trial import train_trial
from hpo.training.machine import limits
from hpo.training.machine.failure import TrainingFailure, memory_failures
from hpo.training.probe import step_time
from hpo.training.report import EpochReport

pytestmark = pytest.mark.usefixtures("thin")

TINY: dict[str, Any] = {"batch_size": 16, "input_size": 4, "precision": "fp32"}


def folds_of(development: Development) -> tuple[Fold, ...]:
    return scoring_folds(development, Scoring(rows="kfold", folds=2), 0)


def train(
    development: Development,
    epochs: int = 2,
    seed: int = 0,
    folds: int = 1,
    stages: tuple[Stage, ...] = (),
    **settings: Any,
) -> list[EpochReport]:
    config, chosen = TrainConfig(**(TINY | settings)), folds_of(development)[:folds]
    return list(train_trial(config, development, chosen, epochs, seed, "cpu", stages=stages))


def without_seconds(reports: list[EpochReport]) -> list[dict[str, Any]]:
    return [{name: value for name, value in vars(report).items() if name != "seconds"} for report in reports]


def test_each_epoch_is_reported_over_all_folds(development: Development) -> None:
    reports = train(development, epochs=3, folds=2)
    assert [report.epoch for report in reports] == [1, 2, 3]
    for report in reports:
        assert len(report.fold_aucs) == 2
        assert report.auc == pytest.approx(np.mean(report.fold_aucs))
        assert 0 <= report.auc <= 1
        assert 0 < report.standard_error < 0.2
        assert 0 <= report.training_auc <= 1
        assert math.isfinite(report.training_loss)
        assert report.seconds > 0
        assert len(report.roc) == ROC_GRID.size
        assert list(report.roc) == sorted(report.roc)
        assert report.roc[-1] == 1.0
        assert np.trapezoid(report.roc, ROC_GRID) == pytest.approx(report.auc, abs=0.05)


def test_a_report_has_the_scores_that_its_aucs_come_from(development: Development) -> None:
    for settings in ({}, {"resplit": "holdout"}):
        for report in train(development, epochs=2, folds=2, **settings):
            assert len(report.scores) == 2
            for fold, scores, area in zip(folds_of(development), report.scores, report.fold_aucs, strict=True):
                assert (scores.samples == fold.validation).all()
                assert (scores.labels == development.labels[fold.validation]).all()
                assert mean_auc_with_error(scores.logits, scores.labels)[0] == area


def test_folds_of_later_stages_catch_up_and_their_epochs_are_reported_again(development: Development) -> None:
    """Whatever the order of training, a fold's network is the same, and a report is the mean of its folds."""
    lockstep = train(development, epochs=2, folds=2)
    staged = train(development, epochs=2, folds=2, stages=(Stage(1, 1), Stage(1, 2)))
    assert [(report.epoch, len(report.fold_aucs)) for report in staged] == [(1, 1), (2, 1), (1, 2), (2, 2)]
    for alone, together in zip(staged[:2], lockstep, strict=True):
        assert alone.fold_aucs == together.fold_aucs[:1]
    for late, together in zip(staged[2:], lockstep, strict=True):
        assert (late.auc, late.fold_aucs, late.training_loss, late.roc) == (
            together.auc,
            together.fold_aucs,
            together.training_loss,
            together.roc,
        )
    # Out-of-fold scores belong to a report only where all of its folds are at its epoch.
    assert [len(report.scores) for report in staged] == [1, 1, 0, 2]
    for kept, given in zip(staged[-1].scores, lockstep[-1].scores, strict=True):
        assert (kept.logits == given.logits).all()
    # The time of an epoch counts all that it took.
    assert staged[2].seconds > staged[0].seconds


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_equal_arguments_give_bit_equal_reports_whatever_the_global_seeds(
    development: Development, precision: str
) -> None:
    settings = {"precision": precision, "augmentation": "full", "weight_average": "ema", "resplit": "holdout"}
    torch.manual_seed(1), np.random.seed(1)
    first = train(development, **settings)
    torch.manual_seed(2), np.random.seed(2)
    second = train(development, **settings)
    assert without_seconds(first) == without_seconds(second)
    assert without_seconds(first) != without_seconds(train(development, seed=1, **settings))


def test_a_trial_leaves_global_generators_alone(development: Development) -> None:
    before = torch.get_rng_state()
    train(development, epochs=1, augmentation="full", weight_average="swa")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "aucm_v2", "batching": "fixed_share", "augmentation": "mixup"},
        {"loss": "aucm_v1", "optimizer": "adam", "cross_entropy_share": 0.5, "reference_weights": "initial"},
        {"loss": "cross_entropy", "schedule": "cosine", "weight_average": "swa", "swa_start": 0.0},
        {"resplit": "balanced", "schedule": "constant"},
        {"resplit": "official", "weight_average": "ema"},
    ],
)
def test_every_choice_trains_and_makes_a_difference(development: Development, settings: dict[str, Any]) -> None:
    reports = without_seconds(train(development, epochs=2, **settings))
    assert [report["epoch"] for report in reports] == [1, 2]
    assert all(math.isfinite(report["training_loss"]) for report in reports)
    defaults = TrainConfig().model_dump()
    for name in (name for name, value in settings.items() if value != defaults[name]):
        others = {other: value for other, value in settings.items() if other != name}
        assert without_seconds(train(development, epochs=2, **others)) != reports, f"{name} changed nothing"


def test_several_labels_take_the_same_path(development_multi_label: Development) -> None:
    report = train(development_multi_label, epochs=1)[0]
    assert 0.3 < report.auc < 0.7


@pytest.mark.slow
def test_volumes_are_learned(development_3d: Development) -> None:
    """18 masks, of which positives are denser: 24 steps are enough to rank them."""
    quick = {"loss": "cross_entropy", "optimizer": "adam", "learning_rate": 1e-3, "batch_size": 8, "input_size": 8}
    first, *_, last = train(development_3d, epochs=8, **quick)
    assert last.training_auc > 0.8
    assert last.training_loss < 0.9 * first.training_loss
    (augmented,) = train(development_3d, epochs=1, augmentation="geometric", **quick)
    assert augmented.training_loss != first.training_loss


@pytest.mark.slow
def test_an_epoch_has_as_many_steps_for_every_resplit(
    development: Development, monkeypatch: pytest.MonkeyPatch
) -> None:
    """26 training samples in each of 2 folds, 8 in a batch: 4 steps each; 2 epochs make 16, one by one on one core."""
    monkeypatch.setattr(limits, "_cores", 1)
    for resplit in ("none", "balanced"):
        shares: list[float] = []
        config = TrainConfig(**(TINY | {"batch_size": 8, "resplit": resplit}))
        for _ in train_trial(config, development, folds_of(development), 2, 0, "cpu", Control(progress=shares.append)):
            pass
        assert len(set(shares)) == 16
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


def test_what_progress_raises_ends_the_trial(development: Development) -> None:
    class LeaseLostError(Exception):
        pass

    beats = []

    def progress(share: float) -> None:
        beats.append(share)
        if share > 0.5:
            raise LeaseLostError

    with pytest.raises(LeaseLostError):
        list(
            train_trial(
                TrainConfig(**TINY), development, folds_of(development), 4, 0, "cpu", Control(progress=progress)
            )
        )
    assert beats[-1] <= 0.7


def test_a_loss_that_is_not_finite_ends_in_diverged(development: Development, monkeypatch: pytest.MonkeyPatch) -> None:
    """A learning rate of 1e30, which no study file can ask for, overflows the weights in a step."""
    monkeypatch.setattr("hpo.training.optim.lr_schedule.learning_rate_factor", lambda *_: 1e30)
    with pytest.raises(TrainingFailure) as failure:
        train(development, learning_rate=1.0, clip=0.0, loss="cross_entropy")
    assert failure.value.reason == "diverged"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB\nmore"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_memory_that_is_refused_is_a_failure_of_the_configuration(error: Exception) -> None:
    with pytest.raises(TrainingFailure) as failure, memory_failures():
        raise error
    assert failure.value.reason == "out of memory"
    assert "\n" not in failure.value.detail


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="a bug"), memory_failures():
        raise RuntimeError("a bug")


def test_the_standard_error_of_independent_folds_shrinks_with_their_number(development: Development) -> None:
    report = train(development, epochs=1, folds=2)[0]
    scores, labels = np.random.default_rng(0).normal(size=(26, 1)), np.arange(26)[:, None] % 2
    _, one = mean_auc_with_error(scores, labels)
    assert report.standard_error < one


@pytest.mark.parametrize("settings", [{}, {"resplit": "holdout", "resplit_share": 0.5}])
def test_an_estimate_is_the_time_of_an_epoch(
    development: Development, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    """By a clock on which a row of a step takes 1 s, its update 7 s, and a row that is scored a quarter."""
    clock = SimpleNamespace(now=0.0)
    step, update, scoring = Run.step, step_time._update, Run._scoring

    def timed_step(run: Run, batch: torch.Tensor) -> None:
        step(run, batch)
        clock.now += 1.0 * len(batch) + 7.0

    def timed_update(run: Run) -> None:
        update(run)
        clock.now += 7.0

    def timed_scoring(run: Run, images: torch.Tensor) -> Generator[None, None, Any]:
        clock.now += 0.25 * len(images)
        return (yield from scoring(run, images))

    monkeypatch.setattr(Run, "step", timed_step)
    monkeypatch.setattr(Run, "_scoring", timed_scoring)
    monkeypatch.setattr(step_time, "_update", timed_update)
    for module in ("probe.step_time", "loop.trial"):
        monkeypatch.setattr(f"hpo.training.{module}.time", SimpleNamespace(perf_counter=lambda: clock.now))
    # 26 training samples in each of two folds: whole batches.
    config = TrainConfig(**(TINY | {"batch_size": 13} | settings))
    predicted = step_time.seconds_per_epoch(config, development, folds_of(development), "cpu")
    (report,) = train_trial(config, development, folds_of(development), 1, 0, "cpu")
    assert predicted == pytest.approx(report.seconds)
    assert predicted == pytest.approx(52 + 4 * 7 + 52 / 4 + (26 / 4 if settings else 0))


def test_near_duplicates_at_the_start_of_the_data_are_timed_like_any_samples(development: Development) -> None:
    images, labels = development.images.copy(), development.labels.copy()
    images[:16], labels[:16] = images[0], labels[0]
    repeated = replace(development, images=images, labels=labels)
    config = TrainConfig(**TINY, duplicates="remove")
    assert step_time.seconds_per_epoch(config, repeated, folds_of(development), "cpu") > 0
