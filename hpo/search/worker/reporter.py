"""`Reporter`: who is told what a worker trains, as TensorBoard or MLflow; and the registry of reporters."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, ClassVar, TypeVar

from hpo.errors import HpoError, UsageError
from hpo.registry import Registry
from hpo.study.config import ConfigValues
from hpo.training.report import EpochReport, NetworkEpoch

MOST_WAITING = 1000
"""Calls that wait for a reporter before it is dropped: it is slower than training."""

CLOSE_SECONDS = 20.0
"""Seconds that a worker waits at its end for what its reporters still have to write."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportedTrial:
    """A trial that a worker begins, or resumes.

    Attributes:
        study: its name.
        number: of the trial.
        label: name of the baseline, start point or candidate, with its repeat; "" if the sampler proposed it.
        params: values of the searched settings that have an effect.
        config: all settings that have an effect.
        epochs: of a whole trial.
        attempt: from 1; above that another worker has begun it, and epochs before a checkpoint are not told again.
        worker: name of this one.
    """

    study: str
    dataset: str
    number: int
    label: str
    params: ConfigValues
    config: ConfigValues
    epochs: int
    attempt: int
    worker: str


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ended in this worker.

    Attributes:
        outcome: complete, pruned or failed; released or lost if another worker will go on with it.
        report: the last one of this worker; None without any.
        reason: why it failed, else "".
    """

    outcome: str
    report: EpochReport | NetworkEpoch | None = None
    reason: str = ""


class Reporter:
    """Told what a worker trains; does nothing by default. Registered by `hpo.register_reporter`.

    Methods are called in this order, in the worker's process, never two at once. An exception in one is logged and the
    reporter is not called again: a trial never fails by it.

    Args:
        target: what follows `=` in `--reporter NAME=TARGET`; "" without.
    """

    background: ClassVar[bool] = True
    """Whether it is called from a thread of its own, so that training does not wait for it."""

    def __init__(self, target: str = "") -> None:
        self.target = target

    @classmethod
    def check(cls, target: str) -> None:
        """Raise UsageError, or OutputError, if it could not work here; called before anything is trained."""

    def trial_started(self, trial: ReportedTrial) -> None:
        """A trial begins, or is resumed."""

    def epoch_ended(self, trial: ReportedTrial, report: EpochReport | NetworkEpoch) -> None:
        """An epoch is over; `report.scalars()` are its numbers by name.

        With stages, an epoch that further folds reach later is reported again, over more folds.
        """

    def trial_ended(self, trial: ReportedTrial, end: TrialEnd) -> None:
        """The trial has ended in this worker."""

    def close(self) -> None:
        """The worker ends."""


REPORTERS: Registry[type[Reporter]] = Registry("reporter")
"""Subclasses of `Reporter`, by the name that `--reporter` takes."""

REPORTERS.register("tensorboard", "hpo.search.worker.tensorboard:TensorBoard", description="event files in a folder")

Target = TypeVar("Target", bound=type[Reporter])


def register_reporter(
    name: str, target: type[Reporter] | str | None = None, *, description: str = "", replace: bool = False
) -> Callable[[Target], Target]:
    """Add a reporter, for `--reporter NAME[=TARGET]`; a decorator, or called with a class or "module:Class".

    Args:
        name: lower-case letters, digits, "-" and "_".
        target: a subclass of `hpo.Reporter`.
        description: where it reports to.
        replace: whether a reporter of that name may be replaced.

    Example:
        >>> import hpo
        >>> @hpo.register_reporter("shout", description="standard output")
        ... class Shout(hpo.Reporter):
        ...     def trial_ended(self, trial, end):
        ...         print(f"TRIAL {trial.number}: {end.outcome.upper()}!")
    """
    if target is not None:
        REPORTERS.register(name, target, description=description, replace=replace)
        return lambda decorated: decorated
    return REPORTERS.register(name, description=description, replace=replace)


def check_reporters(texts: Iterable[str]) -> None:
    """Check every NAME or NAME=TARGET.

    Raises:
        UsageError: if there is no such reporter, or it could not work here.
        OutputError: if it could not write where it should.
    """
    for text in texts:
        name, _, target = text.partition("=")
        REPORTERS.find(name).check(target)


def make_reporters(texts: Iterable[str]) -> list[Reporter]:
    """Make the reporter of each NAME or NAME=TARGET.

    One that cannot be made is a warning in the log: on one of many hosts a package may be missing.

    Raises:
        UsageError: if there is no reporter of that name.
    """
    found = []
    for text in texts:
        name, _, target = text.partition("=")
        try:
            kind = REPORTERS.find(name)
            kind.check(target)
            found.append(kind(target))
        except Exception as error:
            if isinstance(error, UsageError) and name not in REPORTERS:
                raise
            _log.warning("reporter %s is left out: %s", name, _describe(error))
    return found


class Reporters:
    """All reporters of a worker, told of one trial at a time. No call raises or waits for one in the background."""

    def __init__(self, reporters: Sequence[Reporter]) -> None:
        self._channels = [_Background(one) if one.background else _Channel(one) for one in reporters]
        self._trial: ReportedTrial | None = None
        self._last: EpochReport | NetworkEpoch | None = None

    @property
    def dropped(self) -> list[str]:
        """Return why reporters were dropped, a sentence each."""
        return [channel.dropped for channel in self._channels if channel.dropped]

    def begin(self, trial: ReportedTrial) -> None:
        """Tell that a trial begins."""
        self._trial, self._last = trial, None
        self._tell("trial_started", trial)

    def epoch(self, report: EpochReport | NetworkEpoch) -> None:
        """Tell of an epoch of the trial."""
        self._last = report
        self._tell("epoch_ended", self._trial, report)

    def end(self, outcome: str, reason: str = "") -> None:
        """Tell that the trial has ended; nothing if that was told."""
        if self._trial is not None:
            self._tell("trial_ended", self._trial, TrialEnd(outcome, self._last, reason))
            self._trial = None

    def close(self) -> None:
        """Tell that the worker ends; a trial that has not ended is released. Waits CLOSE_SECONDS at most."""
        self.end("released")
        self._tell("close")
        for channel in self._channels:
            channel.wait(CLOSE_SECONDS)

    def _tell(self, method: str, *arguments: object) -> None:
        for channel in self._channels:
            channel.tell(method, *arguments)


class _Channel:
    """Calls one reporter, until it raises."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter, self.dropped = reporter, ""

    def tell(self, method: str, *arguments: object) -> None:
        if self.dropped:
            return
        try:
            getattr(self._reporter, method)(*arguments)
        # Some libraries exit where they find no login: of a thread, without a word.
        except (Exception, SystemExit) as error:
            self._drop(_describe(error))

    def wait(self, seconds: float) -> None:
        """Wait until all calls are done, at most so long."""

    def _drop(self, why: str) -> None:
        self.dropped = f"reporter {type(self._reporter).__name__} is dropped, training goes on: {why}"
        _log.warning("%s", self.dropped)


