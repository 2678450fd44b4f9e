"""How a confirmation is derived from a search, and gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from hpo.errors import StudyConflictError, UsageError
from hpo.outcome.candidates import choose_candidates, family_of
from hpo.outcome.confirmation import ablate
from hpo.outcome.leaderboard import read_confirmation
from hpo.outcome.preparation import Wishes, prepare_confirmation
from hpo.outcome.report.gather import gather
from hpo.outcome.winner import confirmed
from hpo.search.admin.studies import rename_study
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_best
from hpo.search.queue.claiming import claim
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, open_study
from hpo.search.worker.loop import run_worker
from hpo.study.choices import loss_family
from hpo.study.space import Choices
from hpo.study.spec import Confirm, Scoring, StudySpec
from hpo.testing.trainer import FakeTrainer, make_spec
from hpo.testing.trials import claimed, ended
from tests.mention import unmentioned

NAME = "search-confirm"


def _spec(trials: int = 8, *, per_family: int = 0, **changes: Any) -> StudySpec:
    rules = Confirm(top=3, per_family=per_family, seeds=2, racing_level=0.02)
    return make_spec(trials, references=True, pruner="asha", rungs="epochs").model_copy(
        update={"confirm": rules, **changes}
    )


def _searched(database: Database, spec: StudySpec | None = None, *, limit: int | None = None) -> Study:
    study = create_or_open(database, "search", spec or _spec())
    run_worker(study, identity=this_process("w"), train=FakeTrainer(), limit=limit)
    return study


def _begun(search: Study, **wishes: Any) -> Study:
    spec = prepare_confirmation(search, NAME, Wishes(**wishes)).spec
    return create_or_open(search.database, NAME, spec)


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


def test_the_command_line_takes_the_place_of_the_file_and_that_is_reported(database: Database) -> None:
    found = prepare_confirmation(_searched(database), NAME, Wishes(top=2, seeds=4, racing=False))
    assert found.spec.plan is not None
    assert (len(found.spec.plan.candidates), found.spec.plan.racing_level) == (4, 0.0)
    assert found.spec.budget.trials == 16
    facts = [("--top", 2, 3), ("--seeds", 4, 2), ("--no-racing",)]
    assert [unmentioned(note, *named) for note, named in zip(found.notes, facts, strict=True)] == [[]] * 3


def test_too_few_candidates_and_a_search_that_stopped_are_said_and_gone_on_with(database: Database) -> None:
    search = _searched(database, _spec(20), limit=4)
    found = prepare_confirmation(search, NAME, Wishes(top=9))
    facts = [("--top", 9, 3), (2, 9), (4, 20)]
    assert [unmentioned(note, *named) for note, named in zip(found.notes, facts, strict=True)] == [[]] * 3


def test_official_rows_cannot_be_drawn_anew_and_that_is_reported(database: Database) -> None:
    search = _searched(database, _spec(scoring=Scoring(rows="official")))
    (note,) = prepare_confirmation(search, NAME, Wishes()).notes
    assert unmentioned(note, "official", "seeds") == []


@pytest.mark.slow
def test_the_best_of_each_loss_family_are_confirmed_and_that_is_reported(database: Database) -> None:
    search = _searched(database, _spec(20, per_family=2))
    best = {"aucm": 2, "cross_entropy": 2}
    found = prepare_confirmation(search, NAME, Wishes(top=1))
    assert found.spec.plan is not None
    families = [family_of(one.config) for one in found.spec.plan.candidates if not one.is_reference]
    assert {name: families.count(name) for name in best} == best
    assert unmentioned(found.notes[1], "aucm 2", "cross_entropy 2") == []
    added = [one.name for one in found.spec.plan.candidates if not one.is_reference][1:]
    assert unmentioned(found.notes[2], *added) == []
    more = prepare_confirmation(search, NAME, Wishes(top=1, per_family=3))
    assert more.spec.plan is not None
    assert (more.spec.plan.per_family, len(more.spec.plan.candidates)) == (3, 2 + 6)


@pytest.mark.slow
def test_the_winner_is_followed_by_the_best_of_the_other_loss_family_and_baselines_of_100_epochs(
    database: Database,
) -> None:
    search = _searched(database, _spec(20, per_family=2))
    run_worker(_begun(search), identity=this_process("w"), train=FakeTrainer())
    entries = confirmed(search)
    tuned = [one for one in entries if not one.is_reference]
    assert {family_of(one.config) for one in tuned} == {"aucm", "cross_entropy"}
    assert len(tuned) == 2
    assert {one.epochs for one in tuned} == {None}
    assert [one.epochs for one in entries if one.is_reference] == [100, 100]
    assert unmentioned(entries[1].chosen, family_of(entries[1].config), NAME) == []
    board = [row.candidate for row in read_confirmation(open_study(database, NAME)).leaderboard]
    assert board.index(entries[0].name) == 0 < board.index(entries[1].name)
    ablated = ablate(search, train=lambda spec, name: create_or_open(database, name, spec))
    assert entries[1].name not in [row.candidate for row in ablated.leaderboard]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("choices", "names"),
    [
        (("cross_entropy", "focal"), ["libauc-as-it-comes", "trial 2", "medmnist-cross-entropy"]),
        (("aucm_v1", "aucm_v2"), ["libauc-as-it-comes", "medmnist-cross-entropy"]),
    ],
)
def test_a_baseline_that_wins_is_followed_by_the_best_of_a_search_of_another_loss_family(
    database: Database, choices: tuple[str, ...], names: list[str]
) -> None:
    space = {name: entry for name, entry in _spec().space.items() if name != "margin"}
    search = _searched(database, _spec(3, space=space | {"loss": Choices(choices=choices)}))
    run_worker(_begun(search), identity=this_process("w"), train=FakeTrainer())
    entries = confirmed(search)
    assert [one.name for one in entries] == names
    assert [one.name for one in entries if one.is_reference] == ["libauc-as-it-comes", "medmnist-cross-entropy"]


def test_a_loss_family_without_a_complete_trial_is_named(database: Database) -> None:
    space = _spec().space | {"loss": Choices(choices=("aucm_v1", "aucm_v2"))}
    search = _searched(database, _spec(per_family=2, space=space))
    assert prepare_confirmation(search, NAME, Wishes()).notes == []
    space["loss"] = Choices(choices=("aucm_v1", "cross_entropy"))
    other = create_or_open(database, "other", _spec(per_family=1, space=space))
    run_worker(other, identity=this_process("w"), train=FakeTrainer(), limit=3)
    (family, *_) = [
        note for note in prepare_confirmation(other, "other-confirm", Wishes(top=1)).notes if "family" in note
    ]
    tried = {str(trial.config["loss"]) for trial in read_best(other, 9).trials if trial.value.reference is None}
    missing = {"aucm", "cross_entropy"} - {loss_family(loss) for loss in tried}
    assert unmentioned(family, *missing) == []


def test_a_search_that_still_runs_is_not_confirmed(database: Database) -> None:
    search = _searched(database, limit=4)
    claim(search, "busy")
    with pytest.raises(UsageError) as refused:
        prepare_confirmation(search, NAME, Wishes())
    assert unmentioned(refused.value, "search", 1, "`hpo stop search`") == []


def test_a_search_without_a_complete_trial_has_nothing_to_confirm(database: Database) -> None:
    search = _searched(database, limit=2)
    with pytest.raises(UsageError) as refused:
        prepare_confirmation(search, NAME, Wishes())
    assert unmentioned(refused.value, "search") == []
    assert unmentioned(refused.value, "`hpo stop search`") != []
    assert unmentioned(refused.value, "`hpo worker search`", 6) == []


def test_a_search_that_ended_without_a_configuration_to_confirm_says_what_became_of_its_trials(
    database: Database,
) -> None:
    search = create_or_open(database, "search", _spec(4))
    of_search = search.spec.fixed["schedule"]
    run_worker(search, identity=this_process("w"), train=FakeTrainer(fails=lambda config: config.schedule == of_search))
    found = read_status(search)
    assert (found.complete, found.failed) == (2, 2)
    with pytest.raises(UsageError) as refused:
        prepare_confirmation(search, NAME, Wishes())
    assert unmentioned(refused.value, found.failed, found.pruned, 4, "--trials") == []


def test_asked_again_it_is_the_same_confirmation_even_if_the_search_went_on(database: Database) -> None:
    search = _searched(database, limit=5)
    first = _begun(search)
    assert prepare_confirmation(search, NAME, Wishes()).notes == []
    assert "went on" not in " ".join(read_confirmation(first).notes)
    complete = read_status(search).complete
    run_worker(search, identity=this_process("w"), train=FakeTrainer())
    again = prepare_confirmation(search, NAME, Wishes(top=3, seeds=2))
    assert again.spec == first.spec
    assert first.spec.plan is not None
    known = {one.name for one in first.spec.plan.candidates}
    newer = [one.name for one in choose_candidates(search, 3) if one.name not in known]
    assert newer
    assert unmentioned(again.notes[0], *newer, "--name") == []
    assert unmentioned(read_confirmation(first).notes[-1], read_status(search).complete - complete) == []
    assert create_or_open(database, NAME, again.spec).study_id == first.study_id


def test_a_larger_number_of_seeds_adds_repeats_and_a_smaller_is_refused(database: Database) -> None:
    search = _searched(database)
    _begun(search)
    longer = _begun(search, seeds=6)
    assert longer.spec.budget.trials == 6 * 5
    assert open_study(database, NAME).spec.budget.trials == 6 * 5
    assert prepare_confirmation(search, NAME, Wishes()).spec.budget.trials == 6 * 5
    with pytest.raises(StudyConflictError) as refused:
        prepare_confirmation(search, NAME, Wishes(seeds=2))
    assert unmentioned(refused.value, NAME, 6, "--seeds") == []


def test_more_seeds_are_told_as_a_second_look_once_a_trial_has_ended(database: Database) -> None:
    search = _searched(database)
    begun = _begun(search)
    assert prepare_confirmation(search, NAME, Wishes(seeds=3)).notes == []
    assert ended(claimed(begun))
    notes = prepare_confirmation(search, NAME, Wishes(seeds=3)).notes
    assert [unmentioned(note, 3, 2) for note in notes] == [[]]


@pytest.mark.parametrize(
    ("wishes", "facts"),
    [({"top": 1}, ["--top 3"]), ({"per_family": 1}, ["--per-family 0"]), ({"racing": False}, ["racing"])],
)
def test_another_top_or_racing_than_it_was_begun_with_is_refused(
    database: Database, wishes: dict[str, Any], facts: list[str]
) -> None:
    search = _searched(database)
    _begun(search)
    with pytest.raises(StudyConflictError) as refused:
        prepare_confirmation(search, NAME, Wishes(**wishes))
    assert unmentioned(refused.value, NAME, *facts, "--name") == []


def test_a_search_made_anew_under_the_same_name_is_another_search(database: Database) -> None:
    _begun(_searched(database))
    optuna.delete_study(study_name="search", storage=database.optuna)
    changed = _spec().model_copy(update={"search": _spec().search.model_copy(update={"seed": 9})})
    search = _searched(database, changed)
    with pytest.raises(StudyConflictError) as refused:
        prepare_confirmation(search, NAME, Wishes())
    assert unmentioned(refused.value, NAME, "search", "--name") == []


@pytest.mark.slow
def test_the_confirmation_of_another_search_with_the_same_trials_is_not_ones_own(
    database: Database, tmp_path: Path
) -> None:
    search = _searched(database)
    _begun(search)
    other = create_or_open(database, "other", _spec())
    run_worker(other, identity=this_process("w"), train=FakeTrainer())
    rename_study(database, NAME, "other-confirm")
    with pytest.raises(StudyConflictError) as refused:
        prepare_confirmation(other, "other-confirm", Wishes())
    assert unmentioned(refused.value, "other-confirm", "search", "--name") == []
    for ask in (confirmed, lambda study: gather(study, tmp_path, "other-confirm")):
        with pytest.raises(UsageError) as foreign:
            ask(other)
        assert unmentioned(foreign.value, "other-confirm", "search", "--confirmation") == []
    assert gather(other, tmp_path).confirmation is None
    with pytest.raises(UsageError):
        gather(other, tmp_path, "search")
    assert gather(search, tmp_path, "other-confirm").confirmation is not None


@pytest.mark.slow
def test_an_ablation_does_not_stand_for_the_confirmation(database: Database, tmp_path: Path) -> None:
    search = _searched(database)

    def train(spec: StudySpec, name: str) -> None:
        run_worker(create_or_open(database, name, spec), identity=this_process("w"), train=FakeTrainer())

    ablation = ablate(search, train=train, seeds=1, trial=3).name
    with pytest.raises(StudyConflictError) as taken_up:
        prepare_confirmation(search, ablation, Wishes())
    with pytest.raises(UsageError) as chosen:
        confirmed(search, ablation)
    with pytest.raises(UsageError) as reported:
        gather(search, tmp_path, ablation)
    for refused in (taken_up.value, chosen.value, reported.value):
        assert unmentioned(refused, ablation, "ablation", "search") == []
    assert gather(search, tmp_path).ablation is not None


@pytest.mark.slow
def test_an_earlier_searchs_confirmation_names_no_winner(database: Database) -> None:
    run_worker(_begun(_searched(database)), identity=this_process("w"), train=FakeTrainer())
    optuna.delete_study(study_name="search", storage=database.optuna)
    changed = _spec().model_copy(update={"search": _spec().search.model_copy(update={"seed": 9})})
    search = _searched(database, changed)
    with pytest.raises(UsageError) as refused:
        confirmed(search)
    assert unmentioned(refused.value, NAME, "earlier") == []


def test_the_command_that_goes_on_with_a_confirmation_has_its_name(database: Database) -> None:
    search = _searched(database)
    create_or_open(database, "mine", prepare_confirmation(search, "mine", Wishes()).spec)
    with pytest.raises(UsageError) as unfinished:
        confirmed(search, "mine")
    with pytest.raises(StudyConflictError) as launched:
        create_or_open(database, "mine", _spec())
    for refused in (unfinished.value, launched.value):
        assert unmentioned(refused, "`hpo confirm search --name mine`") == []


def test_neither_a_confirmation_nor_a_search_can_stand_for_the_other(database: Database) -> None:
    search = _searched(database)
    confirmation = _begun(search)
    with pytest.raises(UsageError) as refused:
        prepare_confirmation(confirmation, "x", Wishes())
    assert unmentioned(refused.value, NAME, "`hpo confirm search`") == []
    with pytest.raises(StudyConflictError) as conflict:
        prepare_confirmation(search, "search", Wishes())
    assert unmentioned(conflict.value, "search", "--name") == []
