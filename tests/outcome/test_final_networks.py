"""The networks of a final result as a study of their own: what workers train, keep and never overwrite."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
import pytest

from hpo.control import Control
from hpo.data.development import load_development
from hpo.errors import DataError, OutputError, StudyConflictError, StudyStoppedError, UsageError
from hpo.outcome import finalization, networks
from hpo.outcome.export import export
from hpo.outcome.final import store
from hpo.outcome.network_training import trainer_of
from hpo.outcome.networks import Entry, Network, Protocol, WantedNetwork, collect, wanted_networks
from hpo.outcome.winner import choose_entries
from hpo.search.admin.studies import delete_study, rename_study
from hpo.search.queries.ledger import read_openings
from hpo.search.queries.status import read_status
from hpo.search.queries.trial_rows import TrialRow
from hpo.search.queries.trials import read_best, read_trials
from hpo.search.queue.claiming import claim
from hpo.search.queue.lease import Claim
from hpo.search.queue.reporting import finish
from hpo.search.study import Study, open_study
from hpo.search.worker.trainer import Task
from hpo.study.config import TrainConfig
from hpo.study.plan import Plan
from hpo.study.spec import StudySpec
from hpo.training.loop import refit as refitting
from hpo.training.loop.checkpoint import Checkpoint
from hpo.training.loop.model_file import load_model, weights_digest
from hpo.training.machine.failure import TrainingFailure
from hpo.training.report import NetworkEpoch
from tests.mention import unmentioned
from tests.outcome import simulated
from tests.outcome.finalizing import finalizing, searched_copy, work
from tests.refitting import refitted
from tests.search.test_dashboard import dashboard

pytestmark = pytest.mark.usefixtures("linear_network")

NAMES = ["trial-3-0", "medmnist-cross-entropy-0", "libauc-as-it-comes-0"]


@pytest.fixture
def search(tmp_path: Path) -> Iterator[Study]:
    study = searched_copy(tmp_path)
    yield study
    study.database.close()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def networks_of(search: Study) -> Study:
    return open_study(search.database, "digits-final")


def rows_of(search: Study) -> list[TrialRow]:
    return read_trials(networks_of(search))


def plan_of(study: Study) -> Plan:
    assert study.spec.plan is not None
    return study.spec.plan


def task_of(held: Claim) -> Task:
    """What a worker would train; `slot` alone says what that is."""
    return Task(TrainConfig(), 0, held.number, held.fence, slot=held.slot)


def claimed(study: Study, worker: str) -> Claim:
    held = claim(study, worker)
    assert isinstance(held, Claim)
    return held


@pytest.mark.slow
def test_workers_train_what_a_single_process_trains_bit_for_bit(search: Study, results: Path, tmp_path: Path) -> None:
    done = finalizing(search, results)(seeds=2)
    assert [path.stem for path in sorted((results / "models").iterdir())] == sorted(
        name.removesuffix("0") + str(number) for name in NAMES for number in (0, 1)
    )
    development = load_development(search.spec.data, tmp_path)
    protocol = Protocol("development", 2, 2, search.spec.search.seed)
    entries = {entry.name: entry for entry in choose_entries(search, trial=3)}
    for network in done.networks:
        epochs = 1 if entries[network.entry].is_reference else 2
        config, seed = entries[network.entry].config, protocol.seed(network.number)
        alone = refitted(config, development, epochs, seed, "cpu").model
        assert weights_digest(load_model(network.path)) == weights_digest(alone)
    assert not (results / "under-way").exists()


@pytest.mark.slow
def test_a_network_is_trained_once_and_anew_when_its_configuration_changes(search: Study, results: Path) -> None:
    def content() -> dict[str, bytes]:
        return {path.stem: path.read_bytes() for path in (results / "models").iterdir()}

    finalizing(search, results)()
    first = content()
    again = finalizing(search, results, limit=0)()
    assert (again.missing, content()) == (0, first)
    finalizing(search, results)(baseline_epochs=2)
    # A result may rest on the first ones: they stay, and the others have longer names.
    more = {name: now for name, now in content().items() if name not in first}
    assert {name: now for name, now in content().items() if name in first} == first
    assert sorted(name.rpartition("-")[0] for name in more) == sorted(NAMES[1:])
    for epochs in (1, 2):
        assert finalizing(search, results, limit=0)(baseline_epochs=epochs).missing == 0


def test_what_was_trained_before_an_interruption_is_in_its_place(search: Study, results: Path) -> None:
    def train(_spec: StudySpec, name: str) -> None:
        work(search.database, name, limit=2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finalizing(search, results)(train=train)
    assert {path.stem for path in (results / "models").iterdir()} == set(NAMES[:2])


def test_networks_and_checkpoints_are_of_the_group_that_shares_the_folder_whatever_the_umask(
    search: Study, results: Path
) -> None:
    results.parent.chmod(0o2770)
    kept: list[Path] = []

    def train(_spec: StudySpec, name: str) -> None:
        work(search.database, name, limit=1)
        study = networks_of(search)
        checkpoint = Checkpoint(results / "under-way" / study.folder, 9, 1, "same")
        assert checkpoint.save({}, [])
        kept.extend(path for path in results.rglob("*") if path.suffix in (".safetensors", ".pt"))
        assert len(kept) == 2
        assert [path.stat().st_mode & 0o060 for path in kept] == [0o060] * 2
        checkpoint.remove()

    before = os.umask(0o077)
    try:
        finalizing(search, results)(train=train)
    finally:
        os.umask(before)
    found = [results, *results.rglob("*")]
    assert {path.stat().st_mode & 0o2070 for path in found if path.is_dir()} == {0o2070}
    assert [path.stat().st_mode & 0o060 for path in found if path.suffix == ".safetensors"] == [0o060]


def test_the_test_set_stays_sealed_until_every_network_is_there(search: Study, results: Path) -> None:
    done = finalizing(search, results, limit=2)(train_only=False)
    assert (len(done.networks), done.missing, done.final) == (2, 1, None)
    assert read_openings(search.database, "digits") == []
    assert finalizing(search, results)(train_only=False).final is not None
    assert len(read_openings(search.database, "digits")) == 1


@pytest.mark.slow
def test_other_networks_are_refused_before_they_are_trained_once_the_test_set_was_opened(
    search: Study, results: Path
) -> None:
    def train(_spec: StudySpec, _name: str) -> None:
        pytest.fail("trained for nothing")

    finalizing(search, results)(train_only=False)
    again = finalizing(search, results)
    with pytest.raises(UsageError) as refused:
        again(train=train, train_only=False, baseline_epochs=2)
    assert unmentioned(refused.value, "digits", "--reopen", "--train-only", "2 of the 3 networks") == []
    assert again(train=train, train_only=False).missing == 0
    assert again(train_only=False, baseline_epochs=2, reopen="longer baselines").missing == 0
    assert len(read_openings(search.database, "digits")) == 2


@pytest.mark.slow
def test_only_the_networks_that_were_tested_are_exported(search: Study, results: Path, tmp_path: Path) -> None:
    finalizing(search, results)(train_only=False)
    export(results, tmp_path / "export")
    models = results / "models"
    shutil.copyfile(models / f"{NAMES[1]}.safetensors", models / f"{NAMES[0]}.safetensors")
    with pytest.raises(DataError) as refused:
        export(results, tmp_path / "again")
    assert unmentioned(refused.value, models / f"{NAMES[0]}.safetensors", "`hpo finalize digits --train-only`") == []
    # What the message says to do brings the same network back, without another access to the test set.
    (models / f"{NAMES[0]}.safetensors").unlink()
    assert finalizing(search, results)().missing == 0
    assert export(results, tmp_path / "mended")
    assert len(read_openings(search.database, "digits")) == 1
    assert not (tmp_path / "again").exists()


def test_a_worker_that_lost_its_lease_overwrites_nothing_of_its_successor(search: Study, results: Path) -> None:
    finalizing(search, results, limit=0)()
    study = networks_of(search)
    stalled = claimed(study, "stalled")
    training = trainer_of(study, None, "cpu")(task_of(stalled))
    assert [next(training) for _ in range(2)][-1] == NetworkEpoch(2, 2)
    with study.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hpo_trial SET lease_until = 0")
    work(search.database, study.name)
    successors = {path.name: path.read_bytes() for path in (results / "under-way").glob("*/*.safetensors")}
    assert "trial-3-0.f2.safetensors" in successors
    assert list(training) == []
    assert not finish(stalled, "complete", None)
    written = {path.name: path.read_bytes() for path in (results / "under-way").glob("*/*.safetensors")}
    assert written.keys() - successors.keys() == {"trial-3-0.f1.safetensors"}
    assert {name: written[name] for name in successors} == successors
    finalizing(search, results, limit=0)()
    assert (results / "models" / "trial-3-0.safetensors").read_bytes() == successors["trial-3-0.f2.safetensors"]
    assert not (results / "under-way").exists()


def test_networks_that_end_while_they_are_looked_for_are_not_trained_again(
    search: Study, results: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    finalizing(search, results, limit=0)()
    looks: list[int] = []

    def look_just_before_the_end(wanted: Sequence[WantedNetwork], folder: Path) -> list[Network]:
        found = collect(wanted, folder)
        if not looks:
            work(search.database, "digits-final")
        looks.append(len(found))
        return found

    monkeypatch.setattr(finalization, "collect", look_just_before_the_end)
    assert finalizing(search, results, limit=0)().missing == 0
    assert looks == [0, 3]
    assert not any("again" in line for line in log)


def test_a_network_that_another_process_puts_in_place_meanwhile_is_found(
    search: Study, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finalizing(search, results)()
    development = load_development(search.spec.data, results)
    (one, *_) = wanted_networks(
        choose_entries(search, trial=3)[:1], Protocol("development", 2, 1, search.spec.search.seed), development
    )
    placed, away = one.path(results), results / "away"
    placed.rename(away)

    def look_and_lose(_one: WantedNetwork, _folder: Path) -> list[Path]:
        if away.exists():
            away.rename(placed)
        return []

    monkeypatch.setattr(WantedNetwork, "unplaced", look_and_lose)
    assert [network.path for network in collect([one], results)] == [placed]
    placed.rename(away)
    assert one.is_trained(results)


def test_a_folder_that_is_removed_while_it_is_listed_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b.safetensors").touch()
    look, looks = Path.glob, []

    def look_too_late(folder: Path, pattern: str) -> Iterator[Path]:
        looks.append(folder)
        if len(looks) == 1:
            raise FileNotFoundError
        return look(folder, pattern)

    monkeypatch.setattr(Path, "glob", look_too_late)
    assert networks._listed(tmp_path, "*.safetensors") == [tmp_path / "b.safetensors"]
    assert len(looks) == 2


def test_a_network_whose_worker_died_before_it_said_so_is_kept(search: Study, results: Path) -> None:
    finalizing(search, results, limit=0)()
    study = networks_of(search)
    list(trainer_of(study, None, "cpu")(task_of(claimed(study, "dies"))))
    (written,) = (results / "under-way").glob("*/trial-3-0.f1.safetensors")
    content = written.read_bytes()
    with study.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hpo_trial SET lease_until = 0")
    assert finalizing(search, results)().missing == 0
    assert (results / "models" / "trial-3-0.safetensors").read_bytes() == content
    assert [row.state for row in rows_of(search)] == ["complete"] * 3
    assert [row.epochs for row in rows_of(search)] == [0, 1, 1]


def test_a_torn_file_of_a_worker_is_no_network(search: Study, results: Path) -> None:
    finalizing(search, results, limit=1)()
    (results / "models" / "trial-3-0.safetensors").rename(results / "whole")
    study = networks_of(search)
    torn = results / "under-way" / study.folder / "trial-3-0.f9.safetensors"
    torn.write_bytes((results / "whole").read_bytes()[:-8])
    assert finalizing(search, results)().missing == 0
    assert load_model(results / "models" / "trial-3-0.safetensors").about["entry"] == "trial 3"
    assert not torn.exists()


@pytest.mark.slow
def test_a_network_whose_file_is_gone_is_trained_again(search: Study, results: Path, log: list[str]) -> None:
    finalizing(search, results)()
    lost = results / "models" / "trial-3-0.safetensors"
    before = weights_digest(load_model(lost))
    lost.unlink()
    assert finalizing(search, results)().missing == 0
    assert weights_digest(load_model(lost)) == before
    assert any(unmentioned(line, "trial-3-0", "again") == [] for line in log)
    status = read_status(networks_of(search))
    assert (status.finished, status.budget, status.complete, status.failed) == (3, 3, 3, 0)


def test_a_network_that_cannot_be_trained_is_named_and_tried_again(
    search: Study, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverges(*_: object) -> Iterator[int]:
        raise TrainingFailure("diverged", "in epoch 1")
        yield 1

    with monkeypatch.context() as patch:
        patch.setattr(refitting, "refit", diverges)
        with pytest.raises(StudyStoppedError) as failed:
            finalizing(search, results)()
    assert unmentioned(str(failed.value), *NAMES, "diverged", "epoch 1") == []
    assert read_status(networks_of(search)).failed == 3
    assert finalizing(search, results)().missing == 0
    assert read_status(networks_of(search)).failed == 0


def test_what_an_earlier_version_trained_is_kept_and_its_checkpoint_resumed(search: Study, results: Path) -> None:
    entries = choose_entries(search, trial=3)
    finalizing(search, results, limit=1)()
    kept = results / "models" / "trial-3-0.safetensors"
    content = kept.read_bytes()
    delete_study(search.database, "digits-final")
    shutil.rmtree(results / "under-way")
    _interrupt(search, entries, results / "under-way")

    shares: list[float] = []
    finalizing(search, results, limit=0)(baseline_epochs=4)
    study = networks_of(search)
    list(trainer_of(study, None, "cpu")(task_of(claimed(study, "first"))))
    second = task_of(claimed(study, "second"))
    train = trainer_of(study, None, "cpu")
    task = Task(TrainConfig(), 0, 1, 1, slot=second.slot, control=Control(progress=shares.append))
    assert list(train(task)) == [NetworkEpoch(3, 4), NetworkEpoch(4, 4)]
    assert shares[0] > 0.5
    assert kept.read_bytes() == content


def _interrupt(search: Study, entries: list[Entry], folder: Path) -> None:
    """Leave the checkpoint of the second network after half of four epochs, as training in one process did."""
    development = load_development(search.spec.data, folder)
    entry = Entry(entries[1].name, entries[1].config, True, "", 4)
    protocol = Protocol("development", 2, 1, search.spec.search.seed)
    (wanted,) = wanted_networks([entry], protocol, development)

    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    checkpoint = Checkpoint(folder, 1000, 1, wanted.identity)
    with pytest.raises(KeyboardInterrupt):
        refitted(wanted.config, development, 4, wanted.seed, "cpu", stop, checkpoint)
    assert checkpoint.exists()


def test_a_worker_that_does_not_reach_the_results_says_so_and_takes_no_network(search: Study, results: Path) -> None:
    finalizing(search, results, limit=0)()
    results.rename(results.with_name("elsewhere"))
    with pytest.raises(OutputError) as refused:
        work(search.database, "digits-final")
    assert unmentioned(str(refused.value), "digits-final", results, "`hpo finalize digits`") == []
    assert len(str(refused.value).splitlines()) == 1
    assert rows_of(search) == []
    assert not results.exists()


def test_a_late_worker_of_a_finished_training_ends_without_an_error(search: Study, results: Path) -> None:
    finalizing(search, results)()
    assert work(search.database, "digits-final").ended == "done"


@pytest.mark.slow
def test_more_networks_are_added_and_fewer_need_no_training(search: Study, results: Path) -> None:
    finalizing(search, results)(seeds=1)
    assert len(finalizing(search, results)(seeds=3).networks) == 9
    assert finalizing(search, results, limit=0)(seeds=1).missing == 0
    # One of the first is lost while later ones are there.
    (results / "models" / "trial-3-1.safetensors").unlink()
    done = finalizing(search, results)(seeds=2)
    assert (done.missing, len(done.networks)) == (0, 6)
    assert [network.number for network in done.networks] == [0, 0, 0, 1, 1, 1]


def test_networks_that_were_there_already_are_no_measure_of_the_pace(search: Study, results: Path) -> None:
    finalizing(search, results)()
    finalizing(search, results, limit=3)(seeds=2, name="another")
    study = open_study(search.database, "another")
    claimed(study, "w")
    assert [row.epochs for row in read_trials(study)] == [0, 0, 0, 0]
    status = read_status(study)
    assert (status.finished, len(status.running), status.trials_per_hour) == (3, 1, None)


def test_a_study_of_other_networks_gives_way_but_not_under_its_workers(search: Study, results: Path) -> None:
    finalizing(search, results, limit=0)()
    held = claimed(networks_of(search), "busy")
    with pytest.raises(UsageError):
        finalizing(search, results)(baseline_epochs=2)
    finish(held, "failed", None)
    assert finalizing(search, results)(baseline_epochs=2).missing == 0
    assert [row.epochs for row in rows_of(search)] == [2, 2, 2]


def test_a_search_that_is_renamed_goes_on_with_its_networks(search: Study, results: Path) -> None:
    finalizing(search, results, limit=1)()
    before = networks_of(search)
    rename_study(search.database, "digits", "renamed")
    renamed = open_study(search.database, "renamed")
    assert finalizing(renamed, results)().missing == 0
    study = open_study(search.database, "renamed-final")
    assert (study.study_id, study.created_at) == (before.study_id, before.created_at)
    assert [row.state for row in read_trials(study)] == ["complete"] * 3


def test_a_folder_with_the_result_of_another_study_is_refused_before_anything_is_trained(
    search: Study, results: Path
) -> None:
    final = simulated.final()
    store(simulated.changed(final, study="another"), results)
    with pytest.raises(UsageError) as refused:
        finalizing(search, results)()
    assert unmentioned(refused.value, results, "another", "--results") == []
    assert list(results.glob("models/*")) == []


def test_two_trainings_into_one_folder_at_the_same_time_leave_each_other_what_is_under_way(
    search: Study, results: Path
) -> None:
    second = finalizing(search, results)
    longer = {"baseline_epochs": 2, "name": "second"}
    second(**longer, train=lambda _spec, name: work(search.database, name, limit=0))
    study = open_study(search.database, "second")
    folder = results / "under-way" / study.folder
    # That of a baseline, of the same name and number in both, for other epochs.
    first, held = claimed(study, "w"), claimed(study, "w")
    list(trainer_of(study, None, "cpu")(task_of(held)))
    assert Checkpoint(folder, 1000, 7, "of the second").save({}, [])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(before) == 2
    assert finalizing(search, results)().missing == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert finish(held, "complete", None)
    assert finish(first, "complete", None)
    assert second(**longer).missing == 0
    assert not (results / "under-way").exists()


def test_a_folder_in_which_more_networks_are_to_be_trained_stays(search: Study, results: Path) -> None:
    assert finalizing(search, results)().missing == 0
    assert finalizing(search, results, limit=0)(seeds=2).missing == 3
    folder = results / "under-way" / networks_of(search).folder
    assert finalizing(search, results)().missing == 0
    assert folder.is_dir()
    assert work(search.database, "digits-final").finished == 3
    assert finalizing(search, results)(seeds=2).missing == 0
    assert not (results / "under-way").exists()


def test_networks_that_are_there_need_no_readable_study(search: Study, results: Path) -> None:
    finalizing(search, results)()
    with search.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hpo_study SET spec = '{' WHERE name = 'digits-final'")
    assert finalizing(search, results)().missing == 0


def test_what_a_deleted_study_left_of_networks_that_are_there_is_removed(search: Study, results: Path) -> None:
    finalizing(search, results, limit=0)()
    study = networks_of(search)
    list(trainer_of(study, None, "cpu")(task_of(claimed(study, "w"))))
    (network,) = (results / "under-way").rglob("*.safetensors")
    identity = load_model(network).about["identity"]
    assert Checkpoint(network.parent, 0, 1, identity).save({}, [])
    assert Checkpoint(network.parent, 0, 2, "another network's").save({}, [])
    delete_study(search.database, study.name, force=True)
    assert finalizing(search, results)().missing == 0
    assert [path.name for path in network.parent.iterdir()] == ["trial-00000.f2.pt"]


def test_a_study_of_something_else_is_not_touched(search: Study, results: Path) -> None:
    with pytest.raises(StudyConflictError) as refused:
        finalizing(search, results)(name="digits")
    assert unmentioned(str(refused.value), "digits", "--name") == []
    assert finalizing(search, results)(name="mine").missing == 0
    assert read_status(open_study(search.database, "mine")).finished == 3


def test_a_network_is_sized_as_one_fold_as_large_as_those_of_the_search(search: Study, results: Path) -> None:
    finalizing(search, results, limit=0)()
    scoring = networks_of(search).spec.scoring
    assert (scoring.fold_count, scoring.rows, scoring.share) == (1, "holdout", 1 / search.spec.scoring.folds)
    assert scoring.groups == search.spec.scoring.groups


def test_queries_show_networks_without_a_validation_auc(search: Study, results: Path) -> None:
    finalizing(search, results)()
    study = networks_of(search)
    status = read_status(study)
    assert (status.of_networks, status.complete, status.best, status.references) == (True, 3, None, [])
    assert read_best(study).trials == []
    rows = read_trials(study)
    assert [(row.auc, row.network, row.repeat) for row in rows] == [(None, 0, None)] * 3
    assert [row.candidate for row in rows] == [one.name for one in plan_of(study).candidates]
    assert all(row.label.endswith("network 0") for row in rows)


def test_optuna_and_its_dashboard_read_the_study_of_networks(search: Study, results: Path) -> None:
    finalizing(search, results)()
    shown = optuna.load_study(study_name="digits-final", storage=search.database.optuna)
    assert [(trial.state.name, trial.values) for trial in shown.trials] == [("PRUNED", None)] * 3
    assert [trial.user_attrs["network"] for trial in shown.trials] == [0, 0, 0]
    with dashboard(search.database) as client:
        detail = client.detail(networks_of(search).study_id)
    assert [trial["state"] for trial in detail["trials"]] == ["Pruned"] * 3
    assert unmentioned(detail["note"]["body"], "digits-final", "**3 of 3**", "`hpo finalize digits`") == []


def test_a_damaged_network_in_its_place_is_not_overwritten(search: Study, results: Path) -> None:
    finalizing(search, results)()
    place = results / "models" / "trial-3-0.safetensors"
    place.write_bytes(b"damaged")
    with pytest.raises(DataError):
        finalizing(search, results)()
    assert place.read_bytes() == b"damaged"
    entries = choose_entries(search, trial=3)
    development = load_development(search.spec.data, results)
    protocol = Protocol("development", 2, 1, search.spec.search.seed)
    with pytest.raises(DataError):
        collect(wanted_networks(entries, protocol, development), results)
