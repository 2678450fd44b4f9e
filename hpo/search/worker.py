"""The worker: claims a trial, trains it, tells how it ended, takes the next."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hpo.errors import DataError, StorageError
from hpo.search.budget import Claim, NothingToClaim, claim, release, renew, store_record
from hpo.search.objective import LeaseLost, Outcome, finish, record_report
from hpo.search.seeds import trial_seed
from hpo.search.study import Study
from hpo.search.suggest import suggest
from hpo.search.trainer import Report, Trainer, make_trainer
from hpo.study.config import TrainConfig
from hpo.study.references import references

__all__ = ["Interrupted", "WorkerSummary", "make_trainer", "run_worker"]

POLL_SECONDS = 2.0
"""How often a worker with nothing to do asks whether a trial has come free."""


class Interrupted(Exception):  # noqa: N818 - an event, not an error
    """The worker was asked to stop; its trial has been given back."""


@dataclass(frozen=True)
class WorkerSummary:
    """What one worker did. finished counts complete, pruned and failed; interrupted: it was asked to stop."""

    finished: int
    pruned: int
    failed: int
    interrupted: bool


def run_worker(
    study: Study,
    *,
    worker: str,
    train: Trainer,
    stop: Callable[[], bool] = lambda: False,
    on_event: Callable[[str], None] = lambda _: None,
    limit: int | None = None,
    wait: bool = True,
) -> WorkerSummary:
    """Trains trials until the budget is spent, `limit` trials are done, or `stop` says so.

    wait: whether to stay while the rest of the budget runs elsewhere, to take up a trial whose worker dies.
    Raises StudyStoppedError, StorageError, and what is a bug in training, after giving the trial back.
    """
    ended: list[Outcome] = []
    interrupted = False
    while limit is None or len(ended) < limit:
        if interrupted := stop():
            break
        held = claim(study, worker)
        if held is NothingToClaim.ELSEWHERE and wait:
            _pause(min(POLL_SECONDS, study.lease / 2), stop)
            continue
        if isinstance(held, NothingToClaim):
            break
        try:
            ended.append(_run_trial(held, train, stop, on_event))
        except LeaseLost:
            on_event(f"trial {held.number}: its lease ran out and another worker has it; dropped")
        except Interrupted:
            on_event(f"trial {held.number}: given back")
            interrupted = True
            break
    return WorkerSummary(len(ended), ended.count("pruned"), ended.count("failed"), interrupted)


def _pause(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds * random.uniform(0.7, 1.3)
    while time.monotonic() < until and not stop():
        time.sleep(0.05)


def _run_trial(held: Claim, train: Trainer, stop: Callable[[], bool], on_event: Callable[[str], None]) -> Outcome:
    try:
        with _Heartbeat(held, stop) as heart:
            return _train(held, train, heart, on_event)
    except LeaseLost:
        raise
    except BaseException as error:
        _give_back(held, on_event)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted from None
        raise


def _give_back(held: Claim, on_event: Callable[[str], None]) -> None:
    try:
        release(held)
    except StorageError as error:
        on_event(f"trial {held.number}: could not be given back, its lease will run out: {error}")


def _train(held: Claim, train: Trainer, heart: _Heartbeat, on_event: Callable[[str], None]) -> Outcome:
    record = held.record or _new_record(held)
    config = TrainConfig.model_validate(record["config"])
    record |= {
        "code_version": train.code_version,
        "dirty": train.dirty,
        "environment": train.environment,
        "data_md5": train.data_md5,
    }
    if not store_record(held, record):
        raise LeaseLost
    on_event(f"trial {held.number}: begins" + (f" (reference {held.reference})" if held.reference else ""))
    began, reason = time.monotonic(), ""
    last: Report | None = None
    outcome: Outcome = "complete"
    try:
        for last in train(config, record["trial_seed"], heart.beat):
            if not record_report(held, last):
                outcome = "pruned"
                break
            heart.beat(last.epoch / held.study.spec.budget.epochs)
    except (train.failure, DataError) as failure:
        # The data were read before: what training says of them is the doing of this configuration's resplit.
        outcome, reason = "failed", str(failure)
    record |= {"seconds": time.monotonic() - began, "peak_memory": train.peak_memory()}
    if not finish(held, outcome, last, record, reason):
        raise LeaseLost
    on_event(_told(held, outcome, last, reason))
    return outcome


def _new_record(held: Claim) -> dict[str, Any]:
    spec = held.study.spec
    params = {} if held.reference else suggest(held.study, held.number, held.trial_id)
    config = references(spec)[held.reference] if held.reference else spec.config(params)
    seed = trial_seed(spec.search.seed, held.number)
    return {"config": config.model_dump(), "params": params, "study_seed": spec.search.seed, "trial_seed": seed}


def _told(held: Claim, outcome: Outcome, last: Report | None, reason: str) -> str:
    text = f"trial {held.number}: {outcome}"
    if last is not None:
        text += f" after {last.epoch} of {held.study.spec.budget.epochs} epochs, AUC {last.auc:.4f}"
    return text + (f" ({reason})" if reason else "")


class _Heartbeat:
    """Renews a lease from a thread beside the training loop, which calls `beat` at each step."""

    def __init__(self, held: Claim, stop: Callable[[], bool]) -> None:
        self._held, self._stop = held, stop
        self._share = 0.0
        self._lost = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hpo-lease", daemon=True)

    def __enter__(self) -> _Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def beat(self, share: float) -> None:
        """Notes how far the trial is, 0 to 1. Raises LeaseLost, or Interrupted if the worker is to stop."""
        self._share = share
        if self._lost.is_set():
            raise LeaseLost
        if self._stop():
            raise Interrupted

    def _run(self) -> None:
        while not self._over.wait(self._held.study.lease / 6):
            try:
                if not renew(self._held, self._share):
                    self._lost.set()
                    return
            except StorageError:
                # The database may come back before the lease runs out; a write in the loop says so if it does not.
                continue
