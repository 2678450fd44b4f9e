"""Worker processes on this machine: some on each GPU, or some that share the cores."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from hpo.errors import OutputError, StorageError
from hpo.files import expanded, why_unwritable
from hpo.host import python_module
from hpo.launch.devices import devices_of
from hpo.search.queue.process_identity import own_host
from hpo.training.machine.limits import usable_cores

if TYPE_CHECKING:
    from hpo.study.spec import StudySpec

_log = logging.getLogger(__name__)

AUTO: Final = "auto"

Count = int | Literal["auto"]
"""A number of workers as a user gives it; `auto` for the one that trains the most in total, measured on a GPU."""

CHECKPOINT_VARIABLE = "HPO_CHECKPOINT_DIR"
DEFAULT_CHECKPOINTS = "hpo-checkpoints"
NO_CHECKPOINTS = "none"

GRACE_SECONDS = 60.0
"""Least time that a worker gets to finish its step and release its trial before it is killed."""

INTERRUPTED = 130
"""Exit code of a worker that was asked to end before its study was done."""

QUIET_SECONDS = 3.0
"""Seconds for which the view may fail before that is logged: one lost connection is no news."""

MAX_KILLS = 5
EARLY_SECONDS = 60.0
"""A worker that was killed is restarted, but not after this many times in a row, each within this many seconds."""


def checkpoint_folder(option: str | None, study_folder: str) -> Path | None:
    """Return the folder of a study's checkpoints: `option`, else HPO_CHECKPOINT_DIR, else hpo-checkpoints here.

    Args:
        study_folder: the study's own name for a folder.

    Returns:
        A folder that need not exist yet; None if the word is `none`: no checkpoints are kept.
    """
    named = option or os.environ.get(CHECKPOINT_VARIABLE) or DEFAULT_CHECKPOINTS
    return None if named == NO_CHECKPOINTS else expanded(named).absolute() / study_folder


def warn_of_checkpoints(spec: StudySpec, option: str | None) -> None:
    """Log a warning if no checkpoint can be written here: a worker would say it in its own log only."""
    if spec.plan is not None and spec.plan.final is not None:
        # Those of final networks are in the folder of the result.
        return
    folder = checkpoint_folder(option, "")
    if folder is not None and (problem := why_unwritable(folder)):
        _log.warning(f"a trial that is interrupted starts anew, without a checkpoint: {problem}; give --checkpoint-dir")


@dataclass(frozen=True)
class WorkerSlot:
    """Where one worker runs: its device, its CPU threads (one for each fold at a time), how many share the device."""

    device: str
    threads: int
    sharing: int = 1


@dataclass(frozen=True)
class LocalPlan:
    """What each local worker is started with.

    address: database URL with its password, handed on by standard input, so that no list of processes or of their
    environments shows it. checkpoint_dir: as on the command line. last_stop: see `read_last_stop`. reporters: as
    `LaunchRequest` has them.
    """

    study: str
    address: str
    data_dir: str
    checkpoint_dir: str | None
    slots: tuple[WorkerSlot, ...]
    log_dir: Path
    grace: float = GRACE_SECONDS
    last_stop: float | None = None
    reporters: tuple[str, ...] = ()


def worker_slots(
    workers: int | None, device: str, gpus: int, *, per_device: int | None = None
) -> tuple[WorkerSlot, ...]:
    """Return a slot for each worker: round robin over GPUs, or sharing the cores of a CPU.

    workers: all of them; per_device: on each GPU, or on a machine that is used without; by default 1 per device.
    """
    devices = devices_of(device, gpus)
    count = (1 if per_device is None else per_device) * len(devices) if workers is None else workers
    cores, more = divmod(usable_cores(), count)
    names = [devices[number % len(devices)] for number in range(count)]
    return tuple(
        WorkerSlot(name, max(1, cores + (number < more)), names.count(name)) for number, name in enumerate(names)
    )


@dataclass(frozen=True)
class WorkerEnd:
    """How a worker process ended, and the end of its log."""

    name: str
    code: int
    log: Path

    def last_lines(self, count: int = 15) -> str:
        """Return the last lines of its log, or why it cannot be read: somebody may have removed it."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError as error:
            return f"({error.strerror})"
        return "\n".join(text.splitlines()[-count:])


