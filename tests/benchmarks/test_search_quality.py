"""The benchmark of search methods, on a budget of a few trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.search_tasks.evaluation import SHARES, evaluate, table
from benchmarks.search_tasks.methods import METHODS, Confirmed, hpo_folds, spec_of
from benchmarks.search_tasks.networks import auc
from benchmarks.search_tasks.simulation import simulate
from benchmarks.search_tasks.tasks import EPOCHS, FOLDS, draw, make_task
from hpo.search.strategy.sampler import make_sampler


def test_the_auc_is_that_of_scikit_learn_with_ties() -> None:
    random = np.random.default_rng(0)
    scores, labels = random.integers(0, 9, 80).astype(np.float32), random.integers(0, 2, 80)
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))


def test_a_network_learns_and_is_the_same_again() -> None:
    task = make_task("diabetes", 0)
    config = {**draw(np.random.default_rng(0)), "learning_rate": 0.05, "optimizer": "adam", "loss": "cross_entropy"}
    runs = [task.run(config, 0, 1) for _ in range(2)]
    for run in runs:
        for _ in range(5):
            run.train_epoch()
    assert runs[0].aucs == runs[1].aucs
    assert runs[0].aucs[-1] > 0.65


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_spends_its_budget_and_names_a_whole_trial(name: str) -> None:
    found = simulate(make_task("diabetes", 0), METHODS[name](0), 20 * FOLDS, 0)
    assert found.spent >= 20 * FOLDS
    assert found.whole
    assert found.incumbents[-1][1] == found.whole[0]


@pytest.mark.slow
def test_with_one_fold_first_most_trials_are_trained_on_that_only() -> None:
    method = hpo_folds(0)
    found = simulate(make_task("diabetes", 0), method, 60 * FOLDS, 0)
    assert method.rungs[0].folds == 1
    # With all folds together, 60 whole epochs are at most 20 trials up to the first rung.
    assert len(found.trials) > 20 >= len(found.whole)


@pytest.mark.slow
def test_a_confirmation_is_paid_from_the_budget_and_chooses_by_the_new_folds() -> None:
    spec = spec_of(0)
    method = Confirmed(spec, lambda number: make_sampler(spec, number), share=0.5, top=3, repeats=2)
    found = simulate(make_task("diabetes", 0), method, 300 * FOLDS, 0)
    assert method.plan is not None
    candidates = range(3)
    assert sorted(method.results) == [(candidate, repeat) for candidate in candidates for repeat in range(2)]
    means = [np.mean([method.results[candidate, repeat] for repeat in range(2)]) for candidate in candidates]
    assert found.chosen == method.plan.candidates[int(np.argmax(means))].trial
    assert found.spent - len(method.results) * EPOCHS * FOLDS >= 0.5 * 300 * FOLDS


def _run(method: str, seed: int, *aucs: float) -> dict[str, Any]:
    steps = {str(share): [value] * 4 for share, value in zip(SHARES, aucs, strict=True)}
    chosen = [aucs[-1] + 0.01] * 4
    return {
        "method": method,
        "task": "t",
        "seed": seed,
        "trials": 9,
        "seconds": 1.0,
        "incumbents": steps,
        "chosen": chosen,
    }


def test_regret_is_what_lacks_to_the_best_that_any_method_chose() -> None:
    runs = [
        run
        for seed in range(3)
        for run in (_run("hpo", seed, 0.5, 0.6, 0.7, 0.8), _run("other", seed, 0.5, 0.5, 0.6, 0.6))
    ]
    found = evaluate(runs)
    assert found.regret["hpo"] == pytest.approx([0.0] * 3)
    assert found.regret["other"] == pytest.approx([200.0] * 3)
    assert found.anytime["hpo"][:, 0] == pytest.approx([310.0, 210.0, 110.0, 10.0])
    assert f"| other | 200.0 [200.0, 200.0] |{' +200.0 [+200.0, +200.0] |' * 2} 2.0" in table(found, reference="hpo")
