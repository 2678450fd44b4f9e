"""All datasets on one page."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hpo.errors import DataError
from hpo.outcome.final import store
from hpo.outcome.report.document import Document, Listing, Notice, Table, Text
from hpo.outcome.report.overview import gather_rows, overview
from tests.mention import numbers_in, unmentioned
from tests.outcome import simulated
from tests.outcome.pages import blocks


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three datasets; on two of them the winner is better."""
    for dataset, gain in (("breast", 2.0), ("pneumonia", 2.0), ("adrenal3d", 0.5)):
        final = simulated.changed(simulated.final(gain=gain), dataset=dataset, study=f"{dataset}-study")
        store(final, tmp_path / dataset)
    return tmp_path


def counts(page: Document, against: str) -> list[float]:
    """Datasets on which the winner is better than something, worse, and equal, as the sentence on it says."""
    (sentence,) = [item for item in blocks(page, Listing)[0].items if against in item]
    return numbers_in(sentence.partition(against)[2])[:3]


def test_datasets_come_in_the_order_of_the_catalogue_with_what_is_missing_said(root: Path) -> None:
    page = overview(gather_rows(root))
    assert [row[0] for row in blocks(page, Table)[0].rows] == ["breastmnist", "pneumoniamnist", "adrenalmnist3d"]
    (notice,) = blocks(page, Notice)
    missing = ("chestmnist", "nodulemnist3d", "vesselmnist3d", "synapsemnist3d")
    assert unmentioned(notice.text, *missing, 3, 7) == []
    assert unmentioned(notice.text, "breastmnist") != []


def test_a_result_of_another_network_than_the_published_one_is_marked(root: Path) -> None:
    final = simulated.reconfigured(simulated.final(), network="resnet18_narrow")
    store(simulated.changed(final, dataset="pneumonia"), root / "pneumonia")
    marked = [block.text for block in blocks(overview(gather_rows(root)), Text) if "another network" in block.text]
    assert len(marked) == 1
    assert unmentioned(marked[0], "pneumoniamnist", "quarter") == []


def test_the_tests_over_datasets_count_wins_and_losses(root: Path) -> None:
    page = overview(gather_rows(root))
    assert counts(page, "MedMNIST recipe") == [2, 1, 0]
    (sentence,) = [item for item in blocks(page, Listing)[0].items if "MedMNIST recipe" in item]
    assert unmentioned(sentence, "sign test p = 1") == []
    sections = page.sections[-1].blocks
    smallest, ranks = (block.text for block in sections if isinstance(block, Text))
    assert numbers_in(smallest)[-2:] == [0.25, 3]
    assert unmentioned(ranks, 3, "winner 1.33", "MedMNIST recipe 1.67", "Friedman") == []


def test_a_winner_that_is_a_baseline_is_left_out_where_it_would_meet_itself(root: Path) -> None:
    final = simulated.changed(simulated.final(), winner="medmnist-cross-entropy")
    store(final, root / "breast")
    page = overview(gather_rows(root))
    assert counts(page, "MedMNIST recipe") == [1, 1, 0]
    (sentence,) = [item for item in blocks(page, Listing)[0].items if "MedMNIST recipe" in item]
    assert unmentioned(sentence, "breastmnist") == []
    ranks = next(block.text for block in page.sections[-1].blocks if isinstance(block, Text) and "ranks" in block.text)
    assert unmentioned(ranks, 2) == []


def test_the_published_value_is_compared_in_its_decimals_and_without_a_test(root: Path) -> None:
    rows = gather_rows(root)[:1]
    for mean, expected in ((0.90149, [0, 0, 1]), (0.9016, [1, 0, 0])):
        rows[0].winner = dataclasses.replace(rows[0].winner, mean=mean)
        page = overview(rows)
        assert counts(page, "published") == expected
        (sentence,) = [item for item in blocks(page, Listing)[0].items if "published" in item]
        assert "p =" not in sentence


