"""Launching a study, as a program does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpo.errors import DataError, StudyConflictError, UsageError
from hpo.launch.backends.base import LaunchRequest, Submission
from hpo.launch.backends.local import WorkerEnd
from hpo.launch.backends.local_launch import workers_failed
from hpo.launch.session import launch
from hpo.search.study import open_named_study
from hpo.study.files import builtin_study_file, load_spec
from hpo.study.spec import StudySpec


def digits(trials: int, *overrides: str) -> StudySpec:
    return load_spec(builtin_study_file("digits"), (f"budget.trials={trials}", *overrides))


def request(storage: str, **wishes: Any) -> LaunchRequest:
    return LaunchRequest("s", storage, wishes.pop("data_dir", Path()), **wishes)


def test_a_study_is_created_and_resumed_without_workers(tmp_path: Path, log: list[str]) -> None:
    storage = f"sqlite:///{tmp_path}/s.db"
    made = launch(digits(5), request(storage), on="none")
    assert (made.study.name, made.submission) == ("s", Submission(job=None, workers=0))
    assert log
    launch(digits(7), request(storage), on="none", budget="keep")
    assert open_named_study("s", storage).spec.budget.trials == 5
    launch(digits(7), request(storage), on="none")
    assert open_named_study("s", storage).spec.budget.trials == 7
    with pytest.raises(StudyConflictError):
        launch(digits(7, "budget.epochs=1"), request(storage), on="none")


def test_data_that_are_not_there_are_noticed_before_a_database_is_made(tmp_path: Path) -> None:
    spec = load_spec(builtin_study_file("breast"), ())
    with pytest.raises(DataError):
        launch(spec, request(f"sqlite:///{tmp_path}/s.db", data_dir=tmp_path), on="none")
    assert list(tmp_path.iterdir()) == []


def test_all_workers_and_those_on_each_gpu_are_not_both_given(tmp_path: Path) -> None:
    wishes = request(f"sqlite:///{tmp_path}/s.db", workers=2, workers_per_gpu=2, device="cpu", log_dir=tmp_path)
    with pytest.raises(UsageError):
        launch(digits(1), wishes)
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
