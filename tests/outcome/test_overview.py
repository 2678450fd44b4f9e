"""All datasets on one page."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hpo.errors import DataError
from hpo.outcome.final import store
from hpo.outcome.report.document import to_markdown
from hpo.outcome.report.overview import gather_rows, overview
from tests.outcome import simulated


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three datasets; on two of them the winner is better."""
    for dataset, gain in (("breast", 2.0), ("pneumonia", 2.0), ("adrenal3d", 0.5)):
        final = simulated.final(gain=gain)
        final.about.update(dataset=dataset, study=f"{dataset}-study")
        store(final, tmp_path / dataset)
    return tmp_path


def test_datasets_come_in_the_order_of_the_catalogue_with_what_is_missing_said(root: Path) -> None:
    page = to_markdown(overview(gather_rows(root)))
    places = [page.index(f"| {name} |") for name in ("breastmnist", "pneumoniamnist", "adrenalmnist3d")]
    assert places == sorted(places)
    assert "Missing: chestmnist, nodulemnist3d, vesselmnist3d, synapsemnist3d." in page
    assert "3 of 7 datasets" in page


def test_the_tests_over_datasets_count_wins_and_losses(root: Path) -> None:
    page = to_markdown(overview(gather_rows(root)))
    assert "Winner against medmnist-cross-entropy: 2 better, 1 worse, 0 equal" in page
    assert "sign test p = 1" in page
    assert "The smallest p that a sign test can give is 0.25 with 3 datasets." in page
    assert "Mean ranks over 3 datasets, 1 is best: winner 1.33, medmnist-cross-entropy 1.67; Friedman test p = " in page


def test_a_winner_that_is_a_reference_is_equal_to_itself(root: Path) -> None:
    final = simulated.final()
    final.about["winner"] = "medmnist-cross-entropy"
    store(final, root / "breast")
    assert "1 better, 1 worse, 1 equal" in to_markdown(overview(gather_rows(root)))


def test_the_published_value_is_compared_in_the_decimals_that_it_is_printed_with(
    root: Path,
) -> None:
    rows = gather_rows(root)[:1]
    for mean, said in ((0.90149, "0 better, 0 worse, 1 equal"), (0.9016, "1 better, 0 worse, 0 equal")):
        rows[0].winner = dataclasses.replace(rows[0].winner, mean=mean)
        assert f"Winner against the published value: {said}" in to_markdown(overview(rows))


def test_shrunk_images_are_said_below_the_table(root: Path) -> None:
    final = simulated.final()
    final.about.update(dataset="adrenal3d")
    for entry in final.about["entries"]:
        entry["config"]["input_size"] = 14
    store(final, root / "adrenal3d")
    page = to_markdown(overview(gather_rows(root)))
    assert "adrenalmnist3d: images shrunk from 28 to 14 voxels an edge." in page
    assert page.count("shrunk") == 1


def test_two_results_of_one_dataset_are_refused_and_none_is_said(root: Path, tmp_path: Path) -> None:
    store(simulated.final(), root / "again")
    with pytest.raises(DataError, match="two results of breast"):
        gather_rows(root)
    with pytest.raises(DataError, match="holds no final result"):
        gather_rows(tmp_path / "empty")


def test_digits_are_no_dataset_of_the_table(root: Path) -> None:
    final = simulated.final()
    final.about["dataset"] = "digits"
    store(final, root / "digits")
    assert len(gather_rows(root)) == 3
