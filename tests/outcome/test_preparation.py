"""How a confirmation is derived from a search, and gone on with."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from hpo.errors import StudyConflictError, UsageError
from hpo.outcome.preparation import Wishes, prepare_confirmation
from hpo.search.database.database import Database
from hpo.search.queue.claiming import claim
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, create_or_take_up, open_study
from hpo.search.worker.loop import run_worker
from hpo.study.spec import Confirm, Scoring, StudySpec
from tests.search.fakes import FakeTrainer, make_spec

NAME = "search-confirm"


def _spec(trials: int = 8, **changes: Any) -> StudySpec:
    rules = Confirm(top=3, seeds=2, racing_level=0.02)
    return make_spec(trials, references=True, pruner="asha").model_copy(update={"confirm": rules, **changes})


def _searched(database: Database, spec: StudySpec | None = None, *, limit: int | None = None) -> Study:
    study = create_or_take_up(database, "search", spec or _spec())
    run_worker(study, identity=this_process("w"), train=FakeTrainer(), limit=limit)
    return study


def _begun(search: Study, **wishes: Any) -> Study:
    spec = prepare_confirmation(search, NAME, Wishes(**wishes)).spec
    return create_or_take_up(search.database, NAME, spec)


def test_a_confirmation_is_unpruned_with_its_own_seed_and_the_same_epochs_rows_and_settings(database: Database) -> None:
    search = _searched(database, _spec(scoring=Scoring(repeats=3, seed=5)))
    spec = prepare_confirmation(search, NAME, Wishes()).spec
    assert spec.search.pruner == "none"
    assert spec.search.seed != search.spec.search.seed
    assert spec.scoring == Scoring(repeats=1, seed=5)
    assert (spec.dataset, spec.budget.epochs, spec.space) == ("breast", 4, search.spec.space)
    assert spec.plan is not None
    assert (len(spec.plan.candidates), spec.plan.top, spec.plan.racing_level) == (5, 3, 0.02)
    assert spec.budget.trials == 2 * 5


def test_confirmations_of_other_names_have_other_seeds(database: Database) -> None:
    search = _searched(database)
    seeds = {prepare_confirmation(search, name, Wishes()).spec.search.seed for name in (NAME, "second")}
    assert len(seeds) == 2


def test_the_command_line_takes_the_place_of_the_file_and_that_is_said(database: Database) -> None:
    found = prepare_confirmation(_searched(database), NAME, Wishes(top=2, seeds=4, racing=False))
    assert found.spec.plan is not None
    assert (len(found.spec.plan.candidates), found.spec.plan.racing_level) == (4, 0.0)
    assert found.spec.budget.trials == 16
    assert found.notes == [
        "--top 2 takes the place of the 3 that the study file says",
        "--seeds 4 takes the place of the 2 that the study file says",
        "--no-racing: every candidate is trained in every repeat, whatever the study file says",
    ]


def test_too_few_candidates_and_a_search_that_stopped_are_said_and_gone_on_with(database: Database) -> None:
    search = _searched(database, _spec(20), limit=4)
    found = prepare_confirmation(search, NAME, Wishes(top=9))
    assert found.notes[1:] == [
        "only 2 distinct configurations are complete, not 9; these are taken",
        "the search stopped after 4 of 20 trials; these are chosen from",
    ]


def test_official_rows_cannot_be_drawn_anew_and_that_is_said(database: Database) -> None:
    search = _searched(database, _spec(scoring=Scoring(rows="official")))
    assert "only the seeds are new" in prepare_confirmation(search, NAME, Wishes()).notes[-1]


def test_a_search_that_still_runs_is_not_confirmed(database: Database) -> None:
    search = _searched(database, limit=4)
    claim(search, "busy")
    with pytest.raises(UsageError, match=r"still runs \(1 trials\)"):
        prepare_confirmation(search, NAME, Wishes())


def test_a_search_without_a_complete_trial_has_nothing_to_confirm(database: Database) -> None:
    with pytest.raises(UsageError, match="nothing to confirm"):
        prepare_confirmation(_searched(database, limit=2), NAME, Wishes())


def test_asked_again_it_is_the_same_confirmation_even_if_the_search_went_on(database: Database) -> None:
    search = _searched(database, limit=5)
    first = _begun(search)
    run_worker(search, identity=this_process("w"), train=FakeTrainer())
    again = prepare_confirmation(search, NAME, Wishes(top=3, seeds=2))
    assert again.spec == first.spec
    assert create_or_take_up(database, NAME, again.spec).study_id == first.study_id


def test_a_larger_number_of_seeds_adds_repeats_and_a_smaller_is_refused(database: Database) -> None:
    search = _searched(database)
    _begun(search)
    longer = _begun(search, seeds=6)
    assert longer.spec.budget.trials == 6 * 5
    assert open_study(database, NAME).spec.budget.trials == 6 * 5
    assert prepare_confirmation(search, NAME, Wishes()).spec.budget.trials == 6 * 5
    with pytest.raises(StudyConflictError, match="has 6 seeds; more can be added"):
        prepare_confirmation(search, NAME, Wishes(seeds=2))


@pytest.mark.parametrize(("wishes", "told"), [({"top": 1}, "begun with --top 3"), ({"racing": False}, "with racing")])
def test_another_top_or_racing_than_it_was_begun_with_is_refused(
    database: Database, wishes: dict[str, Any], told: str
) -> None:
    search = _searched(database)
    _begun(search)
    with pytest.raises(StudyConflictError, match=told):
        prepare_confirmation(search, NAME, Wishes(**wishes))


def test_a_search_made_anew_under_the_same_name_is_another_search(database: Database) -> None:
    _begun(_searched(database))
    optuna.delete_study(study_name="search", storage=database.optuna)
    changed = _spec().model_copy(update={"search": _spec().search.model_copy(update={"seed": 9})})
    with pytest.raises(StudyConflictError, match="confirms another search than the search of today"):
        prepare_confirmation(_searched(database, changed), NAME, Wishes())


def test_neither_a_confirmation_nor_a_search_can_stand_for_the_other(database: Database) -> None:
    search = _searched(database)
    confirmation = _begun(search)
    with pytest.raises(UsageError, match="is itself the confirmation of search; run `hpo confirm search`"):
        prepare_confirmation(confirmation, "x", Wishes())
    with pytest.raises(StudyConflictError, match="study search is no confirmation"):
        prepare_confirmation(search, "search", Wishes())
