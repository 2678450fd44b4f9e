"""`import hpo`: what it loads, and that its functions do what the commands do."""

from __future__ import annotations

import doctest
import importlib
import inspect
import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hpo
from hpo import api, errors
from hpo.errors import (
    DataError,
    HpoError,
    StudyConflictError,
    StudyFileError,
    StudyNotFoundError,
    StudyStoppedError,
    UsageError,
)
from hpo.search.queries.listing import list_studies
from hpo.search.queries.trials import read_trials
from hpo.study.catalogue import DATASETS, find_dataset
from hpo.study.consistency import problems_on
from hpo.study.space import Choices, FloatRange
from hpo.study.spec import StudySpec
from hpo.testing.trainer import FakeTrainer, make_spec
from tests.mention import unmentioned
from tests.plugins import kept_registries

HEAVY = {"torch", "libauc", "optuna", "sqlalchemy", "sklearn", "numpy", "medmnist", "pydantic", "pandas"}


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    return f"sqlite:///{tmp_path}/hpo.sqlite3"


@pytest.fixture
def _quick_training(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trials of a fake trainer, and registries as they were."""

    def make_trainer(spec: StudySpec, *_: object, **__: object) -> FakeTrainer:
        return FakeTrainer(spec.budget.epochs)

    monkeypatch.setattr("hpo.search.worker.trainer.make_trainer", make_trainer)
    with kept_registries():
        yield


def loaded_by(code: str) -> set[str]:
    """The top-level packages that are loaded after `code`."""
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_loads_no_heavy_package_and_registering_neither_torch_nor_optuna() -> None:
    assert not HEAVY & loaded_by("import hpo")
    code = "from hpo import register_loss, register_backend, Dataset; register_loss('mine', 'm:f')"
    assert not {"torch", "optuna", "sqlalchemy", "numpy"} & loaded_by(code)


def test_every_public_name_is_there_and_described() -> None:
    public = [name for name in hpo.__all__ if name not in ("DISTRIBUTION", "__version__")]
    assert sorted(public) == public
    assert [name for name in public if not getattr(hpo, name).__doc__] == []
    assert set(hpo.__all__) <= set(dir(hpo))


def test_every_error_of_the_tree_is_public() -> None:
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, HpoError)}
    assert kinds <= set(hpo.__all__)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        hpo.nothing  # noqa: B018


def test_types_are_shipped() -> None:
    assert (Path(hpo.__file__).parent / "py.typed").exists()


def test_a_spec_comes_from_a_dataset_or_a_file_with_entries_changed(tmp_path: Path) -> None:
    changes = {
        "budget.epochs": 3,
        "space.margin.choices": [0.5, 1.0],
        "fixed.optimizer": "adam",
        "search.references": False,
    }
    spec = hpo.load_spec("breast", changes)
    assert (spec.budget.epochs, spec.search.references, spec.fixed["optimizer"]) == (3, False, "adam")
    assert spec.space["margin"].choices == (0.5, 1.0)
    file = tmp_path / "mine.toml"
    file.write_text('dataset = "digits"\n')
    assert hpo.load_spec(file).dataset == hpo.load_spec(str(file)).dataset == "digits"
    with pytest.raises(UsageError):
        hpo.load_spec("brest")
    with pytest.raises(StudyFileError):
        hpo.load_spec("breast", {"fixed.los": "aucm_v1"})


def test_a_study_is_created_once_and_opened_by_name(storage: str) -> None:
    study = hpo.create_study(make_spec(3), storage, "first")
    assert hpo.open_study("first", storage).spec == study.spec
    assert hpo.create_study(make_spec(3), storage, "first", trials=5).spec.budget.trials == 5
    assert hpo.open_study("first", storage).spec.budget.trials == 5
    assert hpo.create_study("digits").name == "digits"
    assert hpo.open_study("digits").spec == hpo.load_spec("digits")
    with pytest.raises(StudyConflictError):
        hpo.create_study(make_spec(3, epochs=9), storage, "first")
    with pytest.raises(StudyNotFoundError):
        hpo.open_study("second", storage)
    with pytest.raises(UsageError):
        hpo.create_study("digits", trials=0)


def test_a_worker_trains_what_is_asked_for_and_the_results_are_read(storage: str) -> None:
    study = hpo.create_study(make_spec(6, references=True), storage, "first")
    fails = FakeTrainer(fails=lambda config: config.learning_rate == 0.01 and config.loss == "aucm_v1")
    assert hpo.run_worker(study, trainer=FakeTrainer(), limit=4).finished == 4
    assert hpo.run_worker(study, trainer=fails).ended == "done"
    ranking = hpo.best(study, count=2)
    table = hpo.trials_dataframe(study)
    assert list(table["number"]) == list(range(6))
    complete = table[table["state"] == "complete"].sort_values("auc", ascending=False)
    assert [trial.value.number for trial in ranking.trials] == list(complete["number"])[:2]
    assert ranking.chosen_from == len(complete)
    drawn = table[table["reference"].isna()]
    assert drawn["params_learning_rate"].between(1e-4, 0.3).all()
    assert (drawn["params_margin"].notna() == (drawn["params_loss"] == "aucm_v1")).all()
    assert str(table["started"].dt.tz) == "UTC"
    assert (table["ended"] >= table["started"]).all()


def test_the_table_of_a_study_without_trials_has_all_columns(storage: str) -> None:
    study = hpo.create_study(make_spec(), storage, "empty")
    table = hpo.trials_dataframe(study)
    assert isinstance(table, pd.DataFrame)
    assert len(table) == 0
    assert {"number", "auc", "params_margin"} <= set(table.columns)
    assert math.isnan(table["auc"].mean())


def test_numbers_of_a_table_are_numbers_before_there_are_any(storage: str) -> None:
    study = hpo.create_study(make_spec(3), storage, "failed")
    with pytest.raises(StudyStoppedError):
        hpo.run_worker(study, trainer=FakeTrainer(fails=lambda _: True))
    table = hpo.trials_dataframe(study)
    numbers = ["auc", "training_auc", "repeat", "network", "params_margin", "params_learning_rate"]
    assert all(pd.api.types.is_float_dtype(table[name]) for name in numbers)
    assert pd.api.types.is_integer_dtype(table["number"])
    assert table.groupby("state")["auc"].mean().isna().all()


@pytest.mark.usefixtures("_quick_training")
@pytest.mark.parametrize(
    "module",
    [
        *(f"hpo.api.{name}" for name in ("studies", "study", "training")),
        pytest.param("hpo.api.results", marks=pytest.mark.slow),
        "hpo.search.worker.reporter",
        "hpo.study.registration",
        "hpo.study.catalogue",
    ],
)
def test_the_examples_of_the_docstrings_work(storage: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def reports(*_: object, **__: object) -> Iterator[hpo.EpochReport]:
        return (hpo.EpochReport(epoch, 0.5, 0.1, (0.5,), 0.5, 0.1, 0.1) for epoch in (1, 2))

    monkeypatch.setattr("hpo.training.loop.trial.train_trial", reports)
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0
    assert results.failed == 0


def test_every_function_of_the_interface_has_an_example() -> None:
    functions: list[Callable[..., object]] = [
        value for name in hpo.__all__ if isinstance(value := getattr(hpo, name), FunctionType)
    ]
    functions.append(api.launch)
    assert len(functions) > 10
    assert [function.__name__ for function in functions if ">>>" not in (function.__doc__ or "")] == []


def test_the_package_of_launching_is_the_function_of_launching_too(storage: str) -> None:
    from hpo.launch.estimate import trained_share

    study = hpo.launch("digits", storage, "nobody works", trials=3, on="none")
    assert hpo.open_study("nobody works", storage).spec.budget.trials == study.spec.budget.trials == 3
    launching: Any = hpo.launch
    assert launching.estimate.trained_share is trained_share


def test_a_launch_widens_a_space_when_told_to_and_keeps_hours_where_workers_can(storage: str) -> None:
    wider = hpo.load_spec("digits", {"space.learning_rate.low": 1e-5})
    hpo.launch("digits", storage, "widened", on="none")
    with pytest.raises(StudyConflictError):
        hpo.launch(wider, storage, "widened", on="none")
    study = hpo.launch(wider, storage, "widened", on="none", extend=True)
    assert hpo.open_study("widened", storage).spec.space == study.spec.space == wider.space
    with pytest.raises(UsageError):
        hpo.launch("digits", storage, "hours", on="none", hours=1)


def test_a_local_launch_refuses_what_only_this_script_has_registered(storage: str) -> None:
    def loss(*_: object) -> None:
        """Stand for a loss of a script."""

    loss.__module__ = "__main__"
    with kept_registries():
        hpo.register_loss("of-script", loss)
        spec = hpo.load_spec("digits", {"space.loss.choices": ["of-script", "aucm_v2"]})
        with pytest.raises(UsageError, match="of-script"):
            hpo.launch(spec, storage, "refused", device="cpu")
        hpo.launch(spec, storage, "nobody works", on="none")
        with pytest.raises(StudyNotFoundError):
            hpo.open_study("refused", storage)


@pytest.mark.slow
def test_launching_is_callable_before_and_after_its_package_is_imported(tmp_path: Path) -> None:
    for first in ("", "import hpo.launch.estimate", "from hpo import launch"):
        code = f"import hpo\n{first}\nassert callable(hpo.launch)\nfrom hpo.launch.estimate import Estimate"
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.slow
def test_a_search_is_confirmed_and_reported(storage: str, tmp_path: Path) -> None:
    study = hpo.create_study(make_spec(6, references=True), storage, "first")
    with pytest.raises(UsageError):
        hpo.confirm(study, trainer=FakeTrainer())
    hpo.run_worker(study, trainer=FakeTrainer())
    confirmation = hpo.confirm(study, top=1, per_family=0, seeds=2, racing=False, trainer=FakeTrainer())
    assert (confirmation.done, confirmation.repeats, len(confirmation.leaderboard)) == (True, 2, 3)
    assert hpo.open_study("first-confirm", storage).spec.plan is not None
    pages = hpo.report(study, out=tmp_path / "report")
    assert [page.name for page in pages if page.exists()] == ["report.html", "report.md"]


@pytest.mark.parametrize(
    "wishes", [{"top": 0}, {"top": 31}, {"seeds": 0}, {"seeds": -1}, {"seeds": 51}, {"per_family": -1}]
)
def test_a_confirmation_with_numbers_that_the_command_refuses_is_refused(storage: str, wishes: dict[str, int]) -> None:
    study = hpo.create_study(make_spec(1), storage, "first")
    hpo.run_worker(study, trainer=FakeTrainer())
    with pytest.raises(UsageError):
        hpo.confirm(study, trainer=FakeTrainer(), **wishes)
    assert [row.name for row in list_studies(study.database)] == ["first"]


@pytest.mark.parametrize("wishes", [{"seeds": 0}, {"seeds": -2}, {"seeds": 51}, {"epochs": 0}, {"folds": 1}])
def test_methods_with_numbers_that_the_command_refuses_are_refused(storage: str, wishes: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        hpo.methods("digits", ["ema"], storage=storage, trainer=FakeTrainer(), **wishes)


def test_numbers_that_the_command_refuses_are_refused(storage: str) -> None:
    study = hpo.create_study(make_spec(1), storage, "first")
    for trials in (0, 4.5, 1_000_001):
        with pytest.raises(UsageError):
            hpo.create_study("digits", storage, "bad", trials=trials)
        with pytest.raises(UsageError):
            hpo.launch("digits", storage, "bad", trials=trials, on="none")
    with pytest.raises(UsageError):
        hpo.create_study("digits", storage, "bad", start_from=study, start_top=0)
    with pytest.raises(UsageError):
        hpo.best(study, count=0)
    with pytest.raises(UsageError):
        hpo.run_worker(study, trainer=FakeTrainer(), limit=0)
    assert [row.name for row in list_studies(study.database)] == ["first"]


def interrupted(_epoch: int) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_confirmation_raises_and_goes_on_when_called_again(storage: str) -> None:
    study = hpo.create_study(make_spec(3), storage, "first")
    hpo.run_worker(study, trainer=FakeTrainer())
    with pytest.raises(KeyboardInterrupt):
        hpo.confirm(study, top=1, per_family=0, seeds=1, trainer=FakeTrainer(on_epoch=interrupted))
    assert [row.state for row in read_trials(hpo.open_study("first-confirm", storage))] == ["free"]
    assert hpo.confirm(study, trainer=FakeTrainer()).done


def test_interrupted_methods_raise(storage: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        hpo.methods("digits", ["ema"], 1, storage=storage, trainer=FakeTrainer(on_epoch=interrupted))
    assert [row.state for row in read_trials(hpo.open_study("digits-methods", storage))] == ["free"]


def test_an_interrupted_worker_returns_and_says_so(storage: str) -> None:
    study = hpo.create_study(make_spec(1), storage, "first")
    assert hpo.run_worker(study, trainer=FakeTrainer(on_epoch=interrupted)).interrupted


def test_a_study_whose_trials_all_failed_is_an_error_as_for_the_command(storage: str) -> None:
    study = hpo.create_study(make_spec(2), storage, "failed")
    failing = FakeTrainer(fails=lambda _: True)
    assert hpo.run_worker(study, trainer=failing, limit=1).failed == 1
    with pytest.raises(StudyStoppedError):
        hpo.run_worker(study, trainer=failing)


def test_a_confirmation_whose_trials_all_failed_is_an_error_and_a_study_of_which_some_did_is_none(storage: str) -> None:
    failing = FakeTrainer(fails=lambda _: True)
    some = hpo.create_study(make_spec(2), storage, "some")
    assert hpo.run_worker(some, trainer=failing, limit=1).failed == 1
    assert hpo.run_worker(some, trainer=FakeTrainer()).ended == "done"
    with pytest.raises(StudyStoppedError):
        hpo.confirm(some, top=1, seeds=1, trainer=failing)


def two_labels() -> hpo.Dataset:
    """Data that nobody may read: what is asked of them is wrong before that."""
    return hpo.Dataset(name="two", dimensions=2, labels=2, size=8, rows=(30, 10, 5), development=pytest.fail)


@pytest.mark.parametrize(
    ("settings", "scoring"),
    [
        ({"batching": "fixed_share"}, hpo.Scoring()),
        ({"resplit": "balanced"}, hpo.Scoring()),
        ({"resplit": "official"}, hpo.Scoring(rows="official")),
    ],
)
def test_a_configuration_that_does_not_suit_data_and_folds_is_refused_at_the_call(
    settings: dict[str, Any], scoring: hpo.Scoring
) -> None:
    with pytest.raises(UsageError) as refused:
        hpo.train_trial(hpo.TrainConfig(**settings), two_labels(), scoring=scoring)
    assert unmentioned(refused.value, *settings, *settings.values()) == []


@pytest.mark.parametrize("epochs", [0, -1, 2.5, 10_001])
def test_a_number_of_epochs_that_no_study_can_have_is_refused_at_the_call(epochs: Any) -> None:
    with pytest.raises(UsageError):
        hpo.train_trial(hpo.TrainConfig(), "digits", epochs=epochs)


@pytest.mark.parametrize("dataset", DATASETS.names())
def test_the_default_configuration_suits_every_dataset(dataset: str) -> None:
    assert problems_on(hpo.TrainConfig(), find_dataset(dataset), hpo.Scoring()) == []


@pytest.mark.slow
def test_one_configuration_trains_without_a_study() -> None:
    config = hpo.TrainConfig(loss="cross_entropy", optimizer="adam", learning_rate=1e-3)
    reports = api.train_trial(config, "digits", epochs=2, scoring=hpo.Scoring(rows="holdout"), device="cpu")
    assert [report.epoch for report in reports] == [1, 2]


TAKES_A_STUDY = [
    function
    for name in hpo.__all__
    if isinstance(function := getattr(hpo, name), FunctionType)
    and next(iter(inspect.signature(function).parameters), "") == "study"
]


@pytest.mark.parametrize("function", TAKES_A_STUDY, ids=lambda function: function.__name__)
@pytest.mark.parametrize("wrong", ["from-python", None])
def test_what_takes_a_study_refuses_anything_else_in_a_sentence(function: Callable[..., Any], wrong: object) -> None:
    with pytest.raises(UsageError, match=r"hpo\.open_study"):
        function(wrong)


def test_the_functions_that_take_a_study_are_found() -> None:
    assert {hpo.best, hpo.run_worker, hpo.report} <= set(TAKES_A_STUDY)


def test_overrides_may_be_lists_and_dictionaries() -> None:
    changes = {"space.margin": {"low": 0.2, "high": 0.5, "log": True}, "search.rungs": [{"folds": 1, "epochs": 2}]}
    spec = hpo.load_spec("digits", {**changes, "scoring.rows": "kfold", "scoring.folds": 3})
    assert spec.space["margin"] == FloatRange(low=0.2, high=0.5, log=True)
    assert not isinstance(spec.search.rungs, str)
    assert [(rung.folds, rung.epochs) for rung in spec.search.rungs] == [(1, 2)]
    with pytest.raises(UsageError, match=r"space\.margin"):
        hpo.load_spec("digits", {"space.margin": {"low": None}})


@pytest.mark.parametrize(
    "call",
    [
        lambda: hpo.methods(None),
        lambda: hpo.load_spec(None),
        lambda: hpo.create_study({"dataset": "digits"}),
        lambda: hpo.create_study("digits", start_from=[3]),  # type: ignore[list-item]  # what is tested
        lambda: hpo.launch(None),
        lambda: hpo.open_study(None),
        lambda: hpo.train_trial({"loss": "aucm_v2"}, "digits"),
        lambda: hpo.train_trial(hpo.TrainConfig(), None),
        lambda: hpo.train_trial(hpo.TrainConfig(), "digits", scoring="holdout"),
        lambda: hpo.open_study("first", storage=Path("hpo.sqlite3")),
        lambda: hpo.create_study("digits", storage=Path("hpo.sqlite3")),
        lambda: hpo.create_study("digits", name=3),
        lambda: hpo.launch("digits", device=0),
        lambda: hpo.load_spec("digits", ["budget.trials=3"]),
        lambda: hpo.create_study("digits", start_from=3),
        lambda: hpo.create_study("digits", start_from=Path("first")),
        lambda: hpo.launch("digits", reporters="tensorboard=events"),
        lambda: hpo.launch("digits", reporters=None),
        lambda: hpo.launch("digits", hours="two"),
        lambda: hpo.launch("digits", device=None),
        lambda: hpo.launch("digits", data_dir=3),
        lambda: hpo.methods("digits", "ema"),
        lambda: hpo.methods("digits", [3]),  # type: ignore[list-item]
        lambda: hpo.train_trial(hpo.TrainConfig(), "digits", seed="one"),
        lambda: hpo.train_trial(hpo.TrainConfig(), "digits", seed=-1),
    ],
)
@pytest.mark.usefixtures("storage")
def test_arguments_of_other_types_are_refused_in_a_sentence(call: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda study: hpo.report(study, out=3),
        lambda study: hpo.report(study, results=3),
        lambda study: hpo.finalize(study, results=3),
        lambda study: hpo.finalize(study, reopen=None),
        lambda study: hpo.run_worker(study, device=None),
        lambda study: hpo.run_worker(study, reporters="tensorboard=events"),
        lambda study: hpo.run_worker(study, reporters=[hpo.Reporter]),  # type: ignore[list-item]
        lambda study: hpo.run_worker(study, reporters=hpo.Reporter()),
        lambda study: hpo.run_worker(study, checkpoint_dir=3),
        lambda study: hpo.run_worker(study, data_dir=3),
    ],
)
def test_arguments_of_other_types_beside_a_study_are_refused(storage: str, call: Callable[[Any], object]) -> None:
    study = hpo.create_study("digits", storage, "first")
    with pytest.raises(UsageError):
        call(study)


def test_numbers_and_arrays_of_numpy_are_taken_as_those_of_python(storage: str) -> None:
    changes = {"budget.epochs": np.int64(4), "fixed.margin": np.float32(0.5), "search.references": np.bool_(False)}
    changes |= {"space.batch_size.choices": np.array([16, 32]), "space.input_size.choices": range(14, 29, 14)}
    spec = hpo.load_spec("digits", {**changes, "space.learning_rate.choices": pd.Series([1e-3, 1e-2])})
    assert (spec.budget.epochs, spec.fixed["margin"], spec.search.references) == (4, 0.5, False)
    assert spec.space["batch_size"] == Choices(choices=(16, 32))
    study = hpo.create_study(make_spec(2), storage, "first", trials=np.int64(3))
    assert study.spec.budget.trials == 3
    hpo.run_worker(study, trainer=FakeTrainer(), limit=np.int64(3))
    wishes = {"top": np.int64(1), "seeds": np.int64(2), "per_family": np.int64(0)}
    assert hpo.confirm(study, trainer=FakeTrainer(), **wishes).repeats == 2


def test_numbers_that_are_not_finite_are_out_of_range_and_not_text(tmp_path: Path) -> None:
    for number in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(StudyFileError, match="range"):
            hpo.load_spec("digits", {"fixed.learning_rate": number})


def test_texts_of_overrides_may_have_any_letters() -> None:
    start = {"name": 'ä \U0001f600 "quoted"', "learning_rate": 1e-3}
    spec = hpo.load_spec("digits", {"space.learning_rate": {"low": 1e-4, "high": 1e-2}, "start": [start]})
    assert [one.name for one in spec.start] == [start["name"]]


def test_a_new_study_starts_from_studies_that_a_generator_names(storage: str) -> None:
    study = hpo.create_study(make_spec(3), storage, "first")
    hpo.run_worker(study, trainer=FakeTrainer())
    second = hpo.create_study(make_spec(3), storage, "second", start_from=(name for name in ["first"]), start_top=1)
    assert [start.name.partition(" ")[0] for start in second.spec.start] == ["first"]


def test_the_path_of_a_data_file_may_be_a_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        hpo.train_trial(hpo.TrainConfig(), tmp_path / "none.npz")
    for name in ("none.npz", "none.npz:3"):
        with pytest.raises(DataError, match="does not exist"):
            hpo.load_spec(tmp_path / name)


def test_methods_of_a_name_that_is_a_file_without_its_ending_name_the_file(storage: str) -> None:
    hpo.create_study("digits", storage=storage, name="first")
    Path("mine.npz").touch()
    with pytest.raises(StudyNotFoundError, match=r"mine\.npz"):
        hpo.methods("mine", storage=storage)


def test_a_study_is_pickled_with_its_database(tmp_path: Path) -> None:
    study = hpo.create_study("digits", storage=f"sqlite:///{tmp_path}/s.sqlite3", name="pickled")
    copy = pickle.loads(pickle.dumps(study))
    assert isinstance(copy, hpo.Study)
    assert hpo.best(copy).trials == hpo.best(study).trials
