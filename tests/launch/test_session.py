"""Launching a study, as a program does it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from hpo.errors import DataError, DeclinedError, StudyConflictError, StudyNotFoundError, UsageError
from hpo.launch.backends.base import BACKENDS, LaunchRequest, Submission
from hpo.launch.backends.local import WorkerEnd
from hpo.launch.backends.local_launch import _ask, _fit_trials, workers_failed
from hpo.launch.backends.nowhere import NoWorkers
from hpo.launch.estimate import Estimate, least_trials
from hpo.launch.session import launch
from hpo.search.creation import BudgetRule
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_trials
from hpo.search.queue.claiming import NothingToClaim, claim, release
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, open_named_study
from hpo.search.worker.loop import run_worker
from hpo.study.files import builtin_study_file, load_spec
from hpo.study.spec import StudySpec
from hpo.testing.trainer import FakeTrainer
from hpo.testing.trials import claimed, ended
from tests.mention import unmentioned
from tests.plugins import kept_registries


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


def test_data_that_cannot_be_had_are_noticed_before_a_database_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_DATA_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    spec = load_spec(builtin_study_file("breast"), ())
    with pytest.raises(DataError):
        launch(spec, request(f"sqlite:///{tmp_path}/s.db", data_dir=tmp_path), on="none")
    assert list(tmp_path.iterdir()) == []


def test_all_workers_and_those_on_each_gpu_are_not_both_given(tmp_path: Path) -> None:
    wishes = request(f"sqlite:///{tmp_path}/s.db", workers=2, workers_per_gpu=2, device="cpu", log_dir=tmp_path)
    with pytest.raises(UsageError):
        launch(digits(1), wishes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wishes",
    [{"workers": 0}, {"workers": -1}, {"workers": 10_001}, {"workers_per_gpu": 0}, {"workers": "many"}]
    + [{"hours": hours} for hours in (0, -1.0, float("nan"), 10_001)],
)
def test_a_number_of_workers_or_hours_that_cannot_be_is_refused_before_a_database_is_made(
    tmp_path: Path, wishes: dict[str, Any]
) -> None:
    with pytest.raises(UsageError) as refused:
        launch(digits(1), request(f"sqlite:///{tmp_path}/s.db", device="cpu", log_dir=tmp_path, **wishes))
    (name,) = wishes
    assert unmentioned(refused.value, f"--{name.replace('_', '-')}") == []
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


def test_what_several_workers_ended_with_is_said_once(tmp_path: Path) -> None:
    logs = [tmp_path / f"{number}.log" for number in range(3)]
    for log, reason in zip(logs, ("the same", "the same", "another"), strict=True):
        log.write_text(f"trial of {log.name}\nhpo: {reason}\n")
    text = str(workers_failed([WorkerEnd(log.name, 2, log) for log in logs]))
    assert (text.count("the same"), text.count("another")) == (1, 1)
    assert all(str(log) in text for log in logs)


@pytest.mark.parametrize("on", ["slurm", "none"])
def test_hours_are_refused_where_workers_do_not_end_with_the_command(tmp_path: Path, on: str) -> None:
    with pytest.raises(UsageError, match="--trials"):
        launch(digits(5), request(f"sqlite:///{tmp_path}/s.db", hours=1.0), on=on)
    assert list(tmp_path.iterdir()) == []


def fit(study: Study, hours: float) -> int:
    """The number of trials of a study whose trials take an hour each, after a launch with hours."""
    estimate = Estimate(epoch_seconds=3600, trials=1, epochs=1, trained_share=1.0, parallel=1)
    return _fit_trials(study, read_status(study), estimate, hours)[0].spec.budget.trials


def test_hours_set_the_trials_of_a_new_study_and_only_raise_those_of_one_that_has_begun(
    tmp_path: Path, log: list[str]
) -> None:
    storage = f"sqlite:///{tmp_path}/s.db"
    study = launch(digits(50), request(storage), on="none").study
    assert fit(study, 7.9) == 7
    assert open_named_study("s", storage).spec.budget.trials == 7
    assert "time for 7 trials" in log[-1]
    assert fit(study, 0.5) == least_trials(study.spec)
    run_worker(study, identity=this_process("w"), train=FakeTrainer(6), limit=3)
    study = open_named_study("s", storage)
    assert fit(study, 0.5) == least_trials(study.spec)
    assert fit(study, 6) == 9
    assert fit(study, 2) == 9


def test_a_study_is_widened_by_the_option_only_and_what_changed_is_told(tmp_path: Path, log: list[str]) -> None:
    storage = f"sqlite:///{tmp_path}/s.db"
    launch(digits(5), request(storage), on="none")
    wider = digits(5, "space.learning_rate.low=1e-5")
    with pytest.raises(StudyConflictError, match="--extend"):
        launch(wider, request(storage), on="none")
    assert launch(wider, request(storage), on="none", extend=True).study.spec.space == wider.space
    assert "extended: space.learning_rate.low: stored 0.0001, asked 1e-05" in log
    with pytest.raises(StudyConflictError, match="epochs"):
        launch(digits(5, "budget.epochs=1"), request(storage), on="none", extend=True)


def test_a_released_trial_beyond_a_lower_number_is_not_resumed_and_that_is_told(tmp_path: Path, log: list[str]) -> None:
    storage = f"sqlite:///{tmp_path}/s.db"
    study = launch(digits(5), request(storage), on="none").study
    kept, running = claimed(study), claimed(study)
    assert ended(claimed(study))
    assert release(kept)
    lower = launch(digits(1), request(storage), on="none", budget="set")
    assert lower.is_done
    assert unmentioned(log[-2], 1, "--trials") == []
    assert claim(lower.study, "w") is NothingToClaim.DONE
    assert ended(running)
    status = read_status(lower.study)
    assert (status.budget, status.finished, status.free) == (1, 2, 1)
    more = launch(digits(3), request(storage), on="none").study
    assert claimed(more).number == kept.number


def test_a_lower_number_of_trials_is_refused_before_the_space_is_widened(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/s.db"
    spec = launch(digits(5), request(storage), on="none").study.spec
    wider = digits(4, "space.learning_rate.low=1e-5")
    with pytest.raises(StudyConflictError) as refused:
        launch(wider, request(storage), on="none", extend=True)
    assert unmentioned(refused.value, 5, 4, "--fewer") == []
    assert open_named_study("s", storage).spec == spec
    for budget, trials in (("keep", 5), ("set", 4)):
        launch(wider, request(storage), on="none", extend=True, budget=cast(BudgetRule, budget))
        assert open_named_study("s", storage).spec.budget.trials == trials


class Declining(NoWorkers):
    """A backend whose user, who is asked, says no."""

    def submit(self, study: Study, request: LaunchRequest) -> Submission:
        status = read_status(study)
        _ask(study, request, status, Estimate(9 * 3600, trials=5, epochs=1, trained_share=1.0, parallel=1))
        return super().submit(study, request)


@pytest.fixture
def declining() -> Iterator[str]:
    with kept_registries():
        BACKENDS.register("declining", Declining)
        yield "declining"


def test_a_study_of_days_that_somebody_declines_leaves_nothing_behind(tmp_path: Path, declining: str) -> None:
    storage = f"sqlite:///{tmp_path}/s.db"
    asked: list[float] = []

    def say_no(hours: float) -> bool:
        asked.append(hours)
        return False

    with pytest.raises(DeclinedError):
        launch(digits(5), request(storage, agrees=say_no), on=declining)
    assert asked == [45]
    with pytest.raises(StudyNotFoundError):
        open_named_study("s", storage)
    launch(digits(5), request(storage), on="none")
    with pytest.raises(DeclinedError):
        launch(digits(5), request(storage, agrees=say_no), on=declining)
    assert open_named_study("s", storage).spec.budget.trials == 5


def test_a_study_on_which_others_are_at_work_stays_when_it_is_declined(tmp_path: Path, declining: str) -> None:
    storage = f"sqlite:///{tmp_path}/s.db"

    def say_no_late(_hours: float) -> bool:
        claimed(open_named_study("s", storage))
        return False

    with pytest.raises(DeclinedError):
        launch(digits(5), request(storage, agrees=say_no_late), on=declining)
    assert len(read_trials(open_named_study("s", storage))) == 1


def test_nobody_is_asked_about_a_short_study_or_one_that_was_begun(tmp_path: Path, declining: str) -> None:
    storage = f"sqlite:///{tmp_path}/s.db"
    study = launch(digits(5), request(storage), on=declining).study
    never = request(storage, agrees=lambda _hours: False)
    short = Estimate(3600, trials=5, epochs=1, trained_share=1.0, parallel=1)
    _ask(study, never, read_status(study), short)
    days = dataclasses.replace(short, trials=50)
    _ask(study, dataclasses.replace(never, hours=3.0), read_status(study), days)
    claimed(study)
    _ask(study, never, read_status(study), days)