class _Background(_Channel):
    """The same from a thread, to which calls are handed."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(reporter)
        self._calls: SimpleQueue[tuple[str, tuple[object, ...]]] = SimpleQueue()
        # A daemon: a reporter that hangs must not keep the process.
        self._thread = threading.Thread(target=self._run, name="hpo-reporter", daemon=True)
        self._thread.start()

    def tell(self, method: str, *arguments: object) -> None:
        if not self.dropped and self._calls.qsize() >= MOST_WAITING:
            self._drop(f"{MOST_WAITING:,} calls wait for it")
        # Of a dropped one, only that the worker ends: its thread ends with it.
        if not self.dropped or method == "close":
            self._calls.put((method, arguments))

    def wait(self, seconds: float) -> None:
        self._thread.join(seconds)
        if self._thread.is_alive() and not self.dropped:
            self._drop(f"it did not finish within {seconds:g} s")

    def _run(self) -> None:
        method = ""
        while method != "close":
            method, arguments = self._calls.get()
            super().tell(method, *arguments)


def _describe(error: BaseException) -> str:
    text = str(error) if isinstance(error, HpoError) else f"{type(error).__name__}: {error}"
    return text.strip().splitlines()[0][:500]


Told = Reporter | str
"""A reporter, or NAME or NAME=TARGET of a registered one."""


def all_reporters(told: Iterable[Told]) -> list[Reporter]:
    """Return reporters, made where they are given by name. Raises UsageError for an unknown name."""
    found: list[Any] = []
    for one in told:
        found += make_reporters([one]) if isinstance(one, str) else [one]
    return found
