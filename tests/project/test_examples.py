"""The Python examples in the documents run as they stand."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import hpo
from hpo.study.choices import LOSSES, NETWORKS
from hpo.study.spec import StudySpec
from hpo.testing.trainer import FakeTrainer, make_report
from tests.plugins import kept_registries
from tests.project.documents import ROOT, code_blocks

INTERFACE, EXTENDING = (ROOT / "docs" / name for name in ("python-api.md", "extending.md"))


@pytest.fixture(autouse=True)
def _own_folder_and_registries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in ("HPO_STORAGE", "HPO_DATA_DIR", "HPO_CHECKPOINT_DIR"):
        monkeypatch.delenv(name, raising=False)
    with kept_registries():
        yield


def run_blocks(page: Path) -> None:
    """Run the Python blocks of a page one after the other, as one program."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, block in enumerate(code_blocks(page.read_text(), "python"), start=1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), namespace)


@pytest.mark.slow
def test_the_examples_of_the_interface_run_with_a_trainer_that_learns_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def make_trainer(spec: StudySpec, *_: object, **__: object) -> FakeTrainer:
        return FakeTrainer(spec.budget.epochs)

    def train_trial(*arguments: object, **_: object) -> Iterator[hpo.EpochReport]:
        return (make_report(epoch, 0.5 + 0.1 * epoch) for epoch in (1, 2))

    monkeypatch.setattr("hpo.search.worker.trainer.make_trainer", make_trainer)
    monkeypatch.setattr("hpo.training.loop.trial.train_trial", train_trial)
    run_blocks(INTERFACE)


@pytest.mark.slow
def test_the_examples_of_the_interface_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.training.model.resnet._WIDTHS", (8,))
    run_blocks(INTERFACE)


@pytest.mark.slow
def test_the_examples_of_extending_run_and_train(monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = types.ModuleType("mlflow")
    calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []
    for name in ("set_experiment", "start_run", "log_params", "log_metrics", "end_run"):
        setattr(mlflow, name, lambda *given, name=name, **named: calls.append((name, given, named)))
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    run_blocks(EXTENDING)
    assert [name for name, *_ in calls] == [
        "set_experiment",
        "start_run",
        "log_params",
        *["log_metrics"] * 3,
        "end_run",
    ]
    assert calls[0][1] == ("rings",)
    assert [named["step"] for name, _, named in calls if name == "log_metrics"] == [1, 2, 3]
    assert calls[-1][1] == ("FINISHED",)


def test_the_module_of_a_plug_in_registers_by_itself() -> None:
    """It is imported alone, unlike the other blocks of the page, which follow on one another."""
    [module] = [block for block in code_blocks(EXTENDING.read_text(), "python") if "my_plugins.losses:" in block]
    exec(compile(module, "my_plugins/__init__.py", "exec"), {})
    assert "polynomial" in LOSSES
    assert "wide" in NETWORKS


def test_every_public_name_is_on_one_of_the_pages() -> None:
    text = "".join(page.read_text() for page in (INTERFACE, EXTENDING))
    kinds_of_error = {name for name in hpo.__all__ if name.endswith("Error")} - {"HpoError"}
    wanted = set(hpo.__all__) - kinds_of_error - {"DISTRIBUTION", "__version__"}
    assert [name for name in sorted(wanted) if f"`{name}`" not in text] == []