def test_a_baseline_that_was_cut_short_says_so_wherever_it_is_shown(root: Path) -> None:
    page = overview(gather_rows(root))
    results, differences = blocks(page, Table)
    assert [unmentioned(row[2], "at 30 of its 100 epochs") for row in results.rows] == [[]] * 3
    assert [unmentioned(row[1], "at 30 of its 100 epochs") for row in differences.rows] == [[]] * 3
    (sentence,) = [item for item in blocks(page, Listing)[0].items if "MedMNIST recipe" in item]
    assert unmentioned(sentence, "cut short", 3, 30, 100) == []


@pytest.mark.slow
def test_a_second_access_to_a_test_set_is_said(root: Path) -> None:
    assert len(blocks(overview(gather_rows(root)), Notice)) == 1, "what is missing"
    store(simulated.final(), root / "breast" / "first")
    store(simulated.changed(simulated.final(), dataset="pneumonia", reason="a fault in the first"), root / "pneumonia")
    notices = [notice.text for notice in blocks(overview(gather_rows(root)), Notice)][1:]
    assert unmentioned(notices[0], "breastmnist", "breast/first") == []
    assert unmentioned(notices[1], "pneumoniamnist", "a fault in the first") == []


def test_shrunk_images_are_said_below_the_table(root: Path) -> None:
    final = simulated.shrunk(simulated.changed(simulated.final(), dataset="adrenal3d"), 14)
    store(final, root / "adrenal3d")
    texts = [text.text for text in blocks(overview(gather_rows(root)), Text)]
    assert len([text for text in texts if unmentioned(text, "adrenalmnist3d", 28, 14, "voxels") == []]) == 1
    assert len([text for text in texts if unmentioned(text, 14) == []]) == 1


def test_two_results_of_one_dataset_are_refused_and_none_is_reported(root: Path, tmp_path: Path) -> None:
    store(simulated.final(), root / "again")
    with pytest.raises(DataError) as refused:
        gather_rows(root)
    assert unmentioned(refused.value, root, "breast", "breast-study") == []
    with pytest.raises(DataError) as refused:
        gather_rows(tmp_path / "empty")
    assert unmentioned(refused.value, tmp_path / "empty", "`hpo finalize STUDY`", "--results") == []


def test_results_of_studies_with_a_slash_in_their_names_are_found_and_no_others_below(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    below = simulated.changed(simulated.final(), dataset="vessel3d", study="lab/mice/vessel")
    store(below, root / "lab" / "mice" / "vessel")
    # An earlier result within a later one, one that was moved away, and one that is damaged.
    store(simulated.changed(simulated.final(), dataset="breast", study="breast"), root / "breast" / "first")
    store(simulated.changed(simulated.final(), dataset="breast", study="breast"), root / "old" / "breast")
    broken = root / "old" / "torn" / "final.json"
    broken.parent.mkdir()
    broken.write_text("{")
    with caplog.at_level("INFO", "hpo"):
        rows = gather_rows(root)
    assert [row.study for row in rows][-1] == "lab/mice/vessel"
    assert len(rows) == 4
    assert unmentioned(caplog.text, "old/torn") == []


def test_a_result_is_found_in_the_folder_of_a_former_name_with_a_slash(root: Path) -> None:
    renamed = simulated.changed(simulated.final(), dataset="vessel3d", study="mice", former_names=("lab/vessel",))
    store(renamed, root / "lab" / "vessel")
    assert [row.study for row in gather_rows(root)][-1] == "mice"


def test_digits_are_no_dataset_of_the_table_which_is_told(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    final = simulated.changed(simulated.final(), dataset="digits", study="my-digits")
    store(final, root / "digits")
    with caplog.at_level("INFO", "hpo"):
        assert len(gather_rows(root)) == 3
    assert unmentioned(caplog.text, "my-digits", "digits") == []
    store(final, tmp_path / "alone" / "digits")
    with pytest.raises(DataError) as refused:
        gather_rows(tmp_path / "alone")
    assert unmentioned(refused.value, "my-digits", "digits", "`hpo report STUDY`") == []
    assert "hpo finalize" not in str(refused.value)
