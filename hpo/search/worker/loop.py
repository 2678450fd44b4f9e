"""The worker: claims a trial, trains it, tells how it ended, takes the next."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hpo.errors import DataError, HpoError
from hpo.search.queue.claiming import NothingToClaim, claim, release, store_record
from hpo.search.queue.lease import Claim
from hpo.search.queue.optuna_mirror import Drawn
from hpo.search.queue.reporting import LeaseLost, Outcome, finish, record_report
from hpo.search.queue.workers import StopRequest, WorkerIdentity, end_worker, register_worker, sign_of_life
from hpo.search.strategy.sampler import suggest
from hpo.search.strategy.seeds import seeds_of
from hpo.search.study import Study, unfinished
from hpo.search.worker.deadline import Deadline, seconds_to_get_anywhere
from hpo.search.worker.heartbeat import Heartbeat
from hpo.search.worker.trainer import Task, Trainer
from hpo.study.planned import planned_trial
from hpo.study.record import Provenance, ResourceUsage, TrialRecord
from hpo.training.machine.usage import UsageMeter
from hpo.training.report import EpochReport

POLL_SECONDS = (2.0, 10.0)
"""How often a worker with nothing to do asks whether a trial has come free: at first, and after a while."""

Ending = Literal["done", "limit", "drained", "interrupted", "deadline"]

_SAID: dict[Ending, str] = {
    "done": "nothing is left to do",
    "limit": "it has done as many trials as it was to do",
    "drained": "it was asked to end by `hpo stop`",
    "interrupted": "it was interrupted",
    "deadline": "its job ends too soon for another trial",
}


class Interrupted(Exception):  # noqa: N818 - an event, not an error
    """The trial ended early, with its checkpoint saved, because the worker is to stop; ended: why."""

    def __init__(self, ended: Ending) -> None:
        super().__init__(ended)
        self.ended = ended


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
        return self.ended in ("interrupted", "deadline")

    @property
    def said(self) -> str:
        """Why it ended, for a reader."""
        return _SAID[self.ended]


def run_worker(
    study: Study,
    *,
    identity: WorkerIdentity,
    train: Trainer,
    stop: Callable[[], bool] = lambda: False,
    on_event: Callable[[str], None] = lambda _: None,
    limit: int | None = None,
    wait: bool = True,
    deadline: Deadline | None = None,
) -> WorkerSummary:
    """Trains trials until the budget is spent, `limit` trials are done, or it is to stop.

    stop: asked at each step; true: the trial is given back with its checkpoint. wait: whether to stay while the rest of
    the budget runs elsewhere, to take up a trial whose worker dies.
    Raises StudyStoppedError, StorageError, and what is a bug in training, after giving the trial back.
    """
    return _Worker(study, identity, train, stop, on_event, deadline).run(limit, wait)


class _Worker:
    def __init__(
        self,
        study: Study,
        identity: WorkerIdentity,
        train: Trainer,
        stop: Callable[[], bool],
        on_event: Callable[[str], None],
        deadline: Deadline | None,
    ) -> None:
        self._study, self._name, self._train = study, identity.name, train
        self._stop, self._tell, self._deadline = stop, on_event, deadline
        self._outcomes: list[Outcome] = []
        self._started = register_worker(study, identity)

    def run(self, limit: int | None, wait: bool) -> WorkerSummary:
        """Works until there is a reason to end; the end and its reason are written down."""
        try:
            self._tidy()
            ended = self._work(limit, wait)
        except BaseException as error:
            said = str(error) if isinstance(error, HpoError) else f"{type(error).__name__}: {error}"
            with contextlib.suppress(Exception):
                self._end(said)
            raise
        count = self._outcomes.count
        summary = WorkerSummary(len(self._outcomes), count("pruned"), count("failed"), ended)
        self._end(summary.said)
        return summary

    def _end(self, said: str) -> None:
        end_worker(self._study, self._name, finished=len(self._outcomes), message=said)

    def _work(self, limit: int | None, wait: bool) -> Ending:
        polls = 0
        while limit is None or len(self._outcomes) < limit:
            said = "waits for trials of other workers" if polls else "takes the next trial"
            asked = sign_of_life(self._study, self._name, self._started, finished=len(self._outcomes), message=said)
            if (reason := self._reason_to_end(asked)) is not None:
                return reason
            held = claim(self._study, self._name)
            if held is NothingToClaim.ELSEWHERE and wait:
                polls += 1
                self._pause(min(POLL_SECONDS[0] * polls, POLL_SECONDS[1], self._study.lease / 2))
                continue
            if isinstance(held, NothingToClaim):
                return "done"
            polls = 0
            try:
                self._outcomes.append(self._run_trial(held))
            except LeaseLost:
                self._tell(f"trial {held.number}: its lease ran out and another worker has it; dropped")
            except Interrupted as interrupted:
                self._tell(f"trial {held.number}: given back")
                return interrupted.ended
        return "limit"

    def _reason_to_end(self, asked: StopRequest | None) -> Ending | None:
        if self._stop():
            return "interrupted"
        if asked is not None:
            return "drained"
        if self._deadline is not None:
            needed = seconds_to_get_anywhere(self._study, keeps_checkpoints=self._train.checkpoints is not None)
            if self._deadline.seconds_left() < needed:
                return "deadline"
        return None

    def _deadline_near(self) -> bool:
        return self._deadline is not None and self._deadline.seconds_left() <= 0

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds * random.uniform(0.7, 1.3)
        while time.monotonic() < until and not self._stop() and not self._deadline_near():
            time.sleep(0.05)

    def _run_trial(self, held: Claim) -> Outcome:
        record = held.record
        before = ResourceUsage() if record is None else record.usage
        meter = UsageMeter(before, self._train.energy, self._train.peak_memory)
        try:
            with Heartbeat(held, self._started, lambda: self._stop() or self._deadline_near()) as heart:
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
            self._give_back(held, record)
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted("interrupted") from None
            raise
        self._tell(_told(held, outcome, last, reason))
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
        self._tell(_told_at_the_beginning(held))
        task = Task(
            record.train_config(held.study.trial_name(held.number)),
            record.seeds.trial_seed,
            held.number,
            held.fence,
            beat=heart.beat,
            stop=heart.stop,
            tell=self._tell,
            kept_at=held.checkpoint,
            scoring_seed=record.seeds.scoring_seed,
        )
        last: EpochReport | None = None
        try:
            for last in train(task):
                if not record_report(held, last):
                    return "pruned", last, ""
                meter.read()
                heart.beat(last.epoch / held.study.spec.budget.epochs)
        except (train.failure, DataError) as failure:
            # The data were read before: what training says of them is the doing of this configuration's resplit.
            return "failed", last, str(failure)
        if heart.stopped and (last is None or last.epoch < held.study.spec.budget.epochs):
            raise Interrupted("drained" if heart.asked else "deadline" if self._deadline_near() else "interrupted")
        return "complete", last, ""

    def _give_back(self, held: Claim, record: TrialRecord | None) -> None:
        try:
            release(held, record)
        except HpoError as error:
            self._tell(f"trial {held.number}: could not be given back, its lease will run out: {error}")

    def _tidy(self) -> None:
        """Removes the checkpoints of trials that have ended, here or on another host."""
        for number in sorted(self._train.kept() - unfinished(self._study)):
            self._train.forget(number)


def _new_record(held: Claim, provenance: Provenance, drawn: Drawn) -> TrialRecord:
    """Make the record of a new trial; what was drawn for it goes into `drawn`."""
    spec, study_seed = held.study.spec, held.study.spec.search.seed
    planned = planned_trial(spec, held.place)
    if planned is None:
        suggestion = suggest(held.study, held.number, held.trial_id)
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


def _told_at_the_beginning(held: Claim) -> str:
    text = f"trial {held.number}: " + ("begins" if held.fence == 1 else "is taken up")
    planned = planned_trial(held.study.spec, held.place)
    if planned is None:
        return text
    name = f"reference {planned.name}" if planned.is_reference else planned.name
    return text + (f" ({name})" if planned.repeat is None else f" ({name}, repeat {planned.repeat + 1})")


def _told(held: Claim, outcome: Outcome, last: EpochReport | None, reason: str) -> str:
    text = f"trial {held.number}: {outcome}"
    if last is not None:
        text += f" after {last.epoch} of {held.study.spec.budget.epochs} epochs, AUC {last.auc:.4f}"
    return text + (f" ({reason})" if reason else "")
