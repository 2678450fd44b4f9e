"""What Optuna 5.0's RDBStorage does that hpo works around; a failure here says that a workaround may go."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage

from hpo.search.database.optuna_mirror import optuna_tables


def test_an_address_goes_through_str_format(tmp_path: Path) -> None:
    with pytest.raises((KeyError, IndexError)):
        RDBStorage(f"sqlite:///{tmp_path}/{{}}.db")


def test_on_sqlite_for_update_is_dropped() -> None:
    query = sa.select(optuna_tables()["studies"]).with_for_update()
    assert "FOR UPDATE" not in str(query.compile(dialect=sa.create_engine("sqlite://").dialect))


def test_max_trials_callback_counts_after_the_fact() -> None:
    study = optuna.create_study()
    callback = optuna.study.MaxTrialsCallback(2)
    for _ in range(2):
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2, callbacks=[callback])
    assert len(study.trials) > 2


def test_telling_a_trial_that_has_ended_raises() -> None:
    study = optuna.create_study()
    trial = study.ask()
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    with pytest.raises(ValueError, match=r"\bFAIL\b"):
        study.tell(trial, 1.0)


def test_a_trial_can_be_attached_to_again_and_keeps_its_parameters(tmp_path: Path) -> None:
    study = optuna.create_study(storage=f"sqlite:///{tmp_path}/a.db")
    trial = study.ask()
    drawn = trial.suggest_float("x", 0, 1)
    again = optuna.trial.Trial(optuna.load_study(study_name=study.study_name, storage=study._storage), trial._trial_id)
    assert (again.number, again.suggest_float("x", 0, 1)) == (0, drawn)
