"""The worker: claims a trial, trains it, stores how it ended, takes the next."""

from __future__ import annotations

import contextlib
import logging
import random
from dataclasses import dataclass
from typing import Literal

from hpo.control import Control, Stop, StopReason, StopWatch
from hpo.errors import DataError, HpoError
from hpo.search.database.optuna_mirror import Drawn
from hpo.search.queue.claiming import NothingToClaim, claim, release, store_record
from hpo.search.queue.lease import Claim
from hpo.search.queue.reporting import LeaseLost, Outcome, finish, record_report
from hpo.search.queue.workers import StopRequest, WorkerIdentity, check_in, end_worker, register_worker
from hpo.search.strategy.sampler import suggest
from hpo.search.strategy.seeds import seeds_of
from hpo.search.study import Study, unfinished
from hpo.search.worker.deadline import Deadline, seconds_to_get_anywhere
from hpo.search.worker.heartbeat import Heartbeat
from hpo.search.worker.trainer import Task, Trainer
from hpo.study.planned import planned_trial
from hpo.study.record import Provenance, ResourceUsage, TrialRecord
from hpo.training.machine.limits import ProcessTainted
from hpo.training.machine.usage import UsageMeter
from hpo.training.report import EpochReport

POLL_SECONDS = (2.0, 10.0)
"""How often a worker with nothing to do asks whether a trial has come free: at first, and after a while."""

Ending = Literal["done", "limit"] | StopReason
"""Why a worker took no further trial: the study is finished, its limit is reached, or it was asked to stop."""

_DESCRIPTIONS: dict[Ending, str] = {
    "done": "no trials left",
    "limit": "its limit of trials is reached",
    StopReason.SIGNAL: "interrupted",
    StopReason.PARENT: "interrupted: the process that started it is gone",
    StopReason.DRAIN: "stopped by `hpo stop`",
    StopReason.DRAIN_NOW: "stopped by `hpo stop --now`",
    StopReason.DEADLINE: "its job ends too soon for another trial",
    StopReason.MEMORY: "memory was refused to its process",
}

_log = logging.getLogger(__name__)


class _Released(Exception):  # noqa: N818 - an event, not an error
    """The trial ended early, with its checkpoint saved, because a stop was requested."""


@dataclass(frozen=True)
class WorkerSummary:
    """What one worker did. finished counts complete, pruned and failed; ended: why it took no further trial."""

    finished: int
    pruned: int
    failed: int
    ended: Ending

    @property
    def interrupted(self) -> bool:
        """Whether it ended before its study did, without having been drained: it should be started again."""
        return isinstance(self.ended, StopReason) and self.ended not in (StopReason.DRAIN, StopReason.DRAIN_NOW)

    @property
    def description(self) -> str:
        """Why it ended, for a reader."""
        return _DESCRIPTIONS[self.ended]


def run_worker(
    study: Study,
    *,
    identity: WorkerIdentity,
    train: Trainer,
    stop: Stop | None = None,
    limit: int | None = None,
    wait: bool = True,
    deadline: Deadline | None = None,
) -> WorkerSummary:
    """Train trials until the budget is spent, `limit` trials are done, or a stop is requested.

    Args:
        study: what to work on.
        identity: who this worker is, see `this_process`.
        train: trains one trial and reports each epoch.
        stop: may be requested from a signal handler or another thread; the trial is then released with its checkpoint.
        limit: number of trials after which to end.
        wait: whether to stay while the rest of the budget runs elsewhere, to resume a trial whose worker dies.
        deadline: when the job that this worker runs in ends.

    Raises:
        StudyStoppedError: too many trials failed.
        StorageError: the database is out of reach for too long.
        Exception: a bug in training passes through, after the trial has been released.
    """
    stop = stop or Stop()
    conditions = {} if deadline is None else {StopReason.DEADLINE: lambda: deadline.seconds_left() <= 0}
    with StopWatch(stop, conditions) as watch:
        return _Worker(study, identity, train, watch, deadline).run(limit, wait)


