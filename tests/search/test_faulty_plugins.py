"""Samplers and pruners of plug-ins that fail: one sentence, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from hpo.errors import PluginError
from hpo.launch.estimate import trained_share
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_curve, read_trials
from hpo.search.queue.workers import this_process
from hpo.search.strategy.pruner import Pruner, Rung, make_pruner, stages_of
from hpo.search.strategy.sampler import make_sampler
from hpo.search.worker.loop import run_worker
from hpo.study.choices import PRUNERS, SAMPLERS
from hpo.testing.trainer import FakeTrainer, make_spec
from tests.mention import unmentioned
from tests.plugins import kept_registries


def fail(*_: object) -> Any:
    raise ZeroDivisionError("by zero")


class Samples(optuna.samplers.RandomSampler):
    """A random sampler that makes something of what it draws."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__(seed=1)
        self.change = change

    def sample_independent(self, *arguments: Any) -> Any:
        return self.change(super().sample_independent(*arguments))


class Upper(Pruner):
    """A pruner that decides after each epoch, to be broken."""

    def rungs(self) -> tuple[int, ...]:
        return (1, 2, 3)

    def goes_on(self, rung: Rung) -> bool:
        return rung.better == 0


FAULTY_SAMPLERS = {
    "raises when made": fail,
    "no sampler": lambda *_: None,
    "raises when it draws": lambda *_: Samples(fail),
    "draws what is no value": lambda *_: Samples(lambda _: "much"),
    "draws what is out of range": lambda *_: Samples(lambda value: 1e6 if isinstance(value, float) else value),
    "draws no number": lambda *_: Samples(lambda value: float("nan") if isinstance(value, float) else value),
}
FAULTY_PRUNERS = {
    "raises when made": {"__init__": fail},
    "raises at a rung": {"goes_on": fail},
    "answers nothing at a rung": {"goes_on": lambda *_: None},
    "raises for its rungs": {"rungs": fail},
    "has no rungs": {"rungs": lambda _: None},
}


@pytest.fixture(autouse=True)
def _registries() -> Iterator[None]:
    with kept_registries():
        yield


@pytest.mark.parametrize("faulty", FAULTY_SAMPLERS)
def test_a_sampler_that_fails_ends_the_worker_and_its_trial_goes_on_once_it_is_mended(
    faulty: str, database: Database
) -> None:
    SAMPLERS.register("mine", FAULTY_SAMPLERS[faulty])
    study = create_or_open(database, "study", make_spec(3, sampler="mine"))
    with pytest.raises(PluginError) as caught:
        run_worker(study, identity=this_process("w"), train=FakeTrainer())
    assert "\n" not in str(caught.value)
    assert unmentioned(str(caught.value), "sampler", "mine") == []
    status = read_status(study)
    assert (status.free, status.running, status.finished) == (1, [], 0)
    SAMPLERS.register("mine", lambda _search, seed: optuna.samplers.RandomSampler(seed), replace=True)
    assert run_worker(study, identity=this_process("w"), train=FakeTrainer()).finished == 3
    assert [row.state for row in read_trials(study)] == ["complete"] * 3


@pytest.mark.parametrize("faulty", FAULTY_PRUNERS)
def test_a_pruner_that_fails_ends_the_worker_and_its_trial_goes_on_once_it_is_mended(
    faulty: str, database: Database
) -> None:
    study = create_or_open(database, "study", make_spec(3, pruner="none", references=False))
    PRUNERS.register("mine", type("Mine", (Upper,), dict(FAULTY_PRUNERS[faulty])))
    object.__setattr__(study.spec.search, "pruner", "mine")
    with pytest.raises(PluginError) as caught:
        run_worker(study, identity=this_process("w"), train=FakeTrainer())
    assert "\n" not in str(caught.value)
    assert unmentioned(str(caught.value), "pruner", "mine") == []
    status = read_status(create_or_open(database, "study", make_spec(3, pruner="none", references=False)))
    assert (status.free, status.running, status.finished) == (1, [], 0)
    assert read_curve(study, 0) == []
    PRUNERS.register("mine", Upper, replace=True)
    assert run_worker(study, identity=this_process("w"), train=FakeTrainer()).finished == 3


def test_the_line_of_a_sampler_and_of_a_pruner_that_raise_is_named() -> None:
    SAMPLERS.register("mine", fail)
    with pytest.raises(PluginError) as caught:
        make_sampler(make_spec(sampler="mine"), 0)
    assert unmentioned(str(caught.value), Path(__file__).name, "ZeroDivisionError") == []
    PRUNERS.register("mine", type("Mine", (Upper,), {"rungs": fail}))
    with pytest.raises(PluginError) as caught:
        stages_of(make_spec(pruner="mine"), planned=False)
    assert unmentioned(str(caught.value), Path(__file__).name, "ZeroDivisionError") == []


def test_a_library_that_a_plug_in_calls_wrongly_is_not_named_in_its_place() -> None:
    SAMPLERS.register("mine", lambda *_: Path(None))  # type: ignore[arg-type]
    with pytest.raises(PluginError) as caught:
        make_sampler(make_spec(sampler="mine"), 0)
    assert Path(__file__).name in str(caught.value)


def test_a_pruner_whose_expected_share_raises_is_named_before_anything_is_trained() -> None:
    PRUNERS.register("mine", type("Mine", (Upper,), {"passing_share": fail}))
    with pytest.raises(PluginError):
        trained_share(make_spec(pruner="mine"))


def test_an_error_in_a_pruner_of_hpo_is_a_bug_and_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec(pruner="median")
    monkeypatch.setattr("hpo.search.strategy.rules.Median.goes_on", fail)
    with pytest.raises(ZeroDivisionError):
        make_pruner(spec).decide(Rung(1, 0.5, 0, 1))
