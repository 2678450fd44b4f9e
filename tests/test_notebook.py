"""What a notebook shows of a study: itself, its tables and its figures."""

from __future__ import annotations

import ast
import dataclasses
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from torch import nn

import hpo
from hpo.outcome.report.drawing import ReportFigure
from hpo.search import study as search
from hpo.testing.trainer import FakeTrainer, make_spec
from hpo.testing.trials import claimed
from hpo.training.model.resnet import ResNet18
from tests.cli.run import hpo_here

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebooks" / "first_study.ipynb"
MOST_BYTES = 300_000

PLOTS = ("history", "curves", "importances", "slices", "choices", "overfitting", "rocs")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> hpo.Study:
    """A study of 20 trials, of which 18 are finished."""
    folder = tmp_path_factory.mktemp("notebook")
    study = hpo.create_study(make_spec(20), f"sqlite:///{folder}/hpo.sqlite3", "<b>bold</b>")
    hpo.run_worker(study, trainer=FakeTrainer(), limit=18)
    return study


def test_a_study_is_a_table_of_its_state_without_markup_of_others(study: hpo.Study) -> None:
    html = study._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    best = study.best(1).trials[0].value
    for part in ("breast", "18 of 20 finished", "18 complete", f"trial {best.number}", f"{best.auc:.3f}"[1:], "["):
        assert part in html
    assert html.count("<tr>") == html.count("</tr>") == 5


def test_a_study_without_trials_or_without_its_database_shows_itself_too(tmp_path: Path) -> None:
    study = hpo.create_study(make_spec(3), f"sqlite:///{tmp_path}/hpo.sqlite3", "empty")
    assert "0 of 3 finished" in study._repr_html_()
    assert repr(study) == f"Study('empty', 'sqlite:///{tmp_path}/hpo.sqlite3')"
    other = dataclasses.replace(study, study_id=99)
    assert isinstance(other, hpo.Study)
    assert "deleted" in other._repr_html_()


def test_every_way_to_a_study_returns_one_with_tables_and_every_function_takes_it(study: hpo.Study) -> None:
    storage = str(study.database.address)
    assert isinstance(hpo.open_study(study.name, storage), hpo.Study)
    assert isinstance(hpo.launch("digits", storage, "launched", on="none"), hpo.Study)
    assert isinstance(study, search.Study)
    assert study.trials_dataframe().equals(hpo.trials_dataframe(study))
    assert study.best(2) == hpo.best(study, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLOTS)
def test_a_figure_is_matplotlibs_and_a_picture_in_a_notebook(study: hpo.Study, name: str) -> None:
    figure = getattr(study, f"plot_{name}")()
    assert issubclass(ReportFigure, Figure)
    assert isinstance(figure, ReportFigure)
    assert figure.axes[0].has_data()
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_trial_is_drawn_by_its_number(study: hpo.Study) -> None:
    figure = study.plot_trial(3)
    epochs = figure.axes[0].lines[0].get_xdata()
    assert list(epochs) == [1, 2, 3, 4]
    with pytest.raises(hpo.StudyNotFoundError):
        study.plot_trial(99)


@pytest.mark.parametrize("name", PLOTS)
def test_too_few_trials_for_a_figure_are_said_in_words(tmp_path: Path, name: str) -> None:
    study = hpo.create_study(make_spec(3), f"sqlite:///{tmp_path}/hpo.sqlite3", "empty")
    with pytest.raises(hpo.UsageError, match="study empty"):
        getattr(study, f"plot_{name}")()


@pytest.mark.slow
def test_opening_a_study_does_not_load_matplotlib(study: hpo.Study) -> None:
    code = f"import hpo, sys; hpo.open_study({study.name!r}, {str(study.database.address)!r})"
    code += "; print('matplotlib' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def cells() -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_small_and_has_the_output_of_every_cell() -> None:
    assert NOTEBOOK.stat().st_size < MOST_BYTES
    assert [cell["execution_count"] for cell in cells()] == list(range(1, len(cells()) + 1))
    assert [number for number, cell in enumerate(cells()) if not cell["outputs"]] == []
    assert [output for cell in cells() for output in cell["outputs"] if output["output_type"] == "error"] == []


def _linear(shape: tuple[int, ...], labels: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), labels))


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells one after the other, and what each shows, without Jupyter and with a linear network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ResNet18, "narrow", _linear)
    for name in ("HPO_STORAGE", "HPO_CHECKPOINT_DIR"):
        monkeypatch.delenv(name, raising=False)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for cell in cells():
        *body, last = ast.parse("".join(cell["source"])).body
        exec(compile(ast.Module(body, []), NOTEBOOK.name, "exec"), namespace)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), namespace))
    assert shown[1].finished == 12
    assert "12 of 12 finished" in shown[2]._repr_html_()
    assert sum(isinstance(one, ReportFigure) for one in shown) == 3


def test_the_bar_follows_trials_and_is_text_where_there_is_no_widget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = hpo.create_study(make_spec(3), f"sqlite:///{tmp_path}/hpo.sqlite3", "barred")
    hpo.run_worker(study, trainer=FakeTrainer(), limit=1)
    assert capsys.readouterr().err == ""
    hpo.run_worker(study, trainer=FakeTrainer(), progress=True)
    states = capsys.readouterr().err.replace("\n", "\r").split("\r")
    shown = [state.rpartition("| ")[2].partition(" trials")[0] for state in states if "trials" in state]
    assert shown[0] == "1.0 of 3"
    assert shown[-1] == "3.0 of 3"
    assert "1.2 of 3" in shown
    assert "best AUC" in states[-2] + states[-1]


@pytest.mark.slow
def test_a_session_of_colab_that_ends_goes_on_from_the_copy_of_its_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop of docs/colab.md, in folders."""
    copy = tmp_path / "drive.sqlite3"
    for session, limit in enumerate((2, 9)):
        content = tmp_path / f"content-{session}"
        content.mkdir()
        monkeypatch.chdir(content)
        if copy.exists():
            shutil.copy(copy, content / "hpo.sqlite3")
        study = hpo.create_study(make_spec(4), "sqlite:///hpo.sqlite3", "breast")
        for _ in range(limit):
            if not hpo.run_worker(study, trainer=FakeTrainer(), limit=1).finished:
                break
            assert hpo_here("db", "backup", "new.sqlite3", cwd=content).returncode == 0
            shutil.move(content / "new.sqlite3", copy)
        # What the session began after its last copy is lost with it.
        if session == 0:
            claimed(study)
    assert list(study.trials_dataframe()["state"]) == ["complete"] * 4