class LocalWorkers:
    """The worker processes of one `hpo launch`."""

    def __init__(self, plan: LocalPlan) -> None:
        """Start the workers; raises OutputError if the log folder cannot be written."""
        self._plan, self._log_dir = plan, plan.log_dir
        self._names = {f"{own_host()}-{os.getpid()}-{number}": slot for number, slot in enumerate(plan.slots)}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._kills = dict.fromkeys(self._names, 0)
        self._began: dict[str, float] = {}
        try:
            plan.log_dir.mkdir(parents=True, exist_ok=True)
            for name in self._names:
                self._start(name)
        except OSError as error:
            self.stop()
            raise OutputError(f"{plan.log_dir} cannot be written ({error.strerror}); give --log-dir") from None

    def _start(self, name: str) -> None:
        plan, slot = self._plan, self._names[name]
        command = [*python_module("hpo"), "worker", "--worker-name", name]
        command += ["--device", slot.device, "--threads", str(slot.threads), "--sharing", str(slot.sharing)]
        command += ["--parent", str(os.getpid()), "--storage", "-", "--data-dir", plan.data_dir]
        if plan.last_stop is not None:
            command += ["--last-stop", repr(plan.last_stop)]
        if plan.checkpoint_dir is not None:
            command += ["--checkpoint-dir", plan.checkpoint_dir]
        command += [word for reporter in plan.reporters for word in ("--reporter", reporter)]
        # A study of an earlier hpo may have a name with a leading dash.
        command += ["--", plan.study]
        with self.log_of(name).open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
        assert process.stdin is not None
        # A worker that has ended already is found by its exit code.
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(plan.address.encode() + b"\n")
        self._processes[name], self._began[name] = process, time.monotonic()

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the workers, as they are in the database."""
        return frozenset(self._names)

    def restart_crashed(self) -> int:
        """Restart the workers that were killed by a signal, as the system does when memory is short; return how many.

        One that was killed MAX_KILLS times in a row, each within EARLY_SECONDS, is not restarted.
        """
        restarted = 0
        for name, process in list(self._processes.items()):
            if (process.poll() or 0) >= 0:
                continue
            early = time.monotonic() - self._began[name] < EARLY_SECONDS
            self._kills[name] = self._kills[name] + 1 if early else 1
            if self._kills[name] < MAX_KILLS:
                # Somebody may have removed the logs of a study that has run for days.
                self._log_dir.mkdir(parents=True, exist_ok=True)
                with self.log_of(name).open("a") as log:
                    log.write(f"hpo launch: the worker was killed by signal {-process.returncode}; restarting it\n")
                self._start(name)
                restarted += 1
        return restarted

    def log_of(self, name: str) -> Path:
        """Return the log file of a worker."""
        return self._log_dir / f"{name}.log"

    def running(self) -> int:
        """Count the workers that have not ended."""
        return sum(process.poll() is None for process in self._processes.values())

    def failures(self) -> list[WorkerEnd]:
        """Return the workers that ended with an exit code other than 0."""
        return [
            WorkerEnd(name, process.returncode, self.log_of(name))
            for name, process in self._processes.items()
            if process.poll() not in (None, 0)
        ]

    def stop(self) -> None:
        """Ask every worker to release its trial and wait; kill those that take too long, or all at another Ctrl-C."""
        alive = [process for process in self._processes.values() if process.poll() is None]
        for process in alive:
            process.send_signal(signal.SIGTERM)
        if alive:
            _log.info(
                "asked %d worker%s to stop after this step, which may take up to %.0f s; Ctrl-C again kills them",
                *(len(alive), "s" if len(alive) > 1 else "", self._plan.grace),
            )
        deadline = time.monotonic() + self._plan.grace
        try:
            for process in alive:
                process.wait(max(0.0, deadline - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as error:
            late = sum(process.poll() is None for process in alive)
            _log.warning("killing %d workers; their trials resume from their last checkpoints", late)
            _kill(alive)
            if isinstance(error, KeyboardInterrupt):
                raise


def _kill(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()


def watch(
    workers: LocalWorkers, look: Callable[[], None], seconds: float = 1.0, until: float = math.inf
) -> list[WorkerEnd]:
    """Call `look` every so often until all workers have ended; restart those that a signal killed.

    A database that does not answer ends no work here: workers retry for longer than anybody looks, and end with an
    error of their own. A KeyboardInterrupt stops the workers first and is then raised again.

    Args:
        seconds: between two looks.
        until: time on the monotonic clock at which workers are asked to release their trials and end.

    Returns:
        The workers that failed.
    """
    view = _PatientView(look)
    try:
        while workers.restart_crashed() or workers.running():
            view.look()
            if time.monotonic() >= until:
                _log.info("the time is over")
                break
            time.sleep(min(seconds, max(0.0, until - time.monotonic())))
        view.look()
    finally:
        workers.stop()
    return workers.failures()


class _PatientView:
    """Looks that fail while the database is away: logged once, and again when it is back."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._failed_since: float | None = None
        self._logged = False

    def look(self) -> None:
        try:
            self._look()
        except StorageError as error:
            now = time.monotonic()
            self._failed_since = self._failed_since or now
            if not self._logged and now > self._failed_since + QUIET_SECONDS:
                self._logged = True
                _log.warning("%s; the workers keep trying, and so does this view", error)
        else:
            if self._logged:
                _log.warning("the database answers again")
            self._failed_since, self._logged = None, False
