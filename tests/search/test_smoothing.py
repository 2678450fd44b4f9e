"""AUCs smoothed over similar configurations: the process itself, and what ranks the trials of a study."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.outcome.candidates import choose_candidates
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.smoothing import read_smoothed
from hpo.search.queries.trials import read_best
from hpo.search.queue.workers import this_process
from hpo.search.strategy.encoding import Encoding
from hpo.search.strategy.smoothing import LEAST
from hpo.search.strategy.surrogate import Surrogate, observe
from hpo.search.study import Study
from hpo.search.worker.loop import run_worker
from hpo.search.worker.trainer import Task
from hpo.study.spec import Confirm
from hpo.testing.trainer import FakeTrainer, make_spec
from hpo.training.report import EpochReport

SPACE = {
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "size": IntDistribution(10, 20),
    "kind": CategoricalDistribution(["a", "b"]),
}
FOLDS = (1, 2, 5)


def configurations(count: int, seed: int = 0) -> list[dict[str, object]]:
    random = np.random.default_rng(seed)
    return [
        {
            "rate": 10 ** random.uniform(-4, -1),
            "size": int(random.integers(10, 21)),
            "kind": str(random.choice(["a", "b"])),
        }
        for _ in range(count)
    ]


def truth(config: dict[str, object]) -> float:
    rate, kind = config["rate"], config["kind"]
    assert isinstance(rate, float)
    return 0.9 - 0.05 * (np.log10(rate) + 2.5) ** 2 - 0.02 * (kind == "b")


def observed(configs: list[dict[str, object]], noise: float, seed: int = 0) -> list[list[float]]:
    """AUCs at rungs of means over folds; every third trial has reached the last one."""
    random = np.random.default_rng(seed)
    aucs = []
    for number, config in enumerate(configs):
        folds = noise * random.standard_normal(FOLDS[-1])
        reached = [truth(config) - 0.02 * (2 - rung) + folds[:count].mean() for rung, count in enumerate(FOLDS)]
        aucs.append(reached if number % 3 == 0 else reached[: 1 + number % 2])
    return aucs


def fitted(configs: list[dict[str, object]], aucs: list[list[float]]) -> tuple[Surrogate, np.ndarray]:
    encoding = Encoding(SPACE)
    points = encoding.encode(configs)
    return Surrogate(encoding, observe(points, aucs, FOLDS)), points


def test_coordinates_follow_the_scale_of_the_space_and_choices_are_equal_or_not() -> None:
    encoding = Encoding(SPACE)
    points = encoding.encode([{"rate": 1e-3, "size": 15, "kind": "b"}, {"rate": 1e-4, "size": 10}])
    assert points == pytest.approx(np.array([[1 / 3, 0.5, 1], [0, 0, -1]]))
    assert encoding.squared_distances(points, points)[:, 0, 1] == pytest.approx([1 / 9, 0.25, 1])


def test_the_gradient_of_the_fit_is_that_of_its_value() -> None:
    configs = configurations(30)
    surrogate, _ = fitted(configs, observed(configs, 0.03))
    random = np.random.default_rng(1)
    theta = surrogate._prior + 0.3 * random.standard_normal(len(surrogate._prior))
    _, gradient = surrogate._loss(theta)
    for place, slope in enumerate(gradient):
        step = 1e-5 * np.eye(len(theta))[place]
        numerical = (surrogate._loss(theta + step)[0] - surrogate._loss(theta - step)[0]) / 2e-5
        assert slope == pytest.approx(numerical, rel=1e-3, abs=1e-4)


def test_smoothed_aucs_are_nearer_to_the_truth_than_those_of_the_trials() -> None:
    errors = []
    for seed in range(5):
        configs = configurations(60, seed)
        aucs = observed(configs, 0.05, seed)
        surrogate, points = fitted(configs, aucs)
        whole = [number for number, reached in enumerate(aucs) if len(reached) == len(FOLDS)]
        smoothed = surrogate.smoother(points[whole])[1]
        true = np.array([truth(configs[number]) for number in whole])
        own = np.array([aucs[number][-1] for number in whole])
        errors.append([np.std(smoothed - true), np.std(own - true)])
    smoothed_error, own_error = np.mean(errors, axis=0)
    assert smoothed_error < 0.75 * own_error


def test_derivatives_say_how_smoothed_aucs_follow_the_trials_aucs() -> None:
    configs = configurations(40)
    aucs = observed(configs, 0.05)
    surrogate, points = fitted(configs, aucs)
    derivatives, before = surrogate.smoother(points[:3])
    place = int(np.flatnonzero(surrogate._seen.rungs == 2)[0])
    surrogate._values[place] += 0.01 / surrogate._scale
    assert surrogate.smoother(points[:3])[1] - before == pytest.approx(0.01 * derivatives[:, place])
    assert 0 < derivatives[0, place] < 1


def test_of_very_many_aucs_the_last_of_each_trial_stay() -> None:
    configs = configurations(50)
    aucs = observed(configs, 0.0)
    seen = observe(Encoding(SPACE).encode(configs), aucs, FOLDS, most=60)
    assert len(seen.aucs) == 60
    assert {(trial, len(reached) - 1) for trial, reached in enumerate(aucs)} <= set(
        zip(seen.trials, seen.rungs, strict=True)
    )
    with pytest.raises(ValueError, match="no trial"):
        observe(np.zeros((1, 3)), [[]], FOLDS)


class OneLuckyTrial(FakeTrainer):
    """The trial with the lowest learning rate so far has an AUC far above what its rate is worth, now and then."""

    def __call__(self, task: Task) -> Iterator[EpochReport]:
        lucky = task.config.learning_rate < 3e-4 and not any(config.learning_rate < 3e-4 for config, _ in self.trained)
        for report in super().__call__(task):
            gain = 0.17 if lucky else 0.0
            folds = tuple(value + gain for value in report.fold_aucs)
            yield replace(report, auc=report.auc + gain, fold_aucs=folds)


def searched(database: Database, trials: int, ranking: str = "smoothed") -> Study:
    spec = make_spec(trials, references=True, sampler="random", seed=3)
    spec = spec.model_copy(update={"confirm": Confirm.model_validate({"ranking": ranking})})
    study = create_or_open(database, f"study {trials} {ranking}", spec)
    run_worker(study, identity=this_process("w"), train=OneLuckyTrial(study.spec.budget.epochs))
    return study


@pytest.mark.slow
def test_a_lucky_trial_is_not_the_best_of_a_study_that_smooths(database: Database) -> None:
    study = searched(database, 30)
    own = read_best(searched(database, 30, "auc"), 30)
    ranking = read_best(study, 30)
    lucky = own.trials[0].value
    assert float(own.trials[0].params["learning_rate"]) < 3e-4
    assert ranking.trials[0].value.number != lucky.number
    assert all(best.smoothed is None for best in own.trials)
    by_number = {best.value.number: best for best in ranking.trials}
    assert by_number.keys() == {best.value.number for best in own.trials}
    luck = by_number[lucky.number]
    assert luck.smoothed is not None
    assert luck.smoothed < luck.value.auc - 0.03
    keys = [best.value.auc if best.smoothed is None else best.smoothed for best in ranking.trials]
    assert keys == sorted(keys, reverse=True)
    chosen = [one.trial for one in choose_candidates(study, top=3) if not one.is_reference]
    assert chosen == [best.value.number for best in ranking.trials if best.value.reference is None][:3]


@pytest.mark.slow
def test_baselines_keep_their_own_auc(database: Database) -> None:
    ranking = read_best(searched(database, 30), 30)
    assert {best.value.reference is None for best in ranking.trials if best.smoothed is None} == {False}


@pytest.mark.slow
def test_few_trials_and_studies_of_before_are_ranked_by_their_own_aucs(database: Database) -> None:
    assert read_smoothed(searched(database, LEAST)) is None  # two of them are baselines
    assert read_smoothed(searched(database, 30, "auc")) is None
