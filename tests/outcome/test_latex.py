"""The final result as a LaTeX table."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from hpo.outcome.final import store
from hpo.outcome.judgement import judge_final
from hpo.outcome.report.result import latex
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.study.catalogue import find_dataset
from hpo.study.published import published
from hpo.testing.trainer import make_spec
from tests.cli.run import hpo_here
from tests.mention import unmentioned
from tests.outcome import simulated
from tests.search.planned import make_confirmation, make_plan


def test_a_row_for_each_entry_and_each_published_value_with_equal_columns() -> None:
    final = simulated.final()
    judgement = judge_final(final, draws=100)
    text = latex.table(find_dataset("breast"), judgement, final)
    rows = [line.strip() for line in text.splitlines() if line.strip().endswith(r"\\") and "multicolumn" not in line]
    assert len(rows) == 1 + len(judgement.entries) + len(published("breast"))
    assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {6}
    winner = judgement.entries[0]
    assert rf"\textbf{{{winner.mean:.3f}}} & [{winner.interval.low:.3f}, {winner.interval.high:.3f}]" in rows[1]
    assert text.count(r"\textbf") == 1
    assert sum("(baseline)" in row for row in rows) == sum(entry.is_reference for entry in judgement.entries)
    for command in ("toprule", "bottomrule", r"begin{table}", r"end{table}", "caption", "label{tab:hpo-breast}"):
        assert f"\\{command}" in text


def test_the_caption_says_that_the_test_set_had_been_read_before() -> None:
    final = simulated.final()
    again = dataclasses.replace(final, result=final.result.model_copy(update={"reason": "50% more & better"}))
    text = latex.table(find_dataset("breast"), judge_final(again, draws=100), again)
    assert r"had been read before: 50\% more \& better." in text


def test_text_from_outside_is_no_command() -> None:
    hostile = "\\input{/etc/passwd} 50% $x_1^2$ #&~ a\nb\x1b"
    escaped = latex.escape(hostile)
    assert "\n" not in escaped
    assert "\\input" not in escaped
    assert re.findall(r"(?<!\\)[%$#&_]", escaped) == []
    assert escaped.startswith(r"\textbackslash{}input\{/etc/passwd\} 50\% \$x\_1\textasciicircum{}2\$")


def test_there_is_none_of_all_studies(tmp_path: Path) -> None:
    assert hpo_here("report", "--all", "--latex", "all.tex", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(("role", "trial"), [("confirmation", 3), ("ablation", None)])
@pytest.mark.parametrize("option", [("--latex", "table.tex"), ("--csv", "-"), ()], ids=" ".join)
def test_a_study_that_is_no_search_has_no_result_and_names_the_one_that_has(
    tmp_path: Path, option: tuple[str, ...], role: str, trial: int | None
) -> None:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    plan = make_plan(1, 1)
    candidates = tuple(one.model_copy(update={"trial": trial}) for one in plan.candidates)
    create_or_open(database, "other", make_confirmation(plan.model_copy(update={"candidates": candidates})))
    database.close()
    done = hpo_here("report", "other", *option, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert unmentioned(done.stderr, "other", "search", *([] if option else [role])) == []
    assert "finalize" not in done.stderr


@pytest.mark.parametrize("finished", [True, False])
def test_the_command_writes_that_of_the_only_study_or_says_what_is_missing(tmp_path: Path, finished: bool) -> None:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    create_or_open(database, "breast", make_spec(2))
    database.close()
    if finished:
        store(simulated.final(), tmp_path / "hpo-results" / "breast")
    done = hpo_here("report", "--latex", "table.tex", cwd=tmp_path)
    if finished:
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[-1] == "table.tex"
        assert (tmp_path / "table.tex").read_text().count(r"\begin{tabular}") == 1
    else:
        assert done.returncode == 2
        assert unmentioned(done.stderr, "breast", "hpo finalize breast") == []
        assert not (tmp_path / "hpo-results").exists()
