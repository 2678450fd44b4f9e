"""`Backend`: the interface to start, show and cancel the workers of a study, and the registry of backends."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from hpo.host import python_module
from hpo.launch.backends.local import Count
from hpo.registry import Registry

if TYPE_CHECKING:
    from hpo.data.development import Development
    from hpo.data.missing import Downloading
    from hpo.search.study import Study
    from hpo.study.spec import StudySpec

    Watching = Callable[[Study], AbstractContextManager[Callable[[], None]]]
    """A context around the work of local workers on a study; what it yields is called about once a second."""


_log = logging.getLogger(__name__)


def unwatched(_study: Study) -> AbstractContextManager[Callable[[], None]]:
    """Return a context that does nothing."""
    return nullcontext(lambda: None)


def unseen_download(_name: str) -> AbstractContextManager[Callable[[int, int | None], None]]:
    """Return a context that shows nothing of a download."""
    return nullcontext(lambda _had, _total: None)


@dataclass(frozen=True)
class LaunchRequest:
    """The workers that a backend is asked to start, as the options of `hpo launch` say.

    Attributes:
        study: its name.
        storage: as `--storage` takes it.
        workers: in all, None for the backend's default; "auto" for the number that is fastest.
        workers_per_gpu: on each GPU, or on a machine without.
        device: auto, cpu, cuda or cuda:N.
        data_dir: folder of the data files.
        checkpoint_dir: as on the command line, or None.
        log_dir: folder of all logs.
        hours: after which workers release their trials and end; None for no limit. See `Backend.keeps_hours`.
        sets_trials: whether the number of trials follows from `hours`.
        reporters: NAME or NAME=TARGET of each, as `--reporter` takes it.
        options: what only one backend understands: `SlurmOptions` for slurm.
        watching: see `Watching`; for a backend that waits for its workers.
        agrees: called with the estimated hours of a study that takes days, for a backend that estimates; False ends it.
        downloading: a context around the download of a dataset of that name, for data that are not there yet.
    """

    study: str
    storage: str | None
    data_dir: Path
    log_dir: Path = Path("hpo-logs")
    workers: Count | None = None
    workers_per_gpu: Count | None = None
    device: str = "auto"
    checkpoint_dir: str | None = None
    hours: float | None = None
    sets_trials: bool = False
    reporters: tuple[str, ...] = ()
    options: object = None
    watching: Watching = field(default=unwatched, repr=False)
    agrees: Callable[[float], bool] = field(default=lambda _hours: True, repr=False)
    downloading: Downloading = field(default=unseen_download, repr=False)

    def address(self) -> str:
        """Return the database URL, with its password; raises StorageError if it is malformed."""
        from hpo.search.database.address import resolve_address

        return resolve_address(self.storage).render_as_string(hide_password=False)

    def command(self) -> list[str]:
        """Return the command of one worker, which reads the address from the first line of its standard input.

        So neither a list of processes nor the environment shows the password.
        """
        words = [*python_module("hpo"), "worker", "--storage", "-", "--device", self.device]
        words += ["--data-dir", str(self.data_dir)]
        words += ["--checkpoint-dir", self.checkpoint_dir] if self.checkpoint_dir is not None else []
        words += [word for reporter in self.reporters for word in ("--reporter", reporter)]
        return [*words, "--", self.study]


@dataclass(frozen=True)
class Submission:
    """What a backend started. job: its name for it, which `hpo launch` prints, or None; workers: in all."""

    job: str | None
    workers: int


@dataclass(frozen=True)
class JobState:
    """A job of workers. running, waiting, ended: how many of its tasks; None where the backend cannot say.

    reasons: why tasks wait, as the scheduler calls it. submitted: seconds since 1970.
    """

    cluster: str
    job: str
    tasks: int
    submitted: float
    log_dir: str
    running: int | None = None
    waiting: int | None = None
    ended: int | None = None
    reasons: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether nothing of it is left, as far as is known."""
        return self.ended == self.tasks


@dataclass(frozen=True)
class Jobs:
    """Jobs of a study, oldest first. trouble: why the state of some is not known, None if all are."""

    jobs: tuple[JobState, ...] = ()
    trouble: str | None = None


