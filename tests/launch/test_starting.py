"""A new study starts from the best trials of another: of another space, another dataset, an earlier hpo."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import StudyNotFoundError, UsageError
from hpo.launch.starting import find_source, with_starts_from
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queries.trials import read_best
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, open_study
from hpo.search.worker.loop import run_worker
from hpo.study.files import default_spec
from hpo.study.space import Choices, FloatRange
from hpo.study.spec import StudySpec
from hpo.study.starts import Start
from hpo.testing.trainer import FakeTrainer, make_spec
from tests.cli.run import hpo_here
from tests.mention import unmentioned

RESULTS = Path(__file__).parents[2] / "docs" / "results"


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


def searched(storage: str, name: str = "old", trials: int = 8, **options: Any) -> Study:
    study = create_or_open(
        open_database(resolve_address(storage), create=True), name, make_spec(trials, references=True, **options)
    )
    run_worker(study, identity=this_process("w"), train=FakeTrainer(study.spec.budget.epochs))
    return study


def started(spec: StudySpec, storage: str, *sources: Study | str, **options: Any) -> tuple[Start, ...]:
    return with_starts_from(spec, sources, name="new", storage=storage, **options).start


def test_the_best_searched_trials_are_the_start_points_best_first(storage: str) -> None:
    source = searched(storage)
    best = [one for one in read_best(source, 99).trials if one.value.reference is None]
    starts = started(make_spec(), storage, "old")
    assert [start.name for start in starts] == [f"old trial {one.value.number}" for one in best[:3]]
    assert [start.values for start in starts] == [one.params for one in best[:3]]
    assert len(started(make_spec(), storage, source, count=2)) == 2
    assert len(started(make_spec(), storage, source, count=30)) == len(best)


def test_a_name_with_an_at_sign_is_told_from_an_address(storage: str, tmp_path: Path) -> None:
    name, file = "me@work", tmp_path / "address"
    searched(storage, name, trials=4)
    file.write_text(storage)
    elsewhere = f"sqlite:///{tmp_path}/none.db"
    assert find_source(name, storage).name == name
    for address in (storage, f"@{file}"):
        assert find_source(f"{name}@{address}", elsewhere).name == name
    with pytest.raises(StudyNotFoundError) as caught:
        find_source("old@other.db", storage)
    assert unmentioned(caught.value, "old@other.db", "other.db", "sqlite:///") == []
    for text in ("old@", "@", f"@{storage}"):
        with pytest.raises(UsageError):
            find_source(text, storage)


@pytest.mark.slow
def test_start_points_of_the_file_come_first_and_two_studies_of_a_name_are_told_apart(
    storage: str, tmp_path: Path
) -> None:
    searched(storage)
    elsewhere = searched(f"sqlite:///{tmp_path}/other.db", seed=0)
    own = Start(name="own", values={"learning_rate": 0.01})
    spec = make_spec().model_copy(update={"start": (own,)})
    names = [start.name for start in started(spec, storage, "old", elsewhere, count=1)]
    assert names[0] == "own"
    assert names[2] == f"{names[1]} (2)"


def test_what_does_not_fit_is_moved_or_left_out_and_told(storage: str, log: list[str]) -> None:
    searched(storage)
    log.clear()
    space = {"learning_rate": FloatRange(low=1e-6, high=1e-5), "optimizer": Choices(choices=("sgd", "adam"))}
    spec = make_spec().model_copy(update={"space": space, "fixed": {"loss": "aucm_v2"}})
    starts = started(spec, storage, "old")
    # In this space they are all the same: the optimizer was not searched there.
    assert [start.values for start in starts] == [{"learning_rate": 1e-5, "optimizer": "sgd"}]
    number = starts[0].name.rpartition(" ")[2]
    assert all(line.startswith(f"start old trial {number}: ") for line in log[:-1])
    assert any("learning_rate" in line and "becomes 1e-05" in line for line in log)
    assert any("batch_size" in line and "is left out" in line for line in log)


@pytest.mark.parametrize(
    ("result", "name", "dataset"), [("breast", "breast", "adrenal3d"), ("adrenal3d",) * 2 + ("chest",)]
)
def test_a_study_of_an_earlier_hpo_and_another_dataset_is_a_source(
    tmp_path: Path, storage: str, result: str, name: str, dataset: str
) -> None:
    shutil.copy(RESULTS / result / "study.sqlite3", tmp_path / "old.db")
    spec = default_spec(dataset)
    starts = started(spec, storage, f"{name}@sqlite:///{tmp_path}/old.db")[2:]
    assert starts
    for start in starts:
        config = spec.config(start.values)
        assert spec.searched_values(config).keys() >= start.values.keys()
        assert start.name.startswith(f"{name} trial ")


def test_a_confirmation_and_a_study_without_a_complete_trial_are_refused(tmp_path: Path, storage: str) -> None:
    shutil.copy(RESULTS / "breast" / "study.sqlite3", tmp_path / "old.db")
    with pytest.raises(UsageError, match="--from breast"):
        started(make_spec(), storage, f"breast-confirm@sqlite:///{tmp_path}/old.db")
    searched(storage, trials=2)
    with pytest.raises(UsageError, match="no complete trial"):
        started(make_spec(), storage, "old")
    with pytest.raises(StudyNotFoundError, match="old"):
        started(make_spec(), storage, "odl")
    with pytest.raises(UsageError, match="STUDY@STORAGE"):
        started(make_spec(), storage, "@sqlite:///x.db")


@pytest.mark.slow
def test_a_study_that_exists_keeps_its_start_points(storage: str, log: list[str]) -> None:
    source = searched(storage)
    made = hpo.create_study(make_spec(5), storage=storage, name="new", start_from="old", start_top=2)
    assert len(made.spec.start) == 2
    more = searched(storage, "more", seed=3)
    again = hpo.create_study(make_spec(5), storage=storage, name="new", start_from=[source, more])
    assert again.spec == made.spec
    assert log[-1] == "study new exists and keeps its 2 start points"


def test_the_command_stores_them_and_continues_with_the_same_words(tmp_path: Path) -> None:
    searched(f"sqlite:///{tmp_path}/hpo.sqlite3")
    words = ("launch", "--dataset", "digits", "--name", "n", "--on", "none", "--from", "old", "--from-top", "1")
    for _ in range(2):
        done = hpo_here(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    stored = open_study(open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=False), "n")
    assert [start.name for start in stored.spec.start][2:] == [stored.spec.start[-1].name]
    assert stored.spec.start[-1].name.startswith("old trial ")


@pytest.mark.slow
def test_configurations_tried_on_the_same_samples_are_counted_for_the_confirmation(
    storage: str, tmp_path: Path
) -> None:
    searched(storage, trials=8)
    first = with_starts_from(make_spec(), ["old"], name="new", storage=storage)
    assert first.earlier == 6
    assert first.fingerprint() == first.model_copy(update={"earlier": 0}).fingerprint()
    new = create_or_open(open_database(resolve_address(storage), create=False), "new", first)
    run_worker(new, identity=this_process("w"), train=FakeTrainer(new.spec.budget.epochs))
    assert "6 configurations" in read_best(new, 1).note
    again = with_starts_from(make_spec(), ["new"], name="newer", storage=storage)
    assert again.earlier == 6 + new.spec.budget.trials
    assert with_starts_from(make_spec(), ["old"], name="new", storage=storage).earlier == 6
    larger, other = (make_spec().model_copy(update={"dataset": one}) for one in ("breast@64", "pneumonia"))
    counted = [with_starts_from(spec, ["old"], name="other", storage=storage).earlier for spec in (larger, other)]
    assert counted == [6, 0]
