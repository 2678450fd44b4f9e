"""hpo as it is and as it was, random search, and stock Optuna, as methods of the benchmark of search methods."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from benchmarks.search_tasks.networks import Config
from benchmarks.search_tasks.simulation import Job
from benchmarks.search_tasks.tasks import EPOCHS, FOLDS, SPACE, applies
from hpo.search.strategy.common_rung import RUNG_AUCS, ListedTrials
from hpo.search.strategy.pruner import Reached, Rung, make_pruner
from hpo.search.strategy.racing import race
from hpo.search.strategy.sampler import make_sampler
from hpo.search.strategy.samplers import good_trials, tpe
from hpo.search.strategy.seeds import trial_seed
from hpo.search.strategy.smoothing import smooth
from hpo.study.config import TrainConfig
from hpo.study.plan import Candidate, Plan
from hpo.study.spec import Budget, Scoring, Search, StudySpec
from hpo.study.stages import Stage

SamplerOfTrial = Callable[[int], BaseSampler]
"""Makes the sampler of a trial from its number."""


class OnOptuna:
    """A sampler of Optuna and a pruner of hpo, asynchronously, as hpo's workers use them.

    Args:
        spec: of the pruner and its rungs.
        sampler: of each trial; sees the trials of `self.listed`.
        smooths: whether the best trial is that with the highest smoothed AUC, as in hpo, or the highest AUC.
    """

    def __init__(self, spec: StudySpec, sampler: SamplerOfTrial, *, smooths: bool = False) -> None:
        self._smooths = smooths
        self._pruner, self._sampler = make_pruner(spec), sampler
        self.rungs: Sequence[Stage] = self._pruner.stages()
        self._reached: list[list[Reached]] = [[] for _ in self.rungs]
        self._storage = ListedTrials("study", [])

    def ask(self, spent: float) -> Job | None:
        """Sample a new trial, with the trials under way known as such."""
        number = len(self._storage.listed)
        self._storage.listed.append(_running(number))
        view = optuna.load_study(study_name="study", storage=self._storage, sampler=self._sampler(number))
        trial = optuna.trial.Trial(view, number)
        values: dict[str, Any] = {}
        for name, entry in SPACE.items():
            if applies(name, values):
                values[name] = suggest(trial, name, entry)
        known = self._storage.listed[number]
        known.params, known.distributions = values, {name: SPACE[name] for name in values}
        return Job(number, values, 0)

    def tell(self, job: Job, fold_aucs: tuple[float, ...]) -> bool:
        """Store the AUCs; ask the pruner."""
        trial, own = self._storage.listed[job.trial], Reached(job.trial, fold_aucs)
        reached = self._reached[job.rung]
        reached.append(own)
        trial.system_attrs[RUNG_AUCS] = [*trial.system_attrs[RUNG_AUCS], own.auc]
        trial.intermediate_values = {**trial.intermediate_values, self.rungs[job.rung].epochs: own.auc}
        if job.rung == len(self.rungs) - 1:
            self._end(trial, TrialState.COMPLETE, own.auc)
            return False
        better = sum(other.auc > own.auc for other in reached)
        stage = self.rungs[job.rung]
        ranked = tuple(sorted(reached, key=lambda other: (-other.auc, other.number)))
        rung = Rung(stage.epochs, own.auc, better, len(reached), stage.folds, job.trial, lambda: ranked)
        if self._pruner.goes_on(rung):
            return True
        self._end(trial, TrialState.PRUNED, own.auc)
        return False

    def choose(self, whole: Sequence[int]) -> int:
        """Return the whole trial with the highest AUC, smoothed if so asked."""
        found = smooth(SPACE, self._storage.listed, self.rungs) if self._smooths else None
        if found is None:
            return whole[0]
        return max(found.aucs, key=lambda number: found.aucs[number])

    def _end(self, trial: FrozenTrial, state: TrialState, auc: float) -> None:
        trial.state, trial.value = state, auc


class Confirmed(OnOptuna):
    """A search, and its confirmation within the same budget: hpo's choice of the winner.

    Args:
        share: of the budget that the search has.
        top: configurations with the highest AUC, which are trained again.
        repeats: of each, on new folds, with new seeds.

    Attributes:
        plan: of the confirmation; None during the search.
        results: fold AUCs of each candidate and repeat, both from 0.
    """

    def __init__(self, spec: StudySpec, sampler: SamplerOfTrial, share: float, top: int, repeats: int) -> None:
        super().__init__(spec, sampler)
        self._spec, self._share, self._top = spec, share, top
        self._repeats, self._training = repeats, 0
        self.plan: Plan | None = None
        self._slots: dict[int, tuple[int, int]] = {}
        self.results: dict[tuple[int, int], tuple[float, ...] | None] = {}

    def ask(self, spent: float) -> Job | None:
        """Sample a new trial; after the search, when all workers are free, train the candidates repeat by repeat."""
        if self.plan is None and spent < self._share:
            self._training += 1
            return super().ask(spent)
        if self.plan is None:
            if self._training:
                return None
            self.plan = self._make_plan()
        gone = race(self.plan, self.results, self._spec.scoring)
        for slot in range(len(self.plan.candidates) * self._repeats):
            candidate, repeat = self.plan.at(slot)
            if (candidate, repeat) not in self._slots.values() and candidate not in gone:
                trial = self.plan.candidates[candidate].trial
                assert trial is not None
                number = len(self._storage.listed) + len(self._slots)
                self._slots[number] = candidate, repeat
                return Job(number, self._storage.listed[trial].params, len(self.rungs) - 1, deal=repeat + 1)
        return None

    def tell(self, job: Job, fold_aucs: tuple[float, ...]) -> bool:
        """Store the AUCs."""
        if job.trial in self._slots:
            self.results[self._slots[job.trial]] = fold_aucs
            return False
        goes_on = super().tell(job, fold_aucs)
        self._training -= not goes_on
        return goes_on

    def choose(self, whole: Sequence[int]) -> int:
        """Return the candidate with the highest mean over the repeats that all who are left have finished."""
        if self.plan is None:
            return whole[0]
        gone = race(self.plan, self.results, self._spec.scoring)
        left = [number for number in range(len(self.plan.candidates)) if number not in gone]
        done = [repeat for repeat in range(self._repeats) if all((number, repeat) in self.results for number in left)]
        winner = max(left, key=lambda number: sum(sum(self.results[number, repeat] or ()) for repeat in done))
        trial = self.plan.candidates[winner].trial
        assert trial is not None
        return trial

    def _make_plan(self) -> Plan:
        """Plan as `hpo confirm` does; what the candidates' settings are does not matter to it."""
        complete = [trial for trial in self._storage.listed if trial.state == TrialState.COMPLETE]
        best = sorted(complete, key=lambda trial: -(trial.value or 0.0))[: self._top]
        candidates = [Candidate(name=f"trial {one.number}", config=TrainConfig(), trial=one.number) for one in best]
        return Plan(search="study", candidates=tuple(candidates), top=self._top, racing_level=0.01)


