"""`hpo methods` as a user runs it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from hpo.outcome.method_plan import MethodWishes
from hpo.outcome.method_study import find_source, measure_methods
from hpo.search.creation import create_or_open
from hpo.search.queue.workers import this_process
from hpo.search.worker.loop import run_worker
from hpo.study.methods import METHODS
from hpo.study.spec import StudySpec
from hpo.testing.trainer import FakeTrainer
from tests.cli.run import hpo_forked, hpo_here
from tests.conftest import REPOSITORY
from tests.mention import unmentioned

SMALL = (
    *("--set", "fixed.network=linear", "--set", "scoring.rows=kfold", "--folds", "2", "--epochs", "2"),
    *("--device", "cpu", "--checkpoint-dir", "none"),
)


def test_without_a_name_it_lists_the_methods(tmp_path: Path) -> None:
    table = hpo_here("methods", cwd=tmp_path).stdout
    assert unmentioned(table, *(method.name for method in METHODS)) == []
    listed = json.loads(hpo_here("methods", "--json", cwd=tmp_path).stdout)
    assert [one["name"] for one in listed] == [method.name for method in METHODS]
    assert list(tmp_path.iterdir()) == []


def test_the_document_of_methods_has_the_table_that_is_made(tmp_path: Path) -> None:
    made = hpo_here("methods", "--markdown", cwd=tmp_path).stdout
    assert made.count("\n") == len(METHODS) + 2
    assert made in (REPOSITORY / "docs" / "methods.md").read_text()


def test_a_wrong_name_or_method_is_refused_in_words(tmp_path: Path) -> None:
    run = hpo_here("methods", "digits", "emma", "--on", "none", cwd=tmp_path)
    assert run.returncode == 2
    assert unmentioned(run.stderr, "emma", "ema") == []
    assert hpo_here("methods", "bread", cwd=tmp_path).returncode in (5, 6)


@pytest.mark.slow
def test_the_table_of_an_unfinished_study_needs_no_data_and_a_new_study_does(tmp_path: Path) -> None:
    database, source = find_source("breast", f"sqlite:///{tmp_path}/hpo.sqlite3")

    def train(spec: StudySpec, name: str) -> None:
        study = create_or_open(database, name, spec)
        # One repeat of four candidates.
        run_worker(study, identity=this_process("w"), train=FakeTrainer(spec.budget.epochs), limit=4)

    with closing(database):
        assert not measure_methods(database, source, MethodWishes(("ema",), 2, 2), train=train).done
    without = {"HPO_DATA_DIR": str(tmp_path), "HPO_DATA_URL": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}
    run = hpo_here("methods", "breast", "--on", "none", cwd=tmp_path, **without)
    assert run.returncode == 0, run.stderr
    assert unmentioned(run.stdout, "ema", "breast-methods") == []
    run = hpo_here("methods", "breast", "--name", "other", "--on", "none", cwd=tmp_path, **without)
    assert run.returncode == 4, run.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("linear_network")
def test_methods_are_measured_resumed_and_printed(tmp_path: Path) -> None:
    planned = hpo_here("methods", "digits", "ema", "mixup", "--seeds", "1", *SMALL, "--on", "none", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert unmentioned(planned.stderr, "`hpo worker digits-methods`", 6) == []
    run = hpo_forked("methods", "digits", "--json", "--device", "cpu", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert (found["done"], found["repeats"], found["folds"], found["epochs"]) == (True, 1, 2, 2)
    effects = [one for recipe in found["recipes"] for one in recipe["effects"]]
    assert sorted(one["method"] for one in effects) == ["ema", "ema", "mixup", "mixup"]
    assert all(one["low"] <= one["difference"] <= one["high"] and one["cost"]["time"] > 0 for one in effects)
    shown = hpo_here("methods", "digits", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert unmentioned(shown.stdout, "ema", "mixup", "digits-methods") == []
    text = hpo_here("methods", "digits", "--markdown", cwd=tmp_path).stdout
    assert unmentioned(text, "--seeds", "--epochs", "fixed.network=linear", *found["commits"]) == []
    report = hpo_here("report", "digits-methods", cwd=tmp_path)
    assert report.returncode == 0, report.stderr
