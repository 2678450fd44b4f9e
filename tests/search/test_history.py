"""What the sampler knows of a study's past is what Optuna's own storage would tell it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import FrozenTrial

from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.database.optuna_mirror import Drawn, optuna_tables
from hpo.search.queries.listing import list_studies
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_trials
from hpo.search.queue.claiming import release, store_record
from hpo.search.queue.lease import Claim
from hpo.search.queue.reporting import finish, record_report
from hpo.search.queue.workers import this_process
from hpo.search.strategy.sampler import Suggestion, _history_of, make_sampler, suggest
from hpo.search.study import Study, open_study
from hpo.search.worker.loop import run_worker
from hpo.study.config import applies
from hpo.study.space import Choices, FloatRange, IntRange, suggestion_order
from hpo.study.spec import Budget, Search, StudySpec
from hpo.testing.trainer import FakeTrainer, make_record, make_report, make_spec
from hpo.testing.trials import claimed

ROOT = Path(__file__).parents[2]

TRIALS, EPOCHS, WORKERS = 40, 8, 3

# fmt: off
LEARNING_RATES = (
    0.004576393766364975, 0.04429400433890269, 0.00024221480969863866, 0.1509158212800116,
    0.05189124731760821, 0.0011194997942648745, 0.0007245044453715017, 0.17835921625635753,
    0.0832371788939317, 0.021256568666781474, 0.05259570816617725, 0.0001363410700658726,
    0.021725319113536378, 0.019650758177783494, 0.00011186609682788903, 0.0424283333857661,
    0.06843913479018524, 0.0936015672599056, 0.0004370994492003053, 0.00806293392194583,
    0.10686279887351183, 0.0009535832793556897, 0.00039918774744949597, 0.00012710725413199998,
    0.0002634621054260883, 0.035680473478433866, 0.0006604832982899323, 0.0035259446668283955,
    0.029493894633423296, 0.0038391536046465218, 0.0032948597831964255, 0.00152085973922672,
    0.09253941249421359, 0.00011036277837761473, 0.0008426094035489647, 0.00018976848234740853,
    0.07674991784468237, 0.0005578696011210375,
    )
# fmt: on
"""Of the 38 trials after the two references, as drawn when the sampler still read Optuna's tables."""


ASHA: dict[str, Any] = {"pruner": "asha", "rungs": "epochs", "first_rung": 2, "reduction": 2}


def _spec(sampler: str) -> StudySpec:
    return StudySpec(
        dataset="breast",
        search=Search(sampler=sampler, startup_trials=6, references=sampler == "random", **ASHA),
        budget=Budget(trials=TRIALS, epochs=EPOCHS),
        fixed={"schedule": "constant"},
        space={
            "learning_rate": FloatRange(low=1e-4, high=0.3, log=True),
            "weight_decay": FloatRange(low=1e-6, high=1e-2, log=True),
            "loss": Choices(choices=("aucm_v1", "cross_entropy")),
            "margin": FloatRange(low=0.1, high=1.0),
            "batch_size": IntRange(low=16, high=128, log=True),
            "augmentation": Choices(choices=("none", "flip")),
        },
    )


def _auc(params: dict[str, Any], epoch: int) -> float:
    distance = abs(math.log10(params.get("learning_rate", 0.01)) + 2) + abs(params.get("margin", 0.5) - 0.3)
    return 0.95 - 0.1 * distance - 0.2 / epoch - 0.0001 * params.get("batch_size", 64)


def _end(held: Claim, params: dict[str, Any]) -> None:
    """Train a trial to its end: every seventh fails, the others end complete or pruned."""
    record = make_record({}, {} if held.baseline else params)
    last = None
    for epoch in range(1, EPOCHS + 1):
        if held.number % 7 == 6 and epoch == 3:
            finish(held, "failed", last, record, "diverged")
            return
        last = make_report(epoch, _auc(params, epoch))
        if not record_report(held, last):
            finish(held, "pruned", last, record)
            return
    finish(held, "complete", last, record)


def _simulate(study: Study, check: Callable[[Study, Claim, Suggestion], None] = lambda *_: None) -> list[Suggestion]:
    """Draw and end all trials, with WORKERS of them running at once; the youngest ends first every fourth time."""
    running: list[tuple[Claim, dict[str, Any]]] = []
    drawn = []
    for step in range(TRIALS):
        held = claimed(study, f"w{step % WORKERS}")
        params: dict[str, Any] = {}
        if not held.baseline:
            suggestion = suggest(study, held.number)
            check(study, held, suggestion)
            params = suggestion.values
            assert store_record(held, make_record({}, params), drawn=suggestion.drawn)
            drawn.append(suggestion)
        record_report(held, make_report(1, _auc(params, 1)))
        running.append((held, params))
        if len(running) == WORKERS:
            _end(*running.pop(-1 if step % 4 == 3 else 0))
    return drawn