class _Worker:
    def __init__(
        self,
        study: Study,
        identity: WorkerIdentity,
        train: Trainer,
        watch: StopWatch,
        deadline: Deadline | None,
    ) -> None:
        self._study, self._name, self._train = study, identity.name, train
        self._watch, self._stop, self._deadline = watch, watch.stop, deadline
        self._outcomes: list[Outcome] = []
        self._started = register_worker(study, identity)

    def run(self, limit: int | None, wait: bool) -> WorkerSummary:
        """Works until there is a reason to end; the end and its reason are written down."""
        try:
            self._tidy()
            ended = self._work(limit, wait)
        except BaseException as error:
            message = str(error) if isinstance(error, HpoError) else f"{type(error).__name__}: {error}"
            with contextlib.suppress(Exception):
                self._end(message)
            raise
        count = self._outcomes.count
        summary = WorkerSummary(len(self._outcomes), count("pruned"), count("failed"), ended)
        self._end(summary.description)
        return summary

    def _end(self, message: str) -> None:
        end_worker(self._study, self._name, finished=len(self._outcomes), message=message)

    def _work(self, limit: int | None, wait: bool) -> Ending:
        polls = 0
        while limit is None or len(self._outcomes) < limit:
            message = "waits for trials of other workers" if polls else "takes the next trial"
            asked = check_in(self._study, self._name, self._started, finished=len(self._outcomes), message=message)
            self._check_whether_to_stop(asked)
            if self._stop.requested and self._stop.reason is not None:
                return self._stop.reason
            held = claim(self._study, self._name)
            if held is NothingToClaim.ELSEWHERE and wait:
                polls += 1
                pause = min(POLL_SECONDS[0] * polls, POLL_SECONDS[1], self._study.lease / 2)
                self._stop.wait(pause * random.uniform(0.7, 1.3))
                continue
            if isinstance(held, NothingToClaim):
                return "done"
            polls = 0
            try:
                self._outcomes.append(self._run_trial(held))
            except LeaseLost:
                _log.warning("trial %d: lease lost to another worker; dropped here", held.number)
            except _Released:
                _log.info("trial %d: released", held.number)
        return "limit"

    def _check_whether_to_stop(self, asked: StopRequest | None) -> None:
        """Request a stop for what is only looked at between two trials."""
        if asked is not None:
            self._stop.request(StopReason.DRAIN)
        if self._train.needs_restart():
            self._stop.request(StopReason.MEMORY)
        if self._deadline is not None and not self._stop.requested:
            needed = seconds_to_get_anywhere(self._study, keeps_checkpoints=self._train.checkpoints is not None)
            if self._deadline.seconds_left() < needed:
                self._stop.request(StopReason.DEADLINE)

    def _run_trial(self, held: Claim) -> Outcome:
        record = held.record
        before = ResourceUsage() if record is None else record.usage
        meter = UsageMeter(before, self._train.energy, self._train.peak_memory)
        try:
            with Heartbeat(held, self._started, self._stop) as heart:
                record = self._begin_record(held)
                outcome, last, reason = self._train_trial(held, record, heart, meter)
                record = record.model_copy(update={"usage": meter.read()})
                if last is not None and last.roc:
                    record = record.model_copy(update={"roc": tuple(round(rate, 4) for rate in last.roc)})
                if not finish(held, outcome, last, record, reason):
                    raise LeaseLost
        except LeaseLost:
            raise
        except BaseException as error:
            if record is not None:
                record = record.model_copy(update={"usage": meter.read()})
            self._release(held, record)
            if isinstance(error, KeyboardInterrupt):
                self._stop.request(StopReason.SIGNAL)
                raise _Released from None
            if isinstance(error, ProcessTainted):
                self._stop.request(StopReason.MEMORY)
                raise _Released from None
            raise
        _log.info("%s", _describe_end(held, outcome, last, reason))
        self._tidy()
        return outcome

    def _begin_record(self, held: Claim) -> TrialRecord:
        """Store the record of a new trial, or of another attempt at one. Raises LeaseLost, StorageError."""
        provenance = self._train.provenance
        drawn: Drawn = {}
        if held.record is None:
            record = _new_record(held, provenance, drawn)
        else:
            # Refuse a configuration of another version of hpo before anything is written.
            held.record.train_config(held.study.trial_name(held.number))
            record = held.record.model_copy(update={"provenance": provenance, "lives": held.fence})
        if not store_record(held, record, self._train.checkpoints, drawn):
            raise LeaseLost
        return record

    def _train_trial(
        self, held: Claim, record: TrialRecord, heart: Heartbeat, meter: UsageMeter
    ) -> tuple[Outcome, EpochReport | None, str]:
        train = self._train
        _log.info("%s", _describe_start(held))

        def progress(share: float) -> None:
            self._watch.poll()
            heart.progress(share)

        task = Task(
            record.train_config(held.study.trial_name(held.number)),
            record.seeds.trial_seed,
            held.number,
            held.fence,
            control=Control(self._stop, progress),
            kept_at=held.checkpoint,
            scoring_seed=record.seeds.scoring_seed,
        )
        last: EpochReport | None = None
        try:
            for last in train(task):
                if not record_report(held, last):
                    return "pruned", last, ""
                meter.read()
                progress(last.epoch / held.study.spec.budget.epochs)
        except (train.failure, DataError) as failure:
            # The data were read before: what training says of them is the doing of this configuration's resplit.
            return "failed", last, str(failure)
        if self._stop.requested and (last is None or last.epoch < held.study.spec.budget.epochs):
            raise _Released
        return "complete", last, ""

    def _release(self, held: Claim, record: TrialRecord | None) -> None:
        try:
            release(held, record)
        except HpoError as error:
            _log.warning("trial %d: could not be released, its lease will expire: %s", held.number, error)

    def _tidy(self) -> None:
        """Removes the checkpoints of trials that have ended, here or on another host."""
        for number in sorted(self._train.kept() - unfinished(self._study)):
            self._train.forget(number)


