"""A trial that is stopped anywhere and goes on ends bit-equal to one that was never interrupted."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hpo.control import Control, Stop
from hpo.data.development import Development
from hpo.data.folds import scoring_folds
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring
from hpo.study.stages import Stage
from hpo.training.loop.checkpoint import Checkpoint, remove_checkpoints
from hpo.training.loop.fold import Run
from hpo.training.loop.scoring import SCORING_BATCH
from hpo.training.loop.trial import EpochReport, train_trial
from hpo.training.machine import limits

DISK_FULL = os.strerror(errno.ENOSPC)

SETTINGS: dict[str, dict[str, Any]] = {
    "AUCM v1, EMA, selection samples, augmentation": {
        "weight_average": "ema",
        "resplit": "holdout",
        "resplit_share": 0.4,
        "augmentation": "full",
    },
    "AUCM v2 after cross-entropy, SWA": {
        "loss": "aucm_v2",
        "class_means": "running",
        "cross_entropy_share": 0.5,
        "weight_average": "swa",
        "swa_start": 0.0,
        "reference_weights": "initial",
    },
    "Adam, fixed share, mixup, cosine": {
        "loss": "aucm_v2",
        "optimizer": "adam",
        "batching": "fixed_share",
        "augmentation": "mixup",
        "schedule": "cosine",
    },
    "small images first, RandAugment": {
        "progressive": 0.5,
        "progressive_growth": "staged",
        "augmentation": "randaugment",
        "resplit": "holdout",
    },
    "compositional after cross-entropy, Adam, standardised": {
        "loss": "compositional",
        "optimizer": "adam",
        "cross_entropy_share": 0.5,
        "score_scale": "standardised",
        "class_means": "running",
        "inner_momentum": 0.5,
    },
    "Lion, cycles, warmup": {
        "optimizer": "lion",
        "learning_rate": 1e-3,
        "schedule": "cyclic",
        "cycles": 2,
        "weight_average": "cycles",
        "swa_start": 0.0,
        "warmup": 0.5,
    },
    "sharpness-aware, compositional, ghost batches": {
        "sam": 0.1,
        "loss": "compositional",
        "ghost_batch": 4,
        "class_means": "running",
    },
    "AUCM v1 in bf16, official selection samples": {"precision": "bf16", "resplit": "official", "momentum": 0.9},
}

AT_ANY_BEAT = (0, 4)
"""Places of the settings whose trials are stopped at each beat: staged, and with inner steps."""

STAGED = next(iter(SETTINGS))
"""The name of the settings whose trials train one fold to the end before they begin the other."""

ONE_FAST = [
    pytest.param(name, marks=[] if number == 0 else pytest.mark.slow, id=name) for number, name in enumerate(SETTINGS)
]
"""The names of the settings, of which one runs in `make check`."""


class Life(Stop):
    """One worker's hold on a trial: steps reported so far, and after how many of them a stop is requested.

    shares: of all steps, at each report.
    """

    def __init__(self, last_beat: int | None = None) -> None:
        super().__init__()
        self.last_beat, self.beats = last_beat, 0
        self.shares: list[float] = []

    def progress(self, share: float) -> None:
        assert 0 < share <= 1
        self.beats += 1
        self.shares.append(share)

    @property
    def requested(self) -> bool:
        return self.last_beat is not None and self.beats >= self.last_beat

    @property
    def control(self) -> Control:
        return Control(self, self.progress)


class AlwaysDue(Checkpoint):
    """Saves at every chance."""

    def is_due(self) -> bool:
        return True


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Every run made so far; networks are small and score 13 rows at a time, files are not synced: 0.1 s a trial."""
    made: list[Run] = []

    class RecordedRun(Run):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr("hpo.training.loop.trial.Run", RecordedRun)
    monkeypatch.setattr("hpo.training.model.resnet._WIDTHS", (16,))
    monkeypatch.setitem(SCORING_BATCH, 2, 13)
    monkeypatch.setattr("hpo.files.os.fsync", lambda _: None)
    return made


@pytest.fixture
def trial(development: Development, tmp_path: Path) -> Callable[..., Iterator[EpochReport]]:
    """trial(settings, life, fence): a trial of 2 epochs on 2 folds; without a fence it has no checkpoint."""
    folds = scoring_folds(development, Scoring(rows="kfold", folds=2), 0)

    def begin(
        settings: dict[str, Any],
        life: Life,
        fence: int | None = None,
        kind: type[Checkpoint] = Checkpoint,
        known: dict[int, int] | None = None,
    ) -> Iterator[EpochReport]:
        config = TrainConfig(**({"batch_size": 16, "input_size": 8, "precision": "fp32"} | settings))
        checkpoint = None if fence is None else kind(tmp_path, 7, fence, "same")
        return train_trial(
            config,
            development,
            folds,
            2,
            0,
            "cpu",
            life.control,
            checkpoint,
            (Stage(1, 1), Stage(1, 2)) if settings is SETTINGS[STAGED] else (),
            known=known,
        )

    return begin