def _drawn_by_optuna(study: Study, held: Claim) -> Drawn:
    """Draw a trial on Optuna's own storage, and leave no trace there."""
    values: dict[str, Any] = {}
    study.database.optuna.get_all_trials(study.study_id)  # Optuna's cache knows no trial before.
    view = optuna.load_study(
        study_name=study.name, storage=study.database.optuna, sampler=make_sampler(study.spec, held.number)
    )
    trial = optuna.trial.Trial(view, held.trial_id)
    for name in suggestion_order(study.spec.space):
        if applies(name, {**study.spec.fixed, **values}):
            entry = study.spec.space[name]
            if isinstance(entry, Choices):
                values[name] = trial.suggest_categorical(name, entry.choices)
            elif isinstance(entry, IntRange):
                values[name] = trial.suggest_int(name, entry.low, entry.high, log=entry.log)
            else:
                values[name] = trial.suggest_float(name, entry.low, entry.high, log=entry.log)
    drawn = study.database.optuna.get_trial(held.trial_id)
    with study.database.engine.begin() as connection:
        for table in ("trial_params", "trial_system_attributes"):
            of_trial = optuna_tables()[table].c.trial_id == held.trial_id
            connection.execute(sa.delete(optuna_tables()[table]).where(of_trial))
    return {name: (kind.to_internal_repr(drawn.params[name]), kind) for name, kind in drawn.distributions.items()}


def _check(study: Study, held: Claim, suggestion: Suggestion) -> None:
    assert suggestion.drawn == _drawn_by_optuna(study, held)
    assert suggest(study, held.number) == suggestion


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["optuna:TPESampler", "random"])
def test_what_is_drawn_is_what_optuna_draws_on_its_own_storage_to_the_last_bit(
    database: Database, sampler: str
) -> None:
    study = create_or_open(database, "study", _spec(sampler))
    drawn = _simulate(study, _check)
    if sampler == "random":
        rates = [suggestion.values["learning_rate"] for suggestion in drawn]
        assert rates == pytest.approx(LEARNING_RATES, rel=1e-9)
    outcomes = {row.state for row in read_trials(study)}
    assert outcomes >= {"complete", "pruned", "failed", "running"}


FIELDS = ("number", "state", "values", "params", "distributions", "intermediate_values")


def _compared(trials: list[FrozenTrial]) -> list[list[Any]]:
    return [[getattr(trial, field) for field in FIELDS] for trial in trials]


def test_finished_trials_are_read_once_and_are_those_in_optunas_tables(any_database: Database, name: str) -> None:
    study = create_or_open(any_database, name, make_spec(9))

    def both() -> tuple[list[FrozenTrial], list[FrozenTrial]]:
        history = _history_of(study)
        any_database.read(history.refresh)
        return history.get_all_trials(0, deepcopy=False), any_database.optuna.get_all_trials(study.study_id)

    assert both() == ([], [])
    run_worker(study, identity=this_process("w"), train=FakeTrainer(), limit=4)
    held = claimed(study, "running")
    first, shown = both()
    assert _compared(first) == _compared(shown)
    assert [trial.state.name for trial in first] == [*["COMPLETE"] * 4, "RUNNING"]
    run_worker(study, identity=this_process("w"), train=FakeTrainer(fails=lambda _: True), limit=2)
    release(held)
    run_worker(study, identity=this_process("w"), train=FakeTrainer(), limit=1)
    second, shown = both()
    assert _compared(second) == _compared(shown)
    assert len(second) == 7
    assert second[0] is first[0]


def test_a_trial_that_was_made_through_optuna_takes_a_number_of_its_own_and_teaches_nothing(
    any_database: Database, name: str
) -> None:
    study = create_or_open(any_database, name, make_spec(9))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(), limit=2)
    optuna.load_study(study_name=name, storage=any_database.optuna).enqueue_trial({"learning_rate": 0.01})
    assert read_status(study).foreign == [2]
    held = claimed(study)
    assert (held.slot, held.number) == (2, 3)
    suggest(study, held.number)
    trials = _history_of(study).get_all_trials(0)
    assert [(trial.number, trial.state.name) for trial in trials[2:]] == [(2, "FAIL"), (3, "RUNNING")]
    assert trials[2].params == {}


def test_a_study_that_has_the_number_of_a_deleted_one_does_not_have_its_trials(database: Database) -> None:
    study = create_or_open(database, "first", make_spec(9))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(), limit=3)
    optuna.delete_study(study_name="first", storage=database.optuna)
    other = create_or_open(database, "second", make_spec(9))
    assert other.study_id == study.study_id
    suggest(other, claimed(other).number)
    assert len(_history_of(other).get_all_trials(0)) == 1


def test_a_database_of_before_teaches_the_sampler(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs/results/adrenal3d/study.sqlite3", tmp_path / "old.sqlite3")
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/old.sqlite3"), create=False)
    (study, *_) = [open_study(database, row.name) for row in list_studies(database)]
    history = _history_of(study)
    database.read(history.refresh)
    shown = database.optuna.get_all_trials(study.study_id)
    # The baselines, trials 0 and 1, do not teach the sampler.
    assert _compared(history.get_all_trials(0))[2:] == _compared(shown)[2:]
    assert [trial.state.name for trial in history.get_all_trials(0)[:2]] == ["FAIL", "FAIL"]
    database.close()