def _new_record(held: Claim, provenance: Provenance, drawn: Drawn) -> TrialRecord:
    """Make the record of a new trial; what was drawn for it goes into `drawn`."""
    spec, study_seed = held.study.spec, held.study.spec.search.seed
    planned = planned_trial(spec, held.place)
    if planned is None:
        suggestion = suggest(held.study, held.number)
        params, config = suggestion.values, spec.config(suggestion.values)
        drawn |= suggestion.drawn
    else:
        params, config = {} if planned.is_reference else spec.searched_values(planned.config), planned.config
    repeat = None if planned is None else planned.repeat
    return TrialRecord(
        config=config.model_dump(),
        params=params,
        seeds=seeds_of(study_seed, held.number, planned),
        candidate=None if planned is None or repeat is None else planned.name,
        repeat=None if repeat is None else repeat + 1,
        provenance=provenance,
        lives=held.fence,
    )


def _describe_start(held: Claim) -> str:
    text = f"trial {held.number}: " + ("starts" if held.fence == 1 else "resumes")
    planned = planned_trial(held.study.spec, held.place)
    if planned is None:
        return text
    name = f"reference {planned.name}" if planned.is_reference else planned.name
    return text + (f" ({name})" if planned.repeat is None else f" ({name}, repeat {planned.repeat + 1})")


def _describe_end(held: Claim, outcome: Outcome, last: EpochReport | None, reason: str) -> str:
    text = f"trial {held.number}: {outcome}"
    if last is not None:
        text += f" after {last.epoch} of {held.study.spec.budget.epochs} epochs, AUC {last.auc:.4f}"
    return text + (f" ({reason})" if reason else "")