def comparable(reports: list[EpochReport]) -> list[dict[str, Any]]:
    return [{name: value for name, value in vars(report).items() if name != "seconds"} for report in reports]


def weights(runs: list[Run]) -> list[torch.Tensor]:
    """Every number that the last trial's two runs hold, in a fixed order; PESG adds a flag when it is loaded."""

    def tensors(value: Any) -> Iterator[torch.Tensor]:
        if isinstance(value, torch.Tensor):
            yield value.clone()
        elif isinstance(value, dict):
            for name in value:
                yield from tensors(value[name])
        elif isinstance(value, list | tuple):
            for part in value:
                yield from tensors(part)
        elif isinstance(value, float | int) and not isinstance(value, bool):
            yield torch.tensor(value, dtype=torch.float64)

    return [tensor for run in runs[-2:] for tensor in tensors(run.state_dict())]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def bit_equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cores"), list(zip(SETTINGS, (2, 1, 2, 1, 2, 2, 2, 2), strict=True)))
def test_a_trial_stopped_at_any_step_ends_as_if_it_never_was(
    name: str,
    cores: int,
    trial: Any,
    runs: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "_cores", cores)
    whole = Life()
    expected, final = comparable(list(trial(SETTINGS[name], whole))), weights(runs)
    rounds_of_an_epoch = 2 + 2
    assert whole.beats >= 2 * rounds_of_an_epoch * (2 // cores)
    # At each beat for two of the settings; else at every third, from another one on each time, which meets each kind of
    # step in one of the epochs and folds.
    place = list(SETTINGS).index(name)
    every, first = (1, 1) if place in AT_ANY_BEAT else (3, 1 + place % 3)
    for last_beat in range(first, whole.beats + 1, every):
        stopped, resumed = Life(last_beat), Life()
        reports = list(trial(SETTINGS[name], stopped, 1))
        assert stopped.beats == last_beat
        reports += list(trial(SETTINGS[name], resumed, 2))
        remove_checkpoints(tmp_path, 7)
        assert comparable(reports) == expected, f"stopped at beat {last_beat}"
        assert bit_equal(weights(runs), final), f"stopped at beat {last_beat}"
        assert resumed.beats < whole.beats
        assert len(warnings(caplog)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_FAST)
def test_a_trial_of_many_short_attempts_ends_as_if_it_had_one(name: str, trial: Any, runs: Any, tmp_path: Path) -> None:
    """Each life takes up to one step or one whole scoring further: 7 beats are more than any scoring has."""
    expected, final = comparable(list(trial(SETTINGS[name], Life()))), weights(runs)
    reports: list[EpochReport] = []
    for fence in range(1, 99):
        life = Life(1 + 6 * (fence % 2))
        reports += trial(SETTINGS[name], life, fence)
        assert len(list(tmp_path.iterdir())) == 1
        if not life.requested:
            break
    assert comparable(reports) == expected
    assert bit_equal(weights(runs), final)
    assert fence > 3


@pytest.mark.parametrize("name", ONE_FAST)
def test_a_trial_killed_after_a_report_gives_that_report_again_and_goes_on(name: str, trial: Any, runs: Any) -> None:
    expected, final = comparable(list(trial(SETTINGS[name], Life()))), weights(runs)
    killed = trial(SETTINGS[name], Life(), 1, AlwaysDue)
    first = next(killed)
    assert comparable([first]) == expected[:1]
    del killed
    assert comparable(list(trial(SETTINGS[name], Life(), 2))) == expected
    assert bit_equal(weights(runs), final)


def test_a_report_that_was_taken_is_not_given_again(trial: Any, runs: Any) -> None:
    settings = SETTINGS["AUCM v2 after cross-entropy, SWA"]
    expected = comparable(list(trial(settings, Life())))
    life = Life()
    reports = trial(settings, life, 1)
    next(reports)
    life.last_beat = life.beats
    assert list(reports) == []
    assert comparable(list(trial(settings, Life(), 2))) == expected[1:]


@pytest.mark.parametrize(("known", "lacking"), [({}, 0), ({1: 1}, 1), ({1: 1, 2: 1}, 2), ({1: 2, 2: 1}, 3)])
def test_reports_that_a_database_lacks_are_given_again(
    known: dict[int, int], lacking: int, trial: Any, runs: Any
) -> None:
    """Of the stages 1 fold, 1 epoch; 1, 2; 2, 1; 2, 2. The database is of before the first worker's last reports."""
    settings = SETTINGS[STAGED]
    expected, final = comparable(list(trial(settings, Life()))), weights(runs)
    life = Life()
    reports = trial(settings, life, 1)
    for _ in range(3):
        next(reports)
    life.last_beat = life.beats
    assert list(reports) == []
    again = comparable(list(trial(settings, Life(), 2, known=known)))
    expected[0]["scores"] = ()
    assert again == expected[lacking:]
    assert bit_equal(weights(runs), final)


def test_a_stop_without_a_checkpoint_ends_without_an_error(trial: Any, runs: Any, tmp_path: Path) -> None:
    assert list(trial({}, Life(3))) == []
    assert list(tmp_path.iterdir()) == []


def test_a_trial_asked_to_stop_before_its_first_step_leaves_nothing(trial: Any, runs: Any, tmp_path: Path) -> None:
    assert list(trial({}, Life(0), 1)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_costs_no_report(
    trial: Any, runs: Any, tmp_path: Path, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    expected = comparable(list(trial({}, Life())))

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, DISK_FULL)

    monkeypatch.setattr("hpo.training.loop.checkpoint.torch.save", refuse)
    life = Life()
    assert comparable(list(trial({}, life, 1, AlwaysDue))) == expected
    assert len(warnings(caplog)) == 1
    assert DISK_FULL in warnings(caplog)[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_file_from_another_precision_is_not_gone_on_with(
    trial: Any, runs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    whole = Life()
    expected = comparable(list(trial({"precision": "bf16"}, whole)))
    assert list(trial({"precision": "fp32"}, Life(3), 1)) == []
    life = Life()
    assert comparable(list(trial({"precision": "bf16"}, life, 2))) == expected
    assert life.shares == whole.shares, "from the first step"
    assert [message for message in warnings(caplog) if "trial 7" in message]


@pytest.mark.slow
def test_a_file_that_fits_only_in_part_is_not_gone_on_with(
    trial: Any, runs: Any, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    whole = Life()
    expected = comparable(list(trial({}, whole)))
    assert list(trial({}, Life(3), 1)) == []
    load, calls = Run.load_state_dict, []

    def fail_at_the_second(run: Run, state: dict[str, Any]) -> None:
        calls.append(run)
        if len(calls) == 2:
            raise OSError("Stale file handle")
        load(run, state)

    monkeypatch.setattr(Run, "load_state_dict", fail_at_the_second)
    life = Life()
    assert comparable(list(trial({}, life, 2))) == expected
    assert life.shares == whole.shares, "from the first step"
    assert [message for message in warnings(caplog) if "trial 7" in message and "Stale file handle" in message]


@pytest.mark.slow
def test_seconds_of_an_epoch_count_both_attempts(trial: Any, runs: Any, monkeypatch: Any) -> None:
    """By a clock on which a beat takes a second, and that stands elsewhere in the second life."""
    lives = [Life()]
    times = SimpleNamespace(perf_counter=lambda: 1000.0 * len(lives) + lives[-1].beats)
    monkeypatch.setattr("hpo.training.loop.trial.time", times)
    assert next(trial({}, lives[-1])).seconds == lives[-1].beats
    lives.append(Life(6))
    assert list(trial({}, lives[-1], 1)) == []
    lives.append(Life())
    assert next(trial({}, lives[-1], 2)).seconds == 6 + lives[-1].beats


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_trial_goes_on_on_cuda(development: Development, tmp_path: Path) -> None:
    """Not bit-equal there, since cuDNN may choose other algorithms; the generators are."""
    folds = scoring_folds(development, Scoring(rows="kfold", folds=2), 0)
    config = TrainConfig(augmentation="full", weight_average="ema", optimizer="adam", batch_size=16, input_size=8)
    whole = list(train_trial(config, development, folds, 2, 0, "cuda"))
    stopped, resumed = Life(5), Life()
    for fence, life in enumerate((stopped, resumed), start=1):
        checkpoint = Checkpoint(tmp_path, 7, fence, "same")
        reports = list(train_trial(config, development, folds, 2, 0, "cuda", life.control, checkpoint))
    assert [report.epoch for report in reports] == [1, 2]
    assert resumed.shares[0] >= stopped.shares[-1] > 0.5, "not from the first step"
    assert reports[-1].training_loss == pytest.approx(whole[-1].training_loss, rel=0.1)
