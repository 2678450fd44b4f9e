"""Final networks, and the one access to the test set."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hpo.data.digits import digit_arrays
from hpo.errors import OutputError, StudyNotFoundError, UsageError
from hpo.outcome.export import export
from hpo.outcome.final import load, results_folder, results_root
from hpo.outcome.networks import Entry, Network, Protocol
from hpo.outcome.opening import open_and_score
from hpo.outcome.ownership import check_free
from hpo.outcome.report.gather import gather
from hpo.outcome.winner import confirmed, entries_from_trial
from hpo.search.admin.studies import delete_study, rename_study
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queries.ledger import read_openings
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, open_study
from hpo.search.worker.loop import run_worker
from hpo.study.baselines import CROSS_ENTROPY, LIBAUC
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig
from hpo.study.record import NetworkRecord, Provenance, ResourceUsage
from hpo.testing.trainer import FakeTrainer, make_spec
from hpo.training.loop.model_file import Model, save_model
from hpo.training.model.resnet import resnet18
from tests.mention import unmentioned

DIGITS = find_dataset("digits")
PROTOCOL = Protocol("development", epochs=1, seeds=2, study_seed=0)
ENTRIES = [Entry("trial 3", TrainConfig(), False, "by hand"), Entry("reference", TrainConfig(), True, "as a reference")]
RECORD = NetworkRecord(provenance=Provenance(code_version="abc1234"), usage=ResourceUsage(seconds=60.0))


@pytest.fixture
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of 16 channels: what is opened and scored does not depend on how many there are."""
    monkeypatch.setattr("hpo.training.model.resnet._WIDTHS", (16, 16, 16, 16))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.db"), create=True)
    return create_or_open(database, "digits", make_spec(4, references=True).model_copy(update={"dataset": "digits"}))


def networks(folder: Path, seed: int = 0) -> list[Network]:
    """Untrained networks in place of trained ones; another seed gives others."""
    found = []
    for place, entry in enumerate(ENTRIES):
        for number in range(PROTOCOL.seeds):
            path = folder / "models" / f"{entry.name.replace(' ', '-')}-{number}.safetensors"
            network = resnet18(2, 1, seed=seed + 10 * place + number)
            save_model(Model(DIGITS, entry.config, network, {}), path)
            found.append(Network(entry.name, number, path, np.array([0.5]), "10 selection samples", RECORD))
    return found


def opened(study: Study, folder: Path, seed: int = 0, reopen: str = "") -> Any:
    made = networks(folder, seed)
    return open_and_score(study, ENTRIES, PROTOCOL, made, folder, folder, "abc1234", reopen, "cpu")


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("kept", [0, 1])
def test_the_test_set_is_not_opened_for_an_entry_without_networks(study: Study, tmp_path: Path, kept: int) -> None:
    made = [network for network in networks(tmp_path) if kept and network.entry == ENTRIES[0].name]
    with pytest.raises(UsageError) as refused:
        open_and_score(study, ENTRIES, PROTOCOL, made, tmp_path, tmp_path, "abc1234", "", "cpu")
    assert unmentioned(refused.value, *[entry.name for entry in ENTRIES[kept:]]) == []
    assert read_openings(study.database, "digits") == []