@dataclass(frozen=True)
class Cancelled:
    """Labels of the jobs that were cancelled while they waited or ran.

    elsewhere: jobs that have to be cancelled on another cluster, or by another user. trouble: what could not be done,
    one sentence each.
    """

    waiting: frozenset[str] = frozenset()
    running: frozenset[str] = frozenset()
    elsewhere: tuple[str, ...] = ()
    trouble: tuple[str, ...] = ()


class Backend(ABC):
    """Where workers run. `hpo launch` makes one for each call; only `submit` has to be implemented.

    Heartbeats, progress, results and stop requests of workers go through the database, wherever they run. A backend
    adds what the database cannot know: jobs that wait, or run without a worker. `status` and `cancel` are called on
    every registered backend, in any process, for any study.
    """

    waits: ClassVar[bool] = False
    """Whether `submit` returns only when the workers have ended."""

    keeps_hours: ClassVar[bool] = False
    """Whether `submit` honours `LaunchRequest.hours`; otherwise a launch with them is refused."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Release what `check` acquired; always called."""
        return

    def check(self, spec: StudySpec, request: LaunchRequest) -> None:
        """Raise an `HpoError` if the request cannot be met, before the study is created.

        By default, check that the data are there.
        """
        load_data(spec, request)

    @abstractmethod
    def submit(self, study: Study, request: LaunchRequest) -> Submission:
        """Start workers for a study that has trials left."""

    def status(self, study: Study) -> Jobs:  # noqa: ARG002
        """Return the study's jobs on this backend, in bounded time and without changes."""
        return Jobs()

    def cancel(self, study: Study, *, spared: Collection[str] | None = None) -> Cancelled:  # noqa: ARG002
        """Cancel the study's jobs that wait; where `spared` is given, also those that run, but for these labels.

        Called before the workers are asked to end, and once more after that. A label is what a worker's
        `WorkerRow.job` has.
        """
        return Cancelled()


def load_data(spec: StudySpec, request: LaunchRequest) -> Development:
    """Load the development set of a study, downloaded if it is not there; say what is amiss with it.

    Raises:
        DataError: if the data are missing, altered, misshapen or unreachable, or cannot train and score the study.
        OutputError: if they cannot be written.
    """
    from hpo.data.development import load_development
    from hpo.data.folds import official_crossings
    from hpo.data.missing import fetch_missing
    from hpo.data.others import check_others
    from hpo.launch.suitability import check_suitability

    fetch_missing((spec.data, *spec.other_datasets()), request.data_dir, request.downloading)
    check_others(spec.other_datasets(), request.data_dir)
    development = load_development(spec.data, request.data_dir, spec.scoring.groups)
    if note := official_crossings(development, spec.scoring):
        _log.info(note)
    for note in check_suitability(development, spec):
        _log.info(f"caution: {note}")
    return development


BACKENDS: Registry[type[Backend]] = Registry("backend")
"""Subclasses of `Backend`, by the name that `--on` takes."""

BACKENDS.register("local", "hpo.launch.backends.local_launch:LocalBackend", description="processes of this machine")
BACKENDS.register("slurm", "hpo.launch.backends.slurm.backend:SlurmBackend", description="an array of Slurm jobs")
BACKENDS.register("none", "hpo.launch.backends.nowhere:NoWorkers", description="no workers yet")

Target = TypeVar("Target", bound=type[Backend])


def register_backend(
    name: str, target: type[Backend] | str | None = None, *, description: str = "", replace: bool = False
) -> Callable[[Target], Target]:
    """Add a launch backend, for `--on`; a decorator, or called with a class or "module:Class".

    Args:
        name: lower-case letters, digits, "-" and "_".
        target: a subclass of `hpo.Backend`.
        description: where its workers run.
        replace: whether a backend of that name may be replaced.

    Example:
        >>> import hpo
        >>> @hpo.register_backend("ask", description="by hand")
        ... class Ask(hpo.Backend):
        ...     def submit(self, study, request):
        ...         print("start", request.workers or 1, "of: hpo worker", study.name)
        ...         return hpo.Submission(job=None, workers=0)
    """
    if target is not None:
        BACKENDS.register(name, target, description=description, replace=replace)
        return lambda decorated: decorated
    return BACKENDS.register(name, description=description, replace=replace)
