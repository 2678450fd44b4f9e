"""From a search to a final result and its report, by the functions that a program calls."""

from __future__ import annotations

from pathlib import Path

import pytest

import hpo
from hpo.errors import DataError, UsageError
from hpo.outcome.access_log import NAME
from hpo.outcome.final import load
from hpo.outcome.finalization import NETWORKS, training_notes
from hpo.outcome.networks import Entry, Protocol
from hpo.outcome.report.writing import report, report_all
from hpo.search.database.database import Database
from hpo.search.queries.ledger import read_openings
from hpo.search.queries.listing import list_studies
from hpo.study.config import TrainConfig
from tests.mention import unmentioned
from tests.outcome.finalizing import finalizing, searched


def test_what_is_trained_is_said_and_what_few_networks_are_worth() -> None:
    entries = [Entry("trial 3", TrainConfig(), False, ""), Entry("base", TrainConfig(), True, "", epochs=100)]

    def notes(networks: int) -> list[str]:
        return training_notes(entries, Protocol("development", 20, networks, 0))

    assert unmentioned(notes(NETWORKS)[0], 5, "trial 3", 20, "base", 100) == []
    assert len(notes(NETWORKS)) == len(notes(9)) == 1
    assert unmentioned(notes(2)[1], 2, NETWORKS, ".305", ".072") == []
    assert unmentioned(notes(3)[1], 3, NETWORKS, ".121", ".072") == []
    assert len(notes(1)) == 2


@pytest.mark.usefixtures("linear_network")
def test_numbers_that_the_command_refuses_spend_no_access_to_the_test_set(database: Database, tmp_path: Path) -> None:
    study = searched(database)
    for wishes in ({"seeds": 0}, {"seeds": -1}, {"seeds": 101}, {"baseline_epochs": 0}, {"baseline_epochs": -1}):
        with pytest.raises(UsageError):
            hpo.finalize(study, trial=3, results=tmp_path, device="cpu", reopen="why", **wishes)
    assert read_openings(database, "digits") == []
    assert [row.name for row in list_studies(database)] == ["digits"]


@pytest.mark.slow
@pytest.mark.usefixtures("linear_network")
def test_networks_are_trained_with_the_test_set_sealed_and_then_opened_once(
    database: Database, tmp_path: Path, own_data_folder: Path
) -> None:
    study = searched(database)
    results = tmp_path / "results" / "digits"
    finalize = finalizing(study, results)

    sealed = finalize()
    assert sealed.networks[0].entry == "trial 3"
    assert all(network.path.is_relative_to(results / "models") for network in sealed.networks)
    assert (sealed.final, sealed.judgement) == (None, None)
    assert read_openings(database, "digits") == []

    # In this process, as a program does it.
    sealed.networks[1].path.unlink()
    done = hpo.finalize(study, 1, trial=3, baseline_epochs=1, results=results, device="cpu")
    assert done.judgement is not None
    assert done.judgement.entries[0].name == "trial 3"
    assert load(results) is not None
    assert len(read_openings(database, "digits")) == 1
    assert (own_data_folder / NAME).exists()
    with pytest.raises(UsageError):
        finalize(trial=2, train_only=False)

    assert all(path.is_file() for path in report(study, results=results))
    with pytest.raises(DataError):  # the digits are an example, not one of the tasks
        report_all(results=results.parent)


def test_what_few_networks_are_worth_is_not_said_of_those_that_are_not_tested() -> None:
    entries = [Entry("trial 3", TrainConfig(), False, "")]
    assert len(training_notes(entries, Protocol("development", 20, 2, 0), tested=False)) == 1
    assert len(training_notes(entries, Protocol("development", 20, 2, 0))) == 2
