"""The winner taken back to the references, one change at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.errors import UsageError
from hpo.outcome.ablation import ablation_name, one_change_each, prepare_ablation
from hpo.outcome.leaderboard import Verdict, changes_of, judge, read_confirmation
from hpo.outcome.report.build import build
from hpo.outcome.report.document import Listing
from hpo.outcome.report.gather import gather
from hpo.outcome.report.result.confirmation import ablation
from hpo.outcome.winner import entries_from_trial
from hpo.search.admin.studies import rename_study
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, open_study
from hpo.search.worker.loop import run_worker
from hpo.study.baselines import CROSS_ENTROPY, LIBAUC, shown_name
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.study.plan import Candidate, Plan
from hpo.testing.trainer import FakeTrainer, make_spec
from tests.mention import numbers_in, unmentioned
from tests.outcome.pages import blocks, pictures, rows, section_with, words
from tests.search.planned import make_confirmation, simulated

BREAST = find_dataset("breast")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a database with a finished search of eight trials."""
    folder = tmp_path_factory.mktemp("search")
    database = open_database(resolve_address(f"sqlite:///{folder}/hpo.db"), create=True)
    study = create_or_open(database, "breast", make_spec(8, references=True))
    run_worker(study, identity=this_process("w"), train=FakeTrainer())
    database.close()
    assert [file.name for file in folder.iterdir()] == ["hpo.db"], "a log would be lost"
    return (folder / "hpo.db").read_bytes()


@pytest.fixture
def search(searched: bytes, tmp_path: Path) -> Iterator[Study]:
    """A finished search of eight trials, in a database of its own."""
    (tmp_path / "hpo.db").write_bytes(searched)
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.db"), create=False)
    yield open_study(database, "breast")
    database.close()


def test_each_change_is_one_setting_that_means_something_and_differs() -> None:
    winner = TrainConfig(loss="aucm_v2", margin=0.5, optimizer="adam", learning_rate=1e-3, augmentation="flip")
    reference = TrainConfig(loss="aucm_v1", margin=1.0, optimizer="adam", learning_rate=1e-2, momentum=0.9)
    changes = one_change_each(winner, reference, BREAST)
    assert list(changes) == ["loss = aucm_v1", "margin = 1", "learning_rate = 0.01", "augmentation = none"]
    for config in changes.values():
        assert sum(config.model_dump()[name] != value for name, value in winner.model_dump().items()) == 1


def test_a_setting_that_dies_with_another_is_not_a_change_of_its_own() -> None:
    winner = TrainConfig(loss="aucm_v1", margin=0.5)
    reference = TrainConfig(loss="cross_entropy", margin=1.0)
    assert list(one_change_each(winner, reference, BREAST)) == ["loss = cross_entropy"]


def test_the_plan_holds_the_winner_the_references_and_every_change_once(search: Study) -> None:
    spec = prepare_ablation(search, entries_from_trial(search, 4), seeds=2)
    assert spec.plan is not None
    names = [candidate.name for candidate in spec.plan.candidates]
    assert names[:3] == ["trial 4", CROSS_ENTROPY, LIBAUC]
    assert len(names) == len(set(names))
    assert [candidate.is_reference for candidate in spec.plan.candidates] == [True] + [False] * (len(names) - 1)
    assert (spec.plan.racing_level, spec.budget.trials, spec.search.pruner) == (0.0, 2 * len(names), "none")


def test_it_goes_on_with_more_seeds_and_refuses_another_winner(search: Study) -> None:
    entries = entries_from_trial(search, 4)
    first = prepare_ablation(search, entries, seeds=2)
    create_or_open(search.database, ablation_name("breast"), first)
    assert prepare_ablation(search, entries, seeds=1).budget.trials == first.budget.trials
    assert prepare_ablation(search, entries, seeds=3).budget.trials == first.budget.trials * 3 // 2
    with pytest.raises(UsageError) as refused:
        prepare_ablation(search, entries_from_trial(search, 5), seeds=2)
    assert unmentioned(refused.value, ablation_name("breast"), "trial 5") == []


@pytest.mark.parametrize("seeds", [0, -1, 51])
def test_a_number_of_seeds_that_the_command_refuses_is_refused(search: Study, seeds: int) -> None:
    with pytest.raises(UsageError):
        prepare_ablation(search, entries_from_trial(search, 4), seeds=seeds)


def test_it_goes_on_under_a_new_name_of_the_search(search: Study) -> None:
    entries = entries_from_trial(search, 4)
    create_or_open(search.database, ablation_name("breast"), prepare_ablation(search, entries, seeds=2))
    rename_study(search.database, "breast", "renamed")
    renamed = open_study(search.database, "renamed")
    more = prepare_ablation(renamed, entries_from_trial(renamed, 4), seeds=3)
    assert create_or_open(search.database, ablation_name("renamed"), more).spec.budget.trials == more.budget.trials


@pytest.mark.slow
def test_the_report_tells_what_each_change_is_worth(search: Study, tmp_path: Path) -> None:
    assert "ablation" not in pictures(build(gather(search, tmp_path)))
    study = create_or_open(
        search.database, ablation_name("breast"), prepare_ablation(search, entries_from_trial(search, 4), 2)
    )
    run_worker(study, identity=this_process("w"), train=FakeTrainer())
    section = section_with(build(gather(search, tmp_path)), "ablation")
    assert unmentioned(words(section)[0], "trial 4") == []
    assert numbers_in(words(section)[0]).count(2) == 2, "whole repeats, and repeats"
    found = rows(section)
    assert {shown_name(CROSS_ENTROPY, search.spec.budget.epochs), "learning_rate = 0.001"} <= found.keys()
    verdicts = {name: Verdict[cells[-2].upper()] for name, cells in found.items()}
    (listing,) = blocks(section, Listing)
    notes = read_confirmation(study).notes
    assert listing.items[-len(notes) :] == tuple(notes)
    *apart, counts = listing.items[: -len(notes)]
    for verdict, sentence in zip(
        [one for one in (Verdict.WORSE, Verdict.BETTER) if one in verdicts.values()], apart, strict=True
    ):
        named = [name for name, its in verdicts.items() if its == verdict]
        assert unmentioned(sentence, *named, *(found[name][1] for name in named)) == []
    open_ = list(verdicts.values()).count(Verdict.INDISTINGUISHABLE)
    assert numbers_in(counts)[:2] == [open_, len(verdicts)]


def test_it_says_that_the_winner_was_selected_on_the_samples(search: Study) -> None:
    study = create_or_open(
        search.database, ablation_name("breast"), prepare_ablation(search, entries_from_trial(search, 4), 1)
    )
    *_, favoured = read_confirmation(study).notes
    assert unmentioned(favoured, "selected on these samples", "worse") == []


def test_a_change_that_shares_no_repeat_with_the_winner_has_no_difference_from_it() -> None:
    names = ("trial 7", "clip = 0", "margin = 0.5")
    candidates = tuple(Candidate(name=one, config=TrainConfig(), is_reference=one == names[0]) for one in names)
    plan = Plan(search="breast", candidates=candidates, top=2, racing_level=0.0)
    results = simulated([0.9, 0.8, 0.7], 1)
    spec = make_confirmation(plan, 1)
    assert len(changes_of(judge("breast-ablation", spec, plan, results, done=True))) == 2
    found = judge("breast-ablation", spec, plan, results | {(0, 0): None}, done=True)
    assert changes_of(found) == []
    assert blocks(ablation(found), Listing) == []
