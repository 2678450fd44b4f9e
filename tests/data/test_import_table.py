"""The table of an import: columns, rows, labels, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpo.data.importing.labels import label_names, read_labels
from hpo.data.importing.problems import MOST_SHOWN, Problems
from hpo.data.importing.table import Columns, Row, Table, read_table
from hpo.errors import DataError


def table(folder: Path, text: str, encoding: str = "utf-8") -> Table:
    path = folder / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return read_table(path)


def rows_of(*labels: str) -> list[Row]:
    return [Row(line, f"{line}.png", (label,), None, "") for line, label in enumerate(labels, 2)]


def problems_of(problems: Problems) -> str:
    with pytest.raises(DataError) as refused:
        problems.refuse(Path("labels.csv"))
    return str(refused.value)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [";", "|"])
def test_a_first_line_of_excel_says_what_divides_cells(delimiter: str, ending: str, tmp_path: Path) -> None:
    lines = [f"sep={delimiter}", f"file{delimiter}label", f"a,1.png{delimiter}1", f"b.png{delimiter}0"]
    (tmp_path / "table.csv").write_bytes(ending.join(lines).encode())
    table = read_table(tmp_path / "table.csv")
    assert table.header == ["file", "label"]
    assert table.lines == [(3, ["a,1.png", "1"]), (4, ["b.png", "0"])]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_commas_semicolons_and_tabs_divide_cells(delimiter: str, tmp_path: Path) -> None:
    text = "file,label,patient\na.png, 1 ,P1\n\nb.png,0,\n".replace(",", delimiter)
    problems = Problems()
    rows = table(tmp_path, text).rows(Columns(group="patient"), problems)
    problems.refuse(tmp_path)
    assert rows == [Row(2, "a.png", ("1",), None, "P1"), Row(4, "b.png", ("0",), None, "")]


def test_a_byte_order_mark_and_quoted_cells_are_understood(tmp_path: Path) -> None:
    rows = table(tmp_path, 'file,label\n"a, b.png",1\nc.png,0', "utf-8-sig").rows(Columns(), Problems())
    assert [row.file for row in rows] == ["a, b.png", "c.png"]


@pytest.mark.parametrize("later", ["x", '"y'], ids=["to the end", "to another one"])
def test_an_open_quotation_mark_swallows_no_rows(later: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.csv, line 2"):
        table(tmp_path, f'file,label,note\na.png,1,"unclear\nb.png,0,x\nc.png,1,{later}\n')


def test_words_for_parts_are_those_that_people_use(tmp_path: Path) -> None:
    text = "file,label,split\na,1,Training\nb,0,valid\nc,0,validation\nd,1,TEST\n"
    assert [row.part for row in table(tmp_path, text).rows(Columns(part="split"), Problems())] == [
        *("train", "val", "val", "test")
    ]


def test_rows_that_cannot_be_used_are_told_all_at_once(tmp_path: Path) -> None:
    text = "file,label,split\na.png,1,train\na.png,0,train\nb.png,1\n,1,train\nc.png,0,holdout\n"
    problems = Problems()
    rows = table(tmp_path, text).rows(Columns(part="split"), problems)
    told = problems_of(problems)
    assert [row.file for row in rows] == ["a.png", "c.png"]
    assert "4 problems" in told
    for fact in ("a.png (lines 2 and 3)", "line 4", "line 5", "'holdout' (line 6)"):
        assert fact in told


def test_a_group_that_is_not_there_is_no_group_of_that_name(tmp_path: Path) -> None:
    problems = Problems()
    text = "file,label,patient\na.png,1,NA\nb.png,0,nan\nc.png,0,Nash\nd.png,1,\n"
    table(tmp_path, text).rows(Columns(group="patient"), problems)
    told = problems_of(problems)
    assert "2 problems" in told
    assert "'NA' (line 2)" in told


def test_of_each_kind_ten_are_told() -> None:
    problems = Problems()
    for number in range(MOST_SHOWN + 3):
        problems.add("missing", f"place {number}")
    told = problems_of(problems)
    assert told.count("place") == MOST_SHOWN
    assert "and 3 more" in told


@pytest.mark.parametrize(
    "text",
    ["", "file,label\n", "name,label\na,1\n", "file,label,file\na,1,b\n", 'file,label\n"' + "a" * 200_000 + '",1\n'],
    ids=["empty", "no rows", "no column", "a column twice", "a cell without end"],
)
def test_what_is_no_table_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.csv"):
        table(tmp_path, text).rows(Columns(), Problems())


def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="UTF-8"):
        table(tmp_path, "file,label\ngrün.png,1\n", "latin-1")
    for path in (tmp_path, tmp_path / "nothing.csv"):
        with pytest.raises(DataError):
            read_table(path)


def test_labels_are_zeros_and_ones_however_they_are_written() -> None:
    problems = Problems()
    labels = read_labels(rows_of("0", "1", "1.0", "0.00"), ["label"], [], problems)
    problems.refuse(Path())
    np.testing.assert_array_equal(labels, [[0], [1], [1], [0]])
    assert labels.dtype == np.uint8


@pytest.mark.parametrize(
    ("positive", "expected"), [(["mel"], [1, 0, 0, 1]), (["mel", "bcc"], [1, 1, 0, 1]), (["nv"], [0, 0, 1, 0])]
)
def test_one_value_or_several_against_the_rest(positive: list[str], expected: list[int]) -> None:
    labels = read_labels(rows_of("mel", "bcc", "nv", "mel"), ["label"], positive, Problems())
    assert labels[:, 0].tolist() == expected


def test_a_positive_number_is_a_number() -> None:
    assert read_labels(rows_of("3.0", "4", "3"), ["grade"], ["3"], Problems())[:, 0].tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("values", "positive", "facts"),
    [
        (("mel", "nv", "mel"), [], ("'mel' (2)", "'nv' (1)", "--positive 'nv'")),
        (("1", "0", "-1"), [], ("'-1' (1)", "--positive '-1'")),
        (("mel", "nv"), ["akiec"], ("'mel' (1)", "'akiec'")),
        (("1", "1"), [], ("'1' (2)", "both classes")),
        (("nan", "1"), [], ("both classes",)),
    ],
)
def test_a_column_that_is_no_label_is_refused_with_its_values(
    values: tuple[str, ...], positive: list[str], facts: tuple[str, ...]
) -> None:
    problems = Problems()
    assert read_labels(rows_of(*values), ["label"], positive, problems) is None
    told = problems_of(problems)
    assert all(fact in told for fact in facts)


def test_empty_labels_are_told_with_file_and_line() -> None:
    problems = Problems()
    read_labels(rows_of("1", "", "0", ""), ["label"], [], problems)
    told = problems_of(problems)
    assert "3.png (line 3)" in told
    assert "5.png (line 5)" in told


def test_a_label_that_is_nan_is_empty_and_not_negative() -> None:
    problems = Problems()
    read_labels(rows_of("mel", "nv", "NaN"), ["label"], ["mel"], problems)
    assert "4.png (line 4)" in problems_of(problems)


@pytest.mark.parametrize("missing", ["NA", "n/a", "#N/A", "<NA>", "NULL"])
def test_what_other_programs_write_for_a_missing_label_is_not_negative(missing: str) -> None:
    problems = Problems()
    read_labels(rows_of("mel", "nv", missing), ["label"], ["mel"], problems)
    assert "4.png (line 4)" in problems_of(problems)


def test_a_word_for_missing_labels_may_be_a_value_that_is_asked_for_or_a_sub_folder() -> None:
    assert read_labels(rows_of("NA", "nv"), ["label"], ["NA"], Problems())[:, 0].tolist() == [1, 0]
    assert read_labels(rows_of("NA", "nv"), ["label"], ["nv"], Problems(), of_folders=True)[:, 0].tolist() == [0, 1]


@pytest.mark.parametrize("positive", [["mel", "BCC"], ["mel", "bbc"]])
def test_a_positive_value_that_no_sample_has_is_refused(positive: list[str]) -> None:
    problems = Problems()
    assert read_labels(rows_of("mel", "bcc", "nv"), ["label"], positive, problems) is None
    assert "bcc" in problems_of(problems)


def test_values_that_differ_in_capitals_from_a_positive_one_are_not_silently_negative() -> None:
    problems = Problems()
    assert read_labels(rows_of("mel", "Mel", "nv"), ["label"], ["mel"], problems) is None
    assert "--positive 'Mel'" in problems_of(problems)
    both = read_labels(rows_of("mel", "Mel", "nv"), ["label"], ["mel", "Mel"], Problems())
    assert both[:, 0].tolist() == [1, 1, 0]


def test_several_columns_are_several_labels() -> None:
    rows = [Row(2, "a", ("1", "0"), None, ""), Row(3, "b", ("0", "1"), None, "")]
    assert read_labels(rows, ["x", "y"], [], Problems()).tolist() == [[1, 0], [0, 1]]


def test_a_label_is_named_after_its_value_or_its_column() -> None:
    assert label_names(["dx"], ["mel"]) == ["mel"]
    assert label_names(["dx"], ["mel", "bcc"]) == label_names(["dx"], []) == ["dx"]
    assert label_names(["x", "y"], ["yes"]) == ["x", "y"]
