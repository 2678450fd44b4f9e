"""Which configurations of a search are trained again."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.outcome.candidates import choose_candidates
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queue.reporting import finish, record_report
from hpo.search.study import Study
from hpo.study.baselines import baselines
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.study.meaning import meaning
from hpo.testing.trainer import make_record, make_report, make_spec
from hpo.testing.trials import claimed


def searched(database: Database, trials: list[tuple[float, dict[str, Any]]], *, outcome: str = "complete") -> Study:
    """A search whose references reached .80 and .81, with trials of these AUCs and settings."""
    study = create_or_open(database, "search", make_spec(len(trials) + 2, references=True))
    configs = [config.model_dump() for config in baselines(study.spec).values()]
    configs += [TrainConfig(**settings).model_dump() for _, settings in trials]
    for auc, config in zip([0.80, 0.81, *(auc for auc, _ in trials)], configs, strict=True):
        held = claimed(study)
        record_report(held, make_report(1, auc))
        ends = "complete" if held.baseline else outcome
        assert finish(held, ends, make_report(1, auc), make_record(config))  # type: ignore[arg-type]
    return study


def test_the_references_come_first_then_the_best_by_their_value(database: Database) -> None:
    study = searched(database, [(0.7, {"margin": 0.1}), (0.9, {"margin": 0.2}), (0.8, {"margin": 0.3})])
    chosen = choose_candidates(study, top=2)
    assert [candidate.name for candidate in chosen] == [*baselines(study.spec), "trial 3", "trial 4"]
    assert [candidate.is_reference for candidate in chosen] == [True, True, False, False]
    assert [(candidate.trial, candidate.auc) for candidate in chosen] == [(0, 0.80), (1, 0.81), (3, 0.9), (4, 0.8)]
    assert chosen[2].standard_error == 0.02
    assert chosen[2].config == TrainConfig(margin=0.2)


def test_configurations_that_differ_only_in_what_means_nothing_are_one(database: Database) -> None:
    same = {"loss": "cross_entropy", "learning_rate": 0.05}
    trials = [(0.90, {**same, "margin": 0.2}), (0.91, {**same, "margin": 0.9}), (0.85, {"learning_rate": 0.05})]
    chosen = choose_candidates(searched(database, trials), top=3)
    assert [candidate.name for candidate in chosen if not candidate.is_reference] == ["trial 3", "trial 4"]


def test_the_best_of_each_loss_family_are_candidates_besides_the_best_over_all(database: Database) -> None:
    trials: list[tuple[float, dict[str, Any]]] = [
        (0.9 - 0.01 * rank, {"margin": 0.2 + 0.1 * rank}) for rank in range(4)
    ]
    trials += [(0.7, {"loss": "cross_entropy"}), (0.6, {"loss": "cross_entropy", "learning_rate": 0.05})]
    trials += [(0.65, {"loss": "aucm_v2"})]
    study = searched(database, trials)

    def names(top: int, per_family: int) -> list[str]:
        return [one.name for one in choose_candidates(study, top, per_family) if not one.is_reference]

    assert names(3, 0) == ["trial 2", "trial 3", "trial 4"]
    assert names(3, 1) == ["trial 2", "trial 3", "trial 4", "trial 6"]
    assert names(1, 2) == ["trial 2", "trial 3", "trial 6", "trial 7"]
    assert names(9, 2) == [f"trial {number}" for number in (2, 3, 4, 5, 6, 8, 7)]


def test_where_a_search_has_one_loss_family_the_best_over_all_are_enough(database: Database) -> None:
    study = searched(database, [(0.9, {"margin": 0.2}), (0.8, {"margin": 0.3}), (0.7, {"loss": "aucm_v2"})])
    assert [one.name for one in choose_candidates(study, 1, 2) if not one.is_reference] == ["trial 2"]


def test_a_trial_that_means_the_same_as_a_reference_is_left_to_the_reference(database: Database) -> None:
    study = searched(database, [(0.95, {"resplit": "official", "positive_share": 0.3}), (0.9, {"margin": 0.3})])
    chosen = choose_candidates(study, top=2)
    assert [candidate.name for candidate in chosen if not candidate.is_reference] == ["trial 3"]


@pytest.mark.parametrize("outcome", ["pruned", "failed"])
def test_trials_that_were_stopped_early_or_failed_are_no_candidates(database: Database, outcome: str) -> None:
    chosen = choose_candidates(searched(database, [(0.95, {"margin": 0.3})], outcome=outcome), top=2)
    assert [candidate.is_reference for candidate in chosen] == [True, True]


def test_a_reference_that_the_search_did_not_finish_is_confirmed_all_the_same(database: Database) -> None:
    study = create_or_open(database, "search", make_spec(3, references=True))
    chosen = choose_candidates(study, top=1)
    assert [(candidate.name, candidate.trial, candidate.auc) for candidate in chosen] == [
        (name, None, None) for name in baselines(study.spec)
    ]


def test_what_the_dataset_makes_of_a_setting_counts() -> None:
    plain, masks = find_dataset("breast"), find_dataset("adrenal3d")
    first, second = TrainConfig(shape_multiplier=True), TrainConfig(shape_multiplier=False)
    assert meaning(first, plain) == meaning(second, plain)
    assert meaning(first, masks) != meaning(second, masks)
    digits = find_dataset("digits")
    assert meaning(TrainConfig(input_size=28), digits) == meaning(TrainConfig(input_size=8), digits)
    assert meaning(TrainConfig(input_size=28), plain) != meaning(TrainConfig(input_size=14), plain)
