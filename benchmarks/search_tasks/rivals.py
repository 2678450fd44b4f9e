"""SMAC3 and Syne Tune as methods of the benchmark; both are optional packages, see the extra `search-benchmark`."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution

from benchmarks.search_tasks.methods import active
from benchmarks.search_tasks.networks import Config
from benchmarks.search_tasks.simulation import Job
from benchmarks.search_tasks.tasks import CONDITIONS, EPOCHS, FOLDS, SPACE
from hpo.study.stages import Stage

RUNGS = (Stage(FOLDS, EPOCHS // 9), Stage(FOLDS, EPOCHS // 3), Stage(FOLDS, EPOCHS))


class _ByAuc:
    """A method whose best trial is the one with the highest AUC."""

    def choose(self, whole: Sequence[int]) -> int:
        """Return the whole trial with the highest AUC."""
        return whole[0]


class SyneTuneBohb(_ByAuc):
    """Syne Tune's BOHB: kernel densities at the highest rung with enough trials, asynchronous successive halving."""

    rungs = RUNGS

    def __init__(self, seed: int) -> None:
        from syne_tune.backend.trial_status import Trial
        from syne_tune.config_space import choice, loguniform, uniform
        from syne_tune.optimizer.baselines import BOHB

        space: dict[str, Any] = {}
        for name, entry in SPACE.items():
            if isinstance(entry, CategoricalDistribution):
                space[name] = choice(list(entry.choices))
            elif isinstance(entry, FloatDistribution):
                space[name] = (loguniform if entry.log else uniform)(entry.low, entry.high)
        self._trial = Trial
        self._scheduler = BOHB(
            space,
            metric="auc",
            time_attr="epoch",
            max_t=EPOCHS,
            do_minimize=False,
            random_seed=seed,
            grace_period=EPOCHS // 9,
        )
        self._trials: list[Any] = []

    def ask(self, _spent: float) -> Job:
        """Sample a new trial; its settings without effect are drawn as well and left out in training."""
        import datetime

        suggestion = self._scheduler.suggest()
        trial = self._trial(len(self._trials), suggestion.config, datetime.datetime.now())
        self._trials.append(trial)
        self._scheduler.on_trial_add(trial)
        return Job(trial.trial_id, active(suggestion.config), 0)

    def tell(self, job: Job, fold_aucs: tuple[float, ...]) -> bool:
        """Report a rung; return the scheduler's decision."""
        from syne_tune.optimizer.scheduler import SchedulerDecision

        trial, epoch = self._trials[job.trial], self.rungs[job.rung].epochs
        result = {"auc": sum(fold_aucs) / len(fold_aucs), "epoch": epoch}
        decision = self._scheduler.on_trial_result(trial, result)
        return bool(decision == SchedulerDecision.CONTINUE and epoch < EPOCHS)


class SmacHyperband(_ByAuc):
    """SMAC3's multi-fidelity facade: random forests and Hyperband; what is promoted goes on training where it was."""

    rungs = RUNGS

    def __init__(self, seed: int) -> None:
        from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, InCondition
        from smac import MultiFidelityFacade, Scenario

        logging.getLogger("smac").setLevel(logging.ERROR)
        space = ConfigurationSpace(seed=seed)
        for name, entry in SPACE.items():
            if isinstance(entry, CategoricalDistribution):
                space.add(Categorical(name, list(entry.choices)))
            elif isinstance(entry, FloatDistribution):
                space.add(Float(name, (entry.low, entry.high), log=entry.log))
        for name, (parent, wanted) in CONDITIONS.items():
            if len(wanted) == 1:
                space.add(EqualsCondition(space[name], space[parent], wanted[0]))
            else:
                space.add(InCondition(space[name], space[parent], list(wanted)))
        self._folder = tempfile.TemporaryDirectory()
        scenario = Scenario(
            space,
            deterministic=True,
            n_trials=100_000,
            min_budget=EPOCHS // 9,
            max_budget=EPOCHS,
            seed=seed,
            output_directory=Path(self._folder.name),
        )
        self._smac = MultiFidelityFacade(scenario, _never_called, overwrite=True, logging_level=False)
        self._numbers: dict[Any, int] = {}
        self._asked: dict[Job, Any] = {}

    def ask(self, _spent: float) -> Job:
        """Return a new configuration, or a promoted one with its next rung."""
        info = self._smac.ask()
        number = self._numbers.setdefault(info.config, len(self._numbers))
        config: Config = {name: _plain(value) for name, value in dict(info.config).items()}
        rung = min(range(len(RUNGS)), key=lambda place: abs(RUNGS[place].epochs - info.budget))
        job = _Asked(number, config, rung)
        self._asked[job] = info
        return job

    def tell(self, job: Job, fold_aucs: tuple[float, ...]) -> bool:
        """Tell the cost; SMAC promotes by what it asks next."""
        from smac.runhistory.dataclasses import TrialValue

        self._smac.tell(self._asked.pop(job), TrialValue(cost=1 - sum(fold_aucs) / len(fold_aucs)))
        return False


class _Asked(Job):
    """A job that is equal to itself only, since configurations cannot be keys."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def _never_called(config: Any, seed: int = 0, budget: float = 0) -> float:
    raise AssertionError(config)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


RIVALS = {"SMAC3 Hyperband": SmacHyperband, "Syne Tune BOHB": SyneTuneBohb}
