"""The loops beside hpo are what they say they are, and the figures made of them are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.beside.compare import PAIRS
from benchmarks.beside.hours import _measured, _share_of
from benchmarks.beside.job import AUCM, MARGIN, POSITIVE_SHARE, Job, k_folds, official_fold
from benchmarks.beside.loops import hpo_epochs
from benchmarks.beside.rates import forward_macs
from benchmarks.beside.sampler import DualSampler
from hpo.data.folds import Fold
from tests.arrays import made_development

LABELS = np.array([1] * 10 + [0] * 30, dtype=np.uint8)


def made_job(epochs: int = 2, batch: int = 16) -> Job:
    development = made_development(rows=(40, 12))
    return Job(development, (official_fold(development, np.arange(40)),), epochs, batch, "fp32", "cpu")


def test_every_batch_of_the_dual_sampler_holds_its_share_of_positives_first() -> None:
    batches = np.array(list(DualSampler(LABELS, 8, 0.25))).reshape(-1, 8)
    assert (LABELS[batches] == [1, 1, 0, 0, 0, 0, 0, 0]).all()


def test_the_dual_sampler_goes_through_a_class_whole_before_any_row_of_it_comes_again() -> None:
    sampler = DualSampler(LABELS, 8, 0.5, batches=15)
    rows = np.array([list(sampler), list(sampler)]).flatten()
    for value, size in ((1, 10), (0, 30)):
        of_class = rows[LABELS[rows] == value]
        for start in range(0, of_class.size - size + 1, size):
            assert len(set(of_class[start : start + size])) == size


def test_an_epoch_of_the_dual_sampler_is_as_long_as_libaucs() -> None:
    # 10 positives by 2 in a batch are 5 batches, 30 negatives by 6 are 5; at one half 10 // 4 = 2 and 30 // 4 = 7.
    assert len(DualSampler(LABELS, 8, 0.25)) == 5 * 8
    assert len(DualSampler(LABELS, 8, 0.5)) == 7 * 8


def test_multiply_adds_are_those_counted_by_hand() -> None:
    # Stem 3*64*9 at 784 places; stage 1: 4 of 64*64*9 at 784; each later stage: w/2*w*9, 3 of w*w*9 and a projection
    # w/2*w, at 196, 49 and 16 places (28, 14, 7, 4 squared); head 512.
    later = sum(
        places * (width * width // 2 * 10 + 3 * width * width * 9)
        for width, places in ((128, 196), (256, 49), (512, 16))
    )
    assert forward_macs(2, 28) == 784 * (3 * 64 * 9 + 4 * 64 * 64 * 9) + later + 512


@pytest.mark.slow
@pytest.mark.parametrize("against", sorted(PAIRS))
def test_both_sides_of_a_pair_take_as_many_steps_and_yield_an_auc_for_each_epoch(
    against: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.training.model.resnet._WIDTHS", (8, 8, 8, 8))
    loop, recipe = PAIRS[against]
    job = made_job()
    plain, fast = list(loop(job, 0)), list(hpo_epochs(job, 0, recipe))
    assert [len(plain), len(fast)] == [2, 2]
    assert all(-(-side.samples // job.batch) == job.steps == 3 for side in (*plain, *fast))
    assert all(0 <= side.auc <= 1 and side.training_seconds > 0 < side.scoring_seconds for side in (*plain, *fast))


def test_hpos_spelling_of_the_aucm_recipe_means_what_libaucs_call_means() -> None:
    config = made_job().config("aucm")
    assert (config.margin, config.positive_share) == (MARGIN, POSITIVE_SHARE)
    assert config.momentum == pytest.approx(1 - AUCM["momentum"])
    assert {config.learning_rate, config.epoch_decay, config.weight_decay, config.clip} == {
        AUCM["lr"],
        AUCM["epoch_decay"],
        AUCM["weight_decay"],
        AUCM["clip_value"],
    }


def test_folds_are_disjoint_and_each_row_is_scored_on_once() -> None:
    development = made_development(rows=(40, 12))
    folds = k_folds(development, np.arange(40), 5)
    assert sorted(np.concatenate([fold.validation for fold in folds])) == list(range(40))
    assert all(isinstance(fold, Fold) and not set(fold.training) & set(fold.validation) for fold in folds)


def test_share_and_hours_are_those_of_the_finished_trials() -> None:
    trials = [{"epochs": 60, "seconds": 3600.0}, {"epochs": 5, "seconds": 300.0}, {"epochs": 15, "seconds": 900.0}]
    assert _share_of(trials) == pytest.approx(80 / 180)
    measured = _measured(trials, 2, 200)
    assert measured["device_hours"] == pytest.approx(4800 / 3600 / 2)
    assert measured["device_hours_of_the_whole_study"] == pytest.approx(4800 / 3600 / 2 * 200 / 3)


def test_the_script_for_a_gpu_calls_commands_that_exist() -> None:
    script = Path("benchmarks/gpu.sh").read_text()
    names = {word for word in script.split() if word.startswith("benchmarks/") and word.endswith((".py", ".sh"))}
    assert names
    assert all(Path(name).exists() for name in names)
