"""Launching a study, as a program does it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import DataError, StudyConflictError, UsageError
from hpo.launch.backends.local import WorkerEnd
from hpo.launch.session import launch, workers_failed
from hpo.search.study import open_named_study
from hpo.study.files import builtin_study_file, load_spec
from hpo.study.spec import StudySpec


def digits(trials: int, *overrides: str) -> StudySpec:
    return load_spec(builtin_study_file("digits"), (f"budget.trials={trials}", *overrides))


def test_a_study_is_created_and_resumed_without_workers(tmp_path: Path, log: list[str]) -> None:
    storage = f"sqlite:///{tmp_path}/s.db"
    made = launch(digits(5), name="s", on="none", storage=storage)
    assert (made.study.name, made.submission) == ("s", None)
    assert log
    launch(digits(7), name="s", on="none", storage=storage, keep_trials=True)
    assert open_named_study("s", storage).spec.budget.trials == 5
    launch(digits(7), name="s", on="none", storage=storage)
    assert open_named_study("s", storage).spec.budget.trials == 7
    with pytest.raises(StudyConflictError):
        launch(digits(7, "budget.epochs=1"), name="s", on="none", storage=storage)


def test_data_that_are_not_there_are_noticed_before_a_database_is_made(tmp_path: Path) -> None:
    spec = load_spec(builtin_study_file("breast"), ())
    with pytest.raises(DataError):
        launch(spec, name="s", on="none", storage=f"sqlite:///{tmp_path}/s.db", data_dir=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_all_workers_and_those_on_each_gpu_are_not_both_given(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/s.db"
    with pytest.raises(UsageError):
        launch(digits(1), name="s", workers=2, workers_per_gpu=2, storage=storage, device="cpu", log_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("codes", "code"), [((1,), 1), ((1, 6), 6), ((9, 6), 9), ((6, -9), 8), ((-11,), 8)])
def test_workers_that_failed_are_an_error_with_the_code_that_tells_most(
    tmp_path: Path, codes: tuple[int, ...], code: int
) -> None:
    (tmp_path / "w.log").write_text("".join(f"line {number}\n" for number in range(100)))
    error = workers_failed([WorkerEnd(f"w{number}", one, tmp_path / "w.log") for number, one in enumerate(codes)])
    assert error.exit_code == code
    text = str(error)
    assert all(f"w{number}" in text for number in range(len(codes)))
    assert "line 99" in text
    assert "line 10\n" not in text