def _running(number: int) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=None,
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={RUNG_AUCS: []},
        intermediate_values={},
    )


def suggest(trial: optuna.trial.Trial, name: str, entry: optuna.distributions.BaseDistribution) -> Any:
    """Suggest a value of a distribution."""
    if isinstance(entry, optuna.distributions.CategoricalDistribution):
        return trial.suggest_categorical(name, entry.choices)
    assert isinstance(entry, optuna.distributions.FloatDistribution)
    return trial.suggest_float(name, entry.low, entry.high, log=entry.log)


def spec_of(seed: int, **search: Any) -> StudySpec:
    """Return the spec of a study of the benchmark's folds and epochs; first rung a ninth of them, as in breast.toml."""
    options = {"seed": seed, "startup_trials": 12, "first_rung": EPOCHS // 9, "reduction": 3, **search}
    return StudySpec(
        dataset="breast", scoring=Scoring(folds=FOLDS), search=Search(**options), budget=Budget(epochs=EPOCHS)
    )


def hpo(seed: int, *, smooths: bool = False, **search: Any) -> OnOptuna:
    """hpo as it is: its own sampler, pruner and choice by its own functions."""
    spec = spec_of(seed, **search)
    return OnOptuna(spec, lambda number: make_sampler(spec, number), smooths=smooths)


def hpo_smoothed(seed: int) -> OnOptuna:
    """hpo with the best trial by smoothed AUC."""
    return hpo(seed, smooths=True)


def hpo_folds(seed: int) -> OnOptuna:
    """hpo whose trials train one fold first."""
    return hpo(seed, rungs="folds")


def hpo_folds_smoothed(seed: int) -> OnOptuna:
    """Both."""
    return hpo(seed, rungs="folds", smooths=True)


def hpo_tpe(seed: int, **changed: Any) -> OnOptuna:
    """hpo with other arguments of its TPE."""
    spec = spec_of(seed)
    return OnOptuna(spec, lambda number: tpe(spec.search, trial_seed(seed, number, "sampler"), **changed))


def hpo_top_8(seed: int) -> OnOptuna:
    """hpo whose TPE takes 8 % of the trials for good ones, not 15 %."""
    return hpo_tpe(seed, gamma=good_trials(0.08))


def hpo_128(seed: int) -> OnOptuna:
    """hpo whose TPE proposes the best of 128 candidates, not of 24."""
    return hpo_tpe(seed, n_ei_candidates=128)


def hpo_confirmed(seed: int) -> OnOptuna:
    """hpo as it is, whose confirmation is paid from the same budget.

    The best six are trained twice again, which is 36 % of 900 epochs.
    """
    spec = spec_of(seed)
    return Confirmed(spec, lambda number: make_sampler(spec, number), share=0.64, top=6, repeats=2)


def hpo_before(seed: int) -> OnOptuna:
    """hpo at 51a1257: all folds together, TPE in Optuna's order of complete and pruned trials."""
    return _optuna_tpe(spec_of(seed, rungs="epochs"), multivariate=True, group=True)


def random_asha(seed: int) -> OnOptuna:
    """Random draws and asynchronous successive halving over epochs."""
    return hpo(seed, sampler="random", rungs="epochs")


def optuna_asha(seed: int) -> OnOptuna:
    """Optuna's TPE as it comes, and asynchronous successive halving over epochs."""
    return _optuna_tpe(spec_of(seed, rungs="epochs"))


def optuna_hyperband(seed: int) -> OnOptuna:
    """Optuna's TPE as it comes, and Hyperband over epochs."""
    return _optuna_tpe(spec_of(seed, rungs="epochs", pruner="hyperband"))


def _optuna_tpe(spec: StudySpec, **options: Any) -> OnOptuna:
    def make(number: int) -> BaseSampler:
        seed = trial_seed(spec.search.seed, number, "sampler")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=12, **options)

    return OnOptuna(spec, make)


METHODS: dict[str, Callable[[int], OnOptuna]] = {
    "hpo": hpo,
    "hpo, confirmed": hpo_confirmed,
    "hpo, top 8 %": hpo_top_8,
    "hpo, 128 candidates": hpo_128,
    "hpo, smoothed": hpo_smoothed,
    "hpo, one fold first": hpo_folds,
    "hpo, one fold first, smoothed": hpo_folds_smoothed,
    "hpo 51a1257": hpo_before,
    "random + ASHA": random_asha,
    "Optuna TPE + ASHA": optuna_asha,
    "Optuna TPE + Hyperband": optuna_hyperband,
}


def active(values: dict[str, Any]) -> Config:
    """Return the settings that have an effect, of values for all settings."""
    found: dict[str, Any] = {}
    for name in SPACE:
        if applies(name, found):
            found[name] = values[name]
    return found
