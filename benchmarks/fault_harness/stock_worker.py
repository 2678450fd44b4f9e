"""One worker of stock Optuna as its documents say: heartbeat, retry of stale trials, MaxTrialsCallback."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import optuna
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import MaxTrialsCallback
from optuna.trial import FrozenTrial, Trial, TrialState

from benchmarks.fault_harness.clocks import skew_clock
from benchmarks.fault_harness.journal import Journal
from benchmarks.fault_harness.orders import Orders, stand_in_auc

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def open_storage(address: str, lease: float, *, create: bool = False) -> RDBStorage:
    """Optuna's storage with its heartbeat, and with patience for SQLite and a pre-ping, which are not its defaults."""
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sqlite = address.startswith("sqlite")
    return RDBStorage(
        address,
        engine_kwargs={"connect_args": {"timeout": 60}} if sqlite else {"pool_pre_ping": True},
        heartbeat_interval=max(1, round(lease / 3)),
        grace_period=max(1, round(lease)),
        heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
        skip_table_creation=not create,
    )


def work(orders: Orders) -> int:
    """Optimizes until MaxTrialsCallback says so; an error comes out, SIGTERM ends it as it ends any process."""
    journal = Journal(Path(orders.journals), orders.worker)
    skew_clock(orders.clock_offset)
    study = optuna.load_study(
        study_name=orders.study,
        storage=open_storage(orders.address, orders.lease),
        sampler=optuna.samplers.RandomSampler(),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=3),
    )

    def objective(trial: Trial) -> float:
        journal.note("begin", trial=trial.number)
        trial.suggest_float("learning_rate", 1e-4, 0.3, log=True)
        trial.suggest_categorical("batch_size", (32, 64, 128))
        auc = 0.0
        for epoch in range(1, orders.epochs + 1):
            time.sleep(orders.epoch_seconds)
            auc = stand_in_auc(trial.number, epoch)
            trial.report(auc, epoch)
            if trial.should_prune():
                journal.note("trained", trial=trial.number)
                raise optuna.TrialPruned
        journal.note("trained", trial=trial.number)
        return auc

    def told(_: optuna.Study, trial: FrozenTrial) -> None:
        if trial.state in FINISHED:
            journal.note("finish", trial=trial.number)

    study.optimize(objective, callbacks=[told, MaxTrialsCallback(orders.trials, states=FINISHED)])
    return 0
