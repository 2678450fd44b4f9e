"""The worker's main loop: claim a trial, train it, store its outcome, repeat."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hpo.control import Control, Stop, StopReason, StopWatch
from hpo.errors import DataError, HpoError, StorageError, UsageError
from hpo.search.database.optuna_mirror import Drawn
from hpo.search.queries.trials import read_other_record
from hpo.search.queue.claiming import NothingToClaim, claim, release, store_record
from hpo.search.queue.lease import Claim
from hpo.search.queue.reporting import LeaseLost, Outcome, finish, folds_reported, record_report
from hpo.search.queue.workers import ALSO, StopRequest, WorkerIdentity, check_in, end_worker, register_worker
from hpo.search.strategy.pruner import stages_of
from hpo.search.strategy.sampler import suggest
from hpo.search.strategy.seeds import seeds_of
from hpo.search.study import Study, attempt_names, open_study, unfinished
from hpo.search.worker.deadline import Deadline, seconds_to_get_anywhere, standstill, with_job
from hpo.search.worker.description import describe_end, describe_start, reported
from hpo.search.worker.heartbeat import Heartbeat
from hpo.search.worker.reporter import Reporter, Reporters
from hpo.search.worker.trainer import NetworkTrainer, Task, Trainer
from hpo.study.planned import planned_trial, start_at
from hpo.study.record import Provenance, ResourceUsage, TrialRecord
from hpo.study.stages import Stage
from hpo.text import duration
from hpo.training.machine.limits import ProcessTainted
from hpo.training.machine.usage import UsageMeter
from hpo.training.report import EpochReport, NetworkEpoch

POLL_SECONDS = (2.0, 10.0)
"""Shortest and longest interval, in seconds, at which an idle worker polls for a free trial."""

LAST_SECONDS = 5.0
"""Seconds for which a worker that has given up on its database retries to release its trial and to say why it ends."""

Ending = Literal["done", "limit"] | StopReason
"""Why a worker ended: the study is finished, its limit of trials is reached, or a stop was requested."""

_DESCRIPTIONS: dict[Ending, str] = {
    "done": "no trials left",
    "limit": "its limit of trials is reached",
    StopReason.SIGNAL: "interrupted",
    StopReason.PARENT: "interrupted: its parent process has ended",
    StopReason.DRAIN: "stopped by `hpo stop`",
    StopReason.DRAIN_NOW: "stopped by `hpo stop --now`",
    StopReason.DEADLINE: "too little time left in its job for another trial",
    StopReason.MEMORY: "its process ran out of memory",
}

_log = logging.getLogger(__name__)


class _Released(Exception):  # noqa: N818 - an event, not an error
    """The trial ended early, with its checkpoint saved, because a stop was requested."""


@dataclass(frozen=True)
class WorkerSummary:
    """Summary of a worker's run.

    Attributes:
        finished: number of complete, pruned and failed trials.
        ended: why it ended.
    """

    finished: int
    pruned: int
    failed: int
    ended: Ending

    @property
    def interrupted(self) -> bool:
        """Whether it ended before the study was done, because a stop was requested."""
        return isinstance(self.ended, StopReason)

    @property
    def drained(self) -> bool:
        """Whether it was `hpo stop` that ended it, so that it should not be restarted."""
        return self.ended in (StopReason.DRAIN, StopReason.DRAIN_NOW)

    @property
    def description(self) -> str:
        """Why it ended, for the user."""
        return _DESCRIPTIONS[self.ended]


def run_worker(
    study: Study,
    *,
    identity: WorkerIdentity,
    train: Trainer | NetworkTrainer,
    stop: Stop | None = None,
    limit: int | None = None,
    wait: bool = True,
    deadline: Deadline | None = None,
    last_stop: float | None = None,
    reporters: Sequence[Reporter] = (),
) -> WorkerSummary:
    """Train trials until the budget is spent, `limit` trials are done, or a stop is requested.

    Args:
        study: what to work on.
        identity: of this worker, see `this_process`.
        train: trains one trial and reports each epoch.
        stop: may be requested from a signal handler or another thread; the trial is then released with its checkpoint.
        limit: number of trials after which to end.
        wait: whether to wait while other workers hold the rest of the budget, to resume a trial whose worker dies.
        deadline: end of the job that this worker runs in.
        last_stop: as for `register_worker`.
        reporters: told of every trial; they are closed at the end.

    Raises:
        StudyStoppedError: if too many trials failed.
        StorageError: if the database is unreachable for too long.
        Exception: any bug in training, after the trial has been released.
    """
    stop = stop or Stop()
    conditions = {} if deadline is None else {StopReason.DEADLINE: lambda: deadline.seconds_left() <= 0}
    told = Reporters(reporters)
    try:
        with StopWatch(stop, conditions) as watch:
            return _Worker(study, identity, train, watch, deadline, last_stop, told).run(limit, wait)
    finally:
        told.close()


class _Worker:
    def __init__(
        self,
        study: Study,
        identity: WorkerIdentity,
        train: Trainer | NetworkTrainer,
        watch: StopWatch,
        deadline: Deadline | None,
        last_stop: float | None,
        told: Reporters,
    ) -> None:
        self._told = told
        self._study, self._name, self._train = study, identity.name, train
        self._watch, self._stop, self._deadline = watch, watch.stop, deadline
        self._outcomes: list[Outcome] = []
        self._started = register_worker(study, identity, last_stop)

    def run(self, limit: int | None, wait: bool) -> WorkerSummary:
        """Work until there is a reason to end, and store the reason."""
        try:
            self._tidy()
            ended = self._work(limit, wait)
        except BaseException as error:
            message = str(error) if isinstance(error, HpoError) else f"{type(error).__name__}: {error}"
            if isinstance(error, StorageError):
                self._give_up()
            with contextlib.suppress(Exception):
                self._end(message)
            raise
        count = self._outcomes.count
        summary = WorkerSummary(len(self._outcomes), count("pruned"), count("failed"), ended)
        self._end(summary.description)
        return summary

    def _end(self, message: str) -> None:
        message = ALSO.join([message, *self._told.dropped])
        end_worker(self._study, self._name, finished=len(self._outcomes), message=message)

    def _work(self, limit: int | None, wait: bool) -> Ending:
        polls = 0
        while limit is None or len(self._outcomes) < limit:
            message = "waiting for trials of other workers" if polls else "claiming the next trial"
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
            if held is NothingToClaim.CHANGED:
                self._study = open_study(self._study.database, self._study.name, lease=self._study.lease)
                _log.info("the study has been extended; the next trial is of its new space")
                continue
            if isinstance(held, NothingToClaim):
                # Its own, too: of a trial that it lost, and another worker finished before it had written the last one.
                self._tidy()
                return "done"
            polls = 0
            try:
                self._outcomes.append(self._run_trial(held))
            except LeaseLost:
                self._told.end("lost")
                _log.warning("trial %d: lease lost to another worker; dropped here", held.number)
            except _Released:
                self._told.end("released")
                _log.info("trial %d: released", held.number)
        return "limit"

    def _check_whether_to_stop(self, asked: StopRequest | None) -> None:
        """Request a stop for reasons that are checked only between two trials."""
        if asked is not None:
            self._stop.request(StopReason.DRAIN)
        if self._train.needs_restart():
            self._stop.request(StopReason.MEMORY)
        if self._deadline is not None and not self._stop.requested:
            keeps = self._train.checkpoints is not None
            needed = seconds_to_get_anywhere(self._study, keeps_checkpoints=keeps, job=self._deadline.seconds)
            if self._deadline.seconds_left() < needed:
                if self._deadline.seconds - self._deadline.margin < needed:
                    _log.warning(
                        "a job of %s trains no trial, which takes %s without checkpoints; submit with a longer --time, "
                        "or with a --checkpoint-dir",
                        *(duration(self._deadline.seconds), duration(needed)),
                    )
                self._stop.request(StopReason.DEADLINE)

    def _run_trial(self, held: Claim) -> Outcome:
        record = held.record
        before = ResourceUsage() if record is None else record.usage
        meter = UsageMeter(before, self._train.energy, self._train.peak_memory)
        heart = Heartbeat(held, self._started, self._stop)
        try:
            with heart:
                record = self._begin_record(held)
                self._told.begin(reported(held, record, self._name))
                outcome, last, reason = self._train_trial(held, record, heart, meter)
                record = record.model_copy(update={"usage": meter.read()})
                if isinstance(last, EpochReport) and last.roc:
                    record = record.model_copy(update={"roc": tuple(round(rate, 4) for rate in last.roc)})
                if not finish(held, outcome, last, record, reason):
                    raise LeaseLost
        except LeaseLost:
            raise
        except BaseException as error:
            if record is not None:
                record = record.model_copy(update={"usage": meter.read()})
            stands_still = ""
            if isinstance(error, StorageError):
                self._give_up()
            if isinstance(error, _Released) and record is not None:
                record, stands_still = self._at_end_of_job(held, record, heart)
            self._release(held, record)
            if stands_still:
                raise UsageError(stands_still) from None
            if isinstance(error, KeyboardInterrupt):
                self._stop.request(StopReason.SIGNAL)
                raise _Released from None
            if isinstance(error, ProcessTainted):
                self._stop.request(StopReason.MEMORY)
                raise _Released from None
            raise
        _log.info("%s", describe_end(held, outcome, last, reason))
        self._told.end(outcome, reason)
        self._tidy()
        return outcome

    def _at_end_of_job(self, held: Claim, record: TrialRecord, heart: Heartbeat) -> tuple[TrialRecord, str]:
        """Note in a record that a whole job did not end the trial, if so; return it and what `standstill` says."""
        ends = self._stop.reason in (StopReason.DEADLINE, StopReason.SIGNAL)
        if self._deadline is None or self._outcomes or not ends:
            return record, ""
        record, done = with_job(record, heart.began), heart.share - (heart.began or 0.0)
        name = held.study.trial_name(held.number)
        return record, standstill(name, record, self._deadline, done, self._train.checkpoints)

    def _begin_record(self, held: Claim) -> TrialRecord:
        """Store the record of a new trial, or of another attempt at one.

        Raises:
            LeaseLost: if another worker has claimed the trial.
            StorageError: if another version of hpo stored its configuration and this one cannot train it.
            DataError: if other trials of the study were trained on other data.
        """
        provenance = self._train.provenance
        _check_data(held, provenance.data_md5)
        drawn: Drawn = {}
        if held.record is None:
            record = _new_record(held, provenance, drawn)
        else:
            # Validate a configuration of another version of hpo before anything is written.
            held.record.train_config(held.study.trial_name(held.number))
            names = (*(held.record.attempt_names or ()), held.attempt)
            changes = {"provenance": provenance, "attempts": held.fence, "attempt_names": names}
            record = held.record.model_copy(update=changes)
        if not store_record(held, record, self._train.checkpoints, drawn):
            raise LeaseLost
        return record

    def _train_trial(
        self, held: Claim, record: TrialRecord, heart: Heartbeat, meter: UsageMeter
    ) -> tuple[Outcome, EpochReport | NetworkEpoch | None, str]:
        train, spec = self._train, held.study.spec
        stages = stages_of(spec, planned=planned_trial(spec, held.slot) is not None)
        _log.info("%s", describe_start(held))

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
            stages=stages,
            slot=held.slot,
            attempts=record.attempt_names or (),
            known=folds_reported(held) if held.fence > 1 else {},
        )
        last: EpochReport | NetworkEpoch | None = None
        try:
            for last in train(task):
                goes_on = record_report(held, last)
                self._told.epoch(last)
                if not goes_on:
                    return "pruned", last, ""
                meter.read()
        except (train.failure, DataError) as failure:
            # The data have already been validated, so a DataError is caused by this configuration: resplit, network.
            return "failed", last, str(failure)
        if self._stop.requested and not _is_whole(last, stages):
            raise _Released
        return "complete", last, ""

    def _give_up(self) -> None:
        """Wait no further for a database that has not answered for as long as this worker waits for it."""
        self._study = replace(self._study, database=self._study.database.within(LAST_SECONDS))

    def _release(self, held: Claim, record: TrialRecord | None) -> None:
        try:
            release(replace(held, study=self._study), record)
        except HpoError as error:
            self._give_up()
            _log.warning("trial %d: could not be released, its lease will expire: %s", held.number, error)

    def _tidy(self) -> None:
        """Remove the checkpoints of trials that have finished, here or on another host."""
        ended = self._train.kept() - unfinished(self._study)
        names = attempt_names(self._study, ended)
        for number in sorted(ended):
            self._train.forget(number, names.get(number, ()))


def _is_whole(last: EpochReport | NetworkEpoch | None, stages: Sequence[Stage]) -> bool:
    """Return whether a report is the last of a trial, or of a network."""
    if isinstance(last, NetworkEpoch):
        return last.epoch == last.epochs
    return last is not None and Stage(len(last.fold_aucs), last.epoch) == stages[-1]


def _check_data(held: Claim, md5: str) -> None:
    """Raise DataError if another trial of the study was trained on other data than those here.

    A data file is known by its checksum, but the function of a plug-in may return other arrays on another host, or in
    another version.
    """
    data = held.study.spec.data
    other = read_other_record(held.study, held.number) if data.md5 is None else None
    if other is not None and other.provenance.data_md5 != md5:
        raise DataError(
            f"the arrays of {data.name} are not those of other trials of study {held.study.name} (MD5 {md5}, there "
            f"{other.provenance.data_md5}), so trials could not be compared; let its function return the same arrays, "
            "in the same order, on every host, or give the changed data set a new name"
        )


def _new_record(held: Claim, provenance: Provenance, drawn: Drawn) -> TrialRecord:
    """Make the record of a new trial; add its sampled parameters to `drawn`."""
    spec, study_seed = held.study.spec, held.study.spec.search.seed
    planned = planned_trial(spec, held.slot)
    if planned is None:
        start = start_at(spec, held.slot)
        suggestion = suggest(held.study, held.number, None if start is None else start.values)
        params, config = suggestion.values, spec.config(suggestion.values)
        drawn |= suggestion.drawn
    else:
        params, config = {} if planned.is_baseline else spec.searched_values(planned.config), planned.config
    repeat = None if planned is None else planned.repeat
    return TrialRecord(
        config=config.model_dump(),
        params=params,
        seeds=seeds_of(study_seed, held.number, planned),
        candidate=None if planned is None or repeat is None else planned.name,
        repeat=None if repeat is None else repeat + 1,
        provenance=provenance,
        attempts=held.fence,
        attempt_names=(held.attempt,),
    )