@pytest.mark.usefixtures("thin")
def test_the_opening_is_in_the_ledger_before_a_test_row_is_read(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the machine died here")

    monkeypatch.setattr("hpo.data.sealed.load_by", broken)
    with pytest.raises(RuntimeError, match="died"):
        opened(study, tmp_path)
    opening = read_openings(study.database, "digits")[0]
    assert (opening.study, opening.code_version, opening.reason) == ("digits", "abc1234", "")
    assert opening.configuration["entries"] == {"trial 3": "by hand", "reference": "as a reference"}
    assert load(tmp_path) is None


@pytest.mark.usefixtures("thin")
def test_every_network_is_scored_once_on_the_official_test_set(study: Study, tmp_path: Path) -> None:
    found = opened(study, tmp_path)
    arrays = digit_arrays(("test",))
    np.testing.assert_array_equal(found.labels, arrays["test_labels"])
    assert {name: scores.shape for name, scores in found.scores.items()} == {
        "trial 3": (2, 360, 1), "reference": (2, 360, 1)}  # fmt: skip
    again = load(tmp_path)
    assert again is not None
    assert (again.result.winner, again.result.ledger_row) == ("trial 3", 1)
    expected = roc_auc_score(arrays["test_labels"][:, 0], found.scores["trial 3"][0, :, 0])
    assert roc_auc_score(again.labels[:, 0], again.scores["trial 3"][0, :, 0]) == expected


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_the_same_networks_need_no_second_opening_and_others_need_a_word(study: Study, tmp_path: Path) -> None:
    opened(study, tmp_path)
    opened(study, tmp_path)
    assert len(read_openings(study.database, "digits")) == 1
    with pytest.raises(UsageError, match="--reopen"):
        opened(study, tmp_path, seed=100)
    assert len(read_openings(study.database, "digits")) == 1
    opened(study, tmp_path, seed=100, reopen="the first was trained with a fault")
    assert [one.reason for one in read_openings(study.database, "digits")] == ["", "the first was trained with a fault"]


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_a_result_of_the_same_networks_is_read_and_the_test_set_stays_sealed(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = opened(study, tmp_path)
    read: list[str] = []

    def reading(*_: object) -> Any:
        read.append("test")
        return digit_arrays(("test",))

    monkeypatch.setattr("hpo.data.sealed.load_by", reading)
    again = opened(study, tmp_path)
    assert (again.result, read) == (found.result, [])
    np.testing.assert_array_equal(again.scores["trial 3"], found.scores["trial 3"])
    (tmp_path / "scores.npz").write_bytes(b"torn")
    assert opened(study, tmp_path).result.access == found.result.access
    assert read == ["test"]
    longer = dataclasses.replace(PROTOCOL, epochs=2)
    open_and_score(study, ENTRIES, longer, networks(tmp_path), tmp_path, tmp_path, "abc1234", "other epochs", "cpu")
    assert read == ["test", "test"]
    assert len(read_openings(study.database, "digits")) == 2


@pytest.mark.usefixtures("thin")
def test_another_study_on_the_same_dataset_needs_a_word_too(study: Study, tmp_path: Path) -> None:
    opened(study, tmp_path)
    other = create_or_open(study.database, "other", study.spec)
    with pytest.raises(UsageError) as refused:
        opened(other, tmp_path / "other", seed=7)
    assert unmentioned(refused.value, study.name, "--reopen") == []
    assert len(read_openings(study.database, "digits")) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_every_report_after_a_second_opening_shows_why(study: Study, tmp_path: Path) -> None:
    from hpo.outcome.report.build import build
    from hpo.outcome.report.document import Notice, Table
    from tests.outcome.pages import blocks, section_with

    opened(study, tmp_path)
    opened(study, tmp_path, seed=100, reopen="a fault in the first")
    document = build(gather(study, tmp_path))
    notices = [notice.text for notice in blocks(section_with(document, "result"), Notice)]
    assert [text for text in notices if unmentioned(text, 2, "a fault in the first") == []] != []
    ledger = document.sections[-1]
    assert [row[-1] for row in blocks(ledger, Table)[0].rows][1:] == ["a fault in the first"]
    assert unmentioned(blocks(ledger, Notice)[0].text, 2) == []


@pytest.mark.usefixtures("thin")
def test_a_result_of_another_study_is_not_taken_for_ones_own(study: Study, tmp_path: Path) -> None:
    opened(study, tmp_path)
    other = create_or_open(study.database, "other", study.spec)
    assert gather(other, tmp_path).final is None
    assert gather(study, tmp_path).final is not None


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("fate", ["renamed", "deleted"])
def test_a_study_does_not_inherit_the_result_of_one_that_had_its_name(study: Study, tmp_path: Path, fate: str) -> None:
    opened(study, tmp_path)
    if fate == "renamed":
        rename_study(study.database, "digits", "first")
    else:
        delete_study(study.database, "digits")
    successor = create_or_open(study.database, "digits", study.spec)
    assert gather(successor, tmp_path).final is None
    with pytest.raises(UsageError) as refused:
        check_free(successor, tmp_path)
    assert unmentioned(refused.value, tmp_path, "--results") == []
    opened(successor, tmp_path / "second", seed=7, reopen="again")
    assert gather(successor, tmp_path / "second").final is not None
    check_free(successor, tmp_path / "second")
    if fate == "renamed":
        first = open_study(study.database, "first")
        assert gather(first, tmp_path).final is not None
        assert gather(first, tmp_path / "second").final is None
        check_free(first, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_a_study_that_was_renamed_keeps_its_result_and_needs_no_second_opening(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened(study, results_folder(study.name))
    rename_study(study.database, "digits", "numbers")
    renamed = open_study(study.database, "numbers")
    folder = results_folder(renamed.name, None, renamed.former_names)
    assert folder == results_folder("digits")
    final = gather(renamed, folder).final
    assert final is not None
    assert final.result.study == "digits"
    elsewhere = [dataclasses.replace(entry, chosen="by hand, from numbers") for entry in ENTRIES]
    open_and_score(renamed, elsewhere, PROTOCOL, networks(folder), folder, folder, "abc1234", "", "cpu")
    assert len(read_openings(study.database, "digits")) == 1


@pytest.mark.usefixtures("thin")
def test_a_result_of_a_study_that_was_renamed_keeps_its_former_names(study: Study, tmp_path: Path) -> None:
    rename_study(study.database, "digits", "lab/digits")
    rename_study(study.database, "lab/digits", "numbers")
    opened(open_study(study.database, "numbers"), tmp_path)
    final = load(tmp_path)
    assert final is not None
    assert final.result.former_names == ("digits", "lab/digits")
    assert final.result.is_in(Path("lab/digits"))


@pytest.mark.parametrize("name", ["名" * 100, f"a/{'é' * 150}", f"../{'é' * 150}"], ids=["one", "below", "outside"])
def test_a_study_with_a_long_name_has_a_folder_too(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = results_folder(name)
    folder.mkdir(parents=True)
    assert folder.resolve().is_relative_to(tmp_path / "hpo-results")
    assert results_folder("other", None, (name,)) == folder
    assert results_root(folder, (name,)) == Path("hpo-results")


@pytest.mark.parametrize(
    ("folder", "root"),
    [("some/lab/vessel", "some"), ("lab/vessel", "."), ("some/mice", "some"), ("some/vessel", None), ("x/y", None)],
)
def test_the_results_of_all_studies_are_where_the_name_of_a_study_begins(folder: str, root: str | None) -> None:
    assert results_root(Path(folder), ("mice", "lab/vessel")) == (None if root is None else Path(root))


def test_without_a_confirmation_there_is_no_winner_but_one_taken_by_hand(study: Study) -> None:
    run_worker(study, identity=this_process("w"), train=FakeTrainer())
    with pytest.raises(StudyNotFoundError, match="hpo confirm digits"):
        confirmed(study)
    entries = entries_from_trial(study, 3)
    assert [entry.name for entry in entries] == ["trial 3", CROSS_ENTROPY, LIBAUC]
    assert unmentioned(entries[0].chosen, "digits") == []
    assert unmentioned(entries[0].chosen, "digits-confirm") != []
    assert [entry.name for entry in entries_from_trial(study, 0)] == [CROSS_ENTROPY, LIBAUC]
    with pytest.raises(UsageError) as refused:
        entries_from_trial(study, 77)
    assert unmentioned(refused.value, 77, "digits", "--trial", "`hpo best digits`") == []


def test_medmnists_protocol_selects_the_epoch_on_validation_rows_whatever_the_configuration_says() -> None:
    official = Protocol("training", 1, 1, 0)
    assert official.config(ENTRIES[0]).resplit == "official"
    assert PROTOCOL.config(ENTRIES[0]) is ENTRIES[0].config
    assert len({PROTOCOL.seed(number) for number in range(10)}) == 10
    longer = dataclasses.replace(ENTRIES[0], epochs=100)
    assert (PROTOCOL.epochs_of(ENTRIES[0]), PROTOCOL.epochs_of(longer)) == (PROTOCOL.epochs, 100)


@pytest.mark.slow
def test_an_export_replaces_no_files_but_those_of_exports(study: Study, tmp_path: Path) -> None:
    opened(study, tmp_path)
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "README.md").write_text("ours")
    with pytest.raises(OutputError, match=r"README\.md"):
        export(tmp_path, tmp_path / "paper")
    assert [path.name for path in (tmp_path / "paper").iterdir()] == ["README.md"]


@pytest.mark.slow
def test_an_exported_folder_checks_itself_and_notices_other_weights(study: Study, tmp_path: Path) -> None:
    import runpy
    import subprocess
    import sys

    opened(study, tmp_path)
    paths = export(tmp_path, tmp_path / "out")
    assert [path.name for path in paths] == ["model-0.safetensors", "model-1.safetensors"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "medical" in card
    check = str(tmp_path / "out" / "check.py")
    assert subprocess.run([sys.executable, check], capture_output=True, check=False).returncode == 0
    save_model(Model(DIGITS, TrainConfig(), resnet18(2, 1, seed=99), {}), paths[0])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(check)
    assert ended.value.code == 1
