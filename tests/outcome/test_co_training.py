"""A study whose trials train on other datasets, too: search, replay, final networks, export, missing files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hpo.api import report
from hpo.data.others import check_others, load_others
from hpo.errors import DataError, UsageError
from hpo.outcome.export import export
from hpo.outcome.prediction import load_models, predict
from hpo.search.admin.widening import widen
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.trials import read_record, read_trials
from hpo.search.queue.workers import this_process
from hpo.search.study import Study
from hpo.search.worker.loop import run_worker
from hpo.search.worker.replay import replay
from hpo.search.worker.trainer import Task, make_trainer
from hpo.study.catalogue import DATASETS, Dataset
from hpo.study.co_training import names_of_others
from hpo.study.space import Choices
from hpo.study.spec import Budget, Scoring, Search, StudySpec
from hpo.training.loop.model_file import load_model
from tests.arrays import made_npz
from tests.outcome.finalizing import finalizing, work
from tests.plugins import kept_registries

NAMES = ("target", "friend", "absent")


@pytest.fixture
def folder(own_data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder with the files of three registered datasets of 8 x 8 pixels, the last two with other labels."""
    monkeypatch.setattr("hpo.training.model.resnet._WIDTHS", (8, 8))
    with kept_registries():
        for seed, name in enumerate(NAMES):
            form = Dataset(
                name=name, dimensions=2, labels=1 + 2 * seed, rows=(60, 20, 12), size=8, md5="0", near_duplicates=None
            )
            DATASETS.register(name, made_npz(form, own_data_folder, (60, 20, 12), seed))
        yield own_data_folder


def spec_with(*values: str) -> StudySpec:
    return StudySpec(
        dataset="target",
        scoring=Scoring(rows="kfold", folds=2),
        search=Search(references=False, pruner="none", sampler="qmc"),
        budget=Budget(trials=2, epochs=2),
        fixed={"batch_size": 16, "precision": "fp32", "augmentation": "full"},
        space={"co_training": Choices(choices=values)},
    )


def searched(database: Database, folder: Path, *values: str) -> Study:
    study = create_or_open(database, "together", spec_with(*values))
    run_worker(study, identity=this_process("w"), train=make_trainer(study.spec, folder, "cpu"))
    return study


@pytest.mark.slow
def test_trials_with_other_datasets_are_scored_on_the_studys_own_and_replay_bit_equal(
    database: Database, folder: Path
) -> None:
    study = searched(database, folder, "friend+absent")
    assert [row.state for row in read_trials(study)] == ["complete", "complete"]
    record = read_record(study, 0)
    assert record is not None
    assert record.config["co_training"] == "friend+absent"
    assert "data MD5 of friend" in record.provenance.environment
    assert replay(study, 0, make_trainer(study.spec, folder, "cpu")).bit_equal


@pytest.mark.parametrize("values", [("friend",), ("none", "friend")])
def test_a_worker_without_a_file_that_the_study_may_use_says_what_to_put_where_before_it_begins(
    folder: Path, values: tuple[str, ...]
) -> None:
    (folder / "friend.npz").unlink()
    load_others.__globals__["_load_once"].cache_clear()
    with pytest.raises(DataError) as caught:
        make_trainer(spec_with(*values), folder, "cpu")
    message = str(caught.value)
    assert str(folder / "friend.npz") in message
    assert "hpo data fetch friend" in message
    assert "\n" not in message
    with pytest.raises(DataError, match="friend"):
        check_others(spec_with(*values).other_datasets(), folder)


def test_only_files_that_the_study_names_are_needed(folder: Path) -> None:
    (folder / "absent.npz").unlink()
    check_others(spec_with("none", "friend").other_datasets(), folder)
    make_trainer(spec_with("none", "friend"), folder, "cpu")


def test_other_datasets_are_loaded_once_per_process_without_their_test_sets(folder: Path) -> None:
    datasets = spec_with("friend").other_datasets()
    first, second = (load_others(datasets, folder)["friend"] for _ in range(2))
    assert first is second
    assert len(first) == 80
    assert first.groups is None


def test_a_file_that_changed_is_refused(folder: Path) -> None:
    load_others.__globals__["_load_once"].cache_clear()
    content = dict(np.load(folder / "friend.npz"))
    np.savez_compressed(folder / "friend.npz", **{**content, "train_images": content["train_images"][::-1]})
    with pytest.raises(DataError, match="MD5"):
        load_others(spec_with("friend").other_datasets(), folder)


@pytest.mark.slow
def test_final_networks_have_the_head_of_the_studys_dataset_and_score_its_images(
    database: Database, folder: Path, tmp_path: Path
) -> None:
    study = searched(database, folder, "friend+absent")
    trained: list[int] = []

    def train_networks(_spec: StudySpec, name: str) -> None:
        trained.append(work(database, name, data_dir=folder).finished)

    def train() -> Path:
        made = finalizing(study, tmp_path / "results")
        return made(trial=0, train=train_networks, data_dir=str(folder)).networks[0].path

    path = train()
    assert sum(trained) == 1
    assert train() == path
    assert sum(trained) == 1
    model = load_model(path)
    assert (model.dataset.name, model.config.co_training) == ("target", "friend+absent")
    assert not [name for name in model.network.state_dict() if "friend" in name or "absent" in name]
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    assert predict(load_models(path), images, "cpu").shape == (5, 1)
    # Other content of another dataset is another training.
    made_again = dataclasses.replace(DATASETS.find("friend"))
    DATASETS.register("friend", made_npz(made_again, folder, (60, 20, 12), seed=9), replace=True)
    train()
    assert sum(trained) == 2


def test_a_worker_of_a_study_that_is_extended_by_a_dataset_loads_it_or_ends_and_the_trial_is_not_lost(
    database: Database, folder: Path
) -> None:
    study = create_or_open(database, "together", spec_with("none"))
    trainer = make_trainer(study.spec, folder, "cpu")
    wider = spec_with("none", "friend", "absent")
    widen(database, "together", wider)
    config = wider.config({"co_training": "friend"})
    assert [report.epoch for report in trainer(Task(config, seed=0, number=0))] == [1, 2]
    load_others.__globals__["_load_once"].cache_clear()
    (folder / "absent.npz").unlink()
    with pytest.raises(UsageError, match=r"absent\.npz"):
        next(iter(trainer(Task(wider.config({"co_training": "absent"}), seed=0, number=1))))


@pytest.mark.slow
def test_report_and_model_card_say_which_other_datasets_were_trained_on(
    database: Database, folder: Path, tmp_path: Path
) -> None:
    study = searched(database, folder, "friend+absent")

    def train_networks(_spec: StudySpec, name: str) -> None:
        work(database, name, data_dir=folder)

    made = finalizing(study, tmp_path / "results")
    made(trial=0, train=train_networks, train_only=False, data_dir=str(folder))
    export(tmp_path / "results", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "absent and friend" in card
    pages = [path.read_text() for path in report(study, results=tmp_path / "results") if path.suffix == ".md"]
    assert [page for page in pages if "absent and friend" in page]
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    assert predict(load_models(tmp_path / "out"), images, "cpu").shape == (5, 1)


def test_a_stored_name_of_a_dataset_that_is_not_registered_is_shown_as_it_is(folder: Path) -> None:
    target = DATASETS.find("target")
    assert names_of_others("gone+friend", target) == "gone and friend"
    assert names_of_others("none", target) == names_of_others(None, target) == ""
