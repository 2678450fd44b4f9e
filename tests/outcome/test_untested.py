"""Data without a test set: final networks with a cross-validated estimate, exported and reported as not tested."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from hpo.errors import DataError, UsageError
from hpo.outcome.confirmation import confirm
from hpo.outcome.export import export
from hpo.outcome.finalization import Finalization
from hpo.outcome.leaderboard import read_confirmation
from hpo.outcome.prediction import load_models, predict
from hpo.outcome.report.build import build
from hpo.outcome.report.gather import gather
from hpo.outcome.report.writing import final_of
from hpo.outcome.untested import UNTESTED, cross_validated, load_untested
from hpo.search.creation import create_or_open
from hpo.search.database.database import Database
from hpo.search.queries.trials import read_best
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, open_study
from hpo.search.worker.loop import run_worker
from hpo.study.catalogue import own_dataset
from hpo.study.files import default_spec
from hpo.study.spec import Scoring, StudySpec
from hpo.testing.trainer import FakeTrainer, make_spec
from hpo.training.loop.model_file import load_model, save_model
from tests.outcome.finalizing import finalizing
from tests.outcome.pages import words
from tests.own_files import own_file

pytestmark = pytest.mark.usefixtures("linear_network")


@pytest.fixture
def search(database: Database, tmp_path: Path) -> Study:
    """A finished search of four trials on 40 images without a test set; networks are linear, for two epochs."""
    known = default_spec(str(own_file(tmp_path / "mine.npz", (40, 0, 0))))
    spec = make_spec(4, epochs=2, references=True)
    fixed = {**spec.fixed, "network": "linear", "input_size": 6, "resplit": "none"}
    spec = spec.model_copy(update={"dataset": known.dataset, "own": known.own, "fixed": fixed})
    study = create_or_open(database, "mine", spec)
    run_worker(study, identity=this_process("w"), train=FakeTrainer(2))
    return study


@pytest.fixture
def done(search: Study, tmp_path: Path) -> Finalization:
    return finalizing(search, tmp_path / "results", data_dir=tmp_path)(seeds=2, train_only=False)


def test_the_winner_alone_is_trained_and_stored_with_its_estimate(search: Study, done: Finalization) -> None:
    found = load_untested(done.folder)
    assert found is not None
    assert found == done.untested
    assert (done.final, done.judgement) == (None, None)
    assert (found.study, found.entry.name, len(found.entry.networks)) == ("mine", "trial 3", 2)
    assert sorted(path.name for path in (done.folder / "models").iterdir()) == [
        network.file for network in found.entry.networks
    ]
    value = next(one.value for one in read_best(search).trials if one.value.number == 3)
    assert (found.estimate.mean, found.estimate.low, found.estimate.high) == (value.auc, value.low, value.high)
    assert (found.estimate.samples, found.estimate.folds) == (40, 5)
    assert found.estimate.selected_from == len(read_best(search).trials)


def test_a_confirmed_winner_has_the_estimate_of_the_confirmation(search: Study, tmp_path: Path) -> None:
    def train(spec: StudySpec, name: str) -> None:
        planned = create_or_open(search.database, name, spec)
        run_worker(planned, identity=this_process("c"), train=FakeTrainer(2))

    confirm(search, train=train, top=1, seeds=2, per_family=0)
    found = finalizing(search, tmp_path / "results", data_dir=tmp_path)(trial=None).untested
    assert found is not None
    best = read_confirmation(open_study(search.database, "mine-confirm")).leaderboard[0]
    assert found.entry.name == best.candidate
    assert (found.estimate.mean, found.estimate.low, found.estimate.high) == (best.mean, best.low, best.high)
    assert (found.estimate.study, found.estimate.trials, found.estimate.selected_from) == ("mine-confirm", 2, None)


@pytest.mark.slow
def test_an_estimate_on_the_validation_samples_of_the_search_does_not_claim_new_folds(
    search: Study, tmp_path: Path
) -> None:
    known = default_spec(str(own_file(tmp_path / "split.npz", (32, 8, 0))))
    changed = {"dataset": known.dataset, "own": known.own, "scoring": Scoring(rows="official")}
    official = create_or_open(search.database, "split", search.spec.model_copy(update=changed))
    run_worker(official, identity=this_process("w"), train=FakeTrainer(2))

    def train(spec: StudySpec, name: str) -> None:
        run_worker(create_or_open(search.database, name, spec), identity=this_process("w"), train=FakeTrainer(2))

    estimates = {}
    for study in (search, official):
        winner = confirm(study, train=train, top=1, seeds=2, per_family=0).winner
        assert winner is not None
        estimates[study.name] = cross_validated(study, winner)
        said = "new folds" in " ".join(words(build(gather(study, tmp_path)).sections[1]))
        assert said == ("new folds" in estimates[study.name].sentence(2)) == (study is search)
    assert (estimates["split"].is_official, estimates["split"].samples) == (True, 8)
    assert "too high" in estimates["split"].sentence(2)


def test_its_export_scores_images_and_its_card_and_report_say_that_it_was_not_tested(
    search: Study, done: Finalization, tmp_path: Path
) -> None:
    assert done.untested is not None
    paths = export(done.folder, tmp_path / "export")
    assert len(paths) == 2
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 6), dtype=np.uint8)
    models = load_models(tmp_path / "export")
    np.testing.assert_allclose(
        predict(models, images, "cpu"), predict(load_models(done.folder / "models"), images, "cpu")
    )
    card = (tmp_path / "export" / "README.md").read_text()
    assert done.untested.sentence() in card
    assert "Test AUC" not in card
    assert "patients" not in card
    config = json.loads((tmp_path / "export" / "config.json").read_text())
    assert config["estimate"]["mean"] == done.untested.estimate.mean
    assert config["name"] == "trial 3"
    assert gather(search, done.folder).untested == done.untested
    with pytest.raises(UsageError, match="hpo confirm mine --csv"):
        final_of(search, done.folder)
    other = create_or_open(search.database, "other", search.spec)
    assert gather(other, done.folder).untested is None


def test_names_from_outside_are_text_in_the_card(done: Finalization, tmp_path: Path) -> None:
    stored = done.folder / UNTESTED
    name = "<img src=x> `b`"
    found = json.loads(stored.read_text())
    found["study"] = found["estimate"]["study"] = name
    stored.write_text(json.dumps(found))
    for network in (done.folder / "models").iterdir():
        model = load_model(network)
        assert model.dataset.own is not None
        own = model.dataset.own.model_copy(update={"name": "_mine_", "label_names": ("<b>ill</b>",)})
        save_model(dataclasses.replace(model, dataset=own_dataset(own)), network)
    export(done.folder, tmp_path / "export")
    page = MarkdownIt("commonmark", {"html": True}).render((tmp_path / "export" / "README.md").read_text())
    assert set(re.findall(r"<(/?\w+)", page)) <= {
        f"{end}{tag}" for tag in ("h1", "h2", "p", "ul", "li", "strong", "code", "pre") for end in ("", "/")
    }
    shown = html.unescape(page)
    assert all(f"<code>{text}</code>" in shown for text in (name, "<b>ill</b>"))
    assert "<h1>trial 3 on _mine_</h1>" in page


def test_an_export_of_fewer_networks_leaves_none_of_the_earlier_ones(
    search: Study, done: Finalization, tmp_path: Path
) -> None:
    made = tmp_path / "export"
    assert len(export(done.folder, made)) == 2
    (made / "mine.safetensors").touch()
    fewer = finalizing(search, done.folder, data_dir=tmp_path)(seeds=1, train_only=False)
    (path,) = export(fewer.folder, made)
    assert sorted(made.glob("*.safetensors")) == [made / "mine.safetensors", path]


def test_networks_that_are_lacking_leave_no_result(search: Study, tmp_path: Path) -> None:
    part = finalizing(search, tmp_path / "results", limit=1, data_dir=tmp_path)(seeds=2)
    assert (part.missing, part.untested) == (1, None)
    assert load_untested(part.folder) is None
    with pytest.raises(DataError):
        export(part.folder, tmp_path / "export")


def test_an_estimate_of_shorter_training_says_so(done: Finalization) -> None:
    assert done.untested is not None
    assert done.untested.estimate.epochs == done.untested.epochs == 2
    alike, longer = done.untested.estimate.sentence(2), done.untested.estimate.sentence(100)
    assert "100" not in alike
    assert " 2 epochs" in longer
    assert " 100" in longer


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}', "[" * 50_000])
def test_a_result_that_is_not_one_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / UNTESTED).write_text(text)
    with pytest.raises(DataError):
        load_untested(tmp_path)
