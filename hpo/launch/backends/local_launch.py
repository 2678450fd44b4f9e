"""Launch backend for this machine: measure it if needed, then run workers until the trials are finished."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from hpo.errors import DeclinedError, DeviceError, HpoError, UsageError, WorkersFailedError
from hpo.launch.backends.base import Backend, LaunchRequest, Submission, load_data
from hpo.launch.backends.local import (
    AUTO,
    GRACE_SECONDS,
    INTERRUPTED,
    LocalPlan,
    LocalWorkers,
    WorkerEnd,
    WorkerSlot,
    warn_of_checkpoints,
    watch,
    worker_slots,
)
from hpo.launch.devices import devices_of
from hpo.launch.estimate import (
    LONG_HOURS,
    MOST_TRIALS,
    Estimate,
    advice,
    confirmation_trials,
    least_trials,
    longest_step,
    mean_epochs,
    side_by_side,
    trained_share,
)
from hpo.launch.probe import Probe
from hpo.launch.sizing.measure import workers_per_device
from hpo.launch.sizing.representative import timed
from hpo.study.spec import registered_by_main
from hpo.text import counted, duration, shell

if TYPE_CHECKING:
    from hpo.data.development import Development
    from hpo.search.queries.status import StudyStatus
    from hpo.search.study import Study
    from hpo.study.spec import StudySpec

_log = logging.getLogger(__name__)


class LocalBackend(Backend):
    """Workers as processes of this machine, which have ended when `submit` returns.

    A KeyboardInterrupt stops them first; their trials keep their checkpoints, and the same call continues them.
    """

    waits = True
    keeps_hours = True

    def __init__(self) -> None:
        self._probe: Probe | None = None
        self._development: Development | None = None
        self._start_seconds = 0.0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End the process that probes the machine."""
        if self._probe is not None:
            self._probe.__exit__(kind, error, _)

    def check(self, spec: StudySpec, request: LaunchRequest) -> None:
        """Raise UsageError, StorageError, DataError or DeviceError."""
        if request.workers is not None and request.workers_per_gpu is not None:
            raise UsageError("give --workers, all of them, or --workers-per-gpu, those on each GPU, one of the two")
        if here := registered_by_main(spec):
            raise UsageError(
                f"workers are processes of their own, which do not know {', '.join(here)} of this script or notebook; "
                "make it a plug-in by entry point, or train in this process with hpo.run_worker"
            )
        request.address()
        _log.info("looking at data and device")
        self._development = load_data(spec, request)
        warn_of_checkpoints(spec, request.checkpoint_dir)
        self._probe = Probe()
        begin = time.monotonic()
        self._probe.gpus(request.device)
        # Like a worker, the process has to load PyTorch first.
        self._start_seconds = time.monotonic() - begin

    def submit(self, study: Study, request: LaunchRequest) -> Submission:
        """Run workers until the trials are finished or the hours over.

        Raises:
            DeclinedError: if `agrees` says no.
            WorkersFailedError: if some failed.
        """
        from hpo.search.queries.status import read_status
        from hpo.search.queue.workers import read_last_stop

        last_stop = read_last_stop(study)
        until = math.inf if request.hours is None else time.monotonic() + 3600 * request.hours
        if self._probe is None or self._development is None:
            self.check(study.spec, request)
        assert self._probe is not None
        assert self._development is not None
        status = read_status(study)
        with self._probe as probe:
            remaining = status.budget - status.finished
            slots = _worker_slots(request, probe, study.spec, self._development, remaining or MOST_TRIALS)
            estimate, epoch_seconds = _estimate(probe, study, self._development, slots, remaining, self._start_seconds)
            if request.hours is not None and request.sets_trials:
                study, estimate = _fit_trials(study, status, estimate, request.hours)
            _log_estimate(study, estimate, slots)
            _ask(study, request, status, estimate)
            step_seconds = longest_step(study.spec, epoch_seconds, len(self._development))
        # Not held while workers load their own.
        self._development = None
        plan = LocalPlan(
            study=study.name,
            address=request.address(),
            data_dir=str(request.data_dir),
            checkpoint_dir=request.checkpoint_dir,
            slots=slots,
            log_dir=request.log_dir / study.folder,
            grace=max(GRACE_SECONDS, 3 * step_seconds),
            last_stop=last_stop,
            reporters=request.reporters,
        )
        try:
            with request.watching(study) as look:
                workers = LocalWorkers(plan)
                failures = watch(workers, look, until=until)
        except KeyboardInterrupt:
            _log.info(_stopped(study))
            raise
        is_over = time.monotonic() >= until
        # Workers that were asked to end, as by `hpo stop`, have not failed, nor those that took too long to.
        as_asked = (INTERRUPTED, -signal.SIGKILL) if is_over else (INTERRUPTED,)
        if failed := [end for end in failures if end.code not in as_asked]:
            raise workers_failed(failed)
        tell_ends(study, workers.names, () if is_over else [end.name for end in failures])
        return Submission(job=None, workers=len(slots))


def _stopped(study: Study) -> str:
    """Say what is left after a Ctrl-C; the database may be out of reach."""
    from hpo.search.queries.status import read_status

    with suppress(HpoError):
        status = read_status(replace(study, database=study.database.within(0.0)))
        if status.is_done:
            return f"stopped; nothing was left to do: {status.finished} of {status.budget} trials finished"
    return "stopped; every trial keeps its checkpoint, and the same command continues"


def tell_ends(study: Study, names: Collection[str], interrupted: Collection[str] = ()) -> None:
    """Log, once each, why workers were interrupted, and what they said besides, as that a reporter was dropped."""
    from hpo.search.queue.workers import ALSO, read_workers

    messages = {row.name: row.message or "" for row in read_workers(study) if row.name in names}
    reasons = Counter(text.split(ALSO)[0] for name, text in messages.items() if name in interrupted)
    for reason, count in reasons.items():
        _log.info(f"{counted(count, 'worker')} ended: {reason}")
    said = {remark: name for name, text in messages.items() for remark in text.split(ALSO)[1:]}
    for remark, name in said.items():
        _log.warning(f"worker {name}: {remark}")


def _worker_slots(
    request: LaunchRequest, probe: Probe, spec: StudySpec, development: Development, remaining: int
) -> tuple[WorkerSlot, ...]:
    """Return a slot for each worker, on a CPU by default as many as cores and memory bear and trials remain."""
    workers, per_device, gpus = request.workers, request.workers_per_gpu, probe.gpus(request.device)
    on_gpu = devices_of(request.device, gpus)[0].startswith("cuda")
    if AUTO in (workers, per_device) or (workers is None and per_device is None and not on_gpu):
        if on_gpu:
            _log.info("measuring which number of workers on a device is fastest, which takes a minute or two")
        workers, per_device = None, workers_per_device(spec, development, request.device, probe)
        if not on_gpu:
            per_device = max(1, min(per_device, remaining))
    assert workers != AUTO
    assert per_device != AUTO
    return worker_slots(workers, request.device, gpus, per_device=per_device)


def _estimate(
    probe: Probe,
    study: Study,
    development: Development,
    slots: tuple[WorkerSlot, ...],
    remaining: int,
    start_seconds: float,
) -> tuple[Estimate, float]:
    """Return the estimate, and the seconds of an epoch over all folds, one by one."""
    _log.info("measuring a training step")
    seconds = probe.epoch_seconds(timed(study.spec), study.spec.scoring, development, slots[0].device)
    gpus = len({slot.device for slot in slots if slot.device.startswith("cuda")})
    estimate = Estimate(
        seconds if gpus else seconds / side_by_side(study.spec.scoring.fold_count, [slot.threads for slot in slots]),
        remaining,
        mean_epochs(study.spec),
        trained_share(study.spec),
        gpus or len(slots),
        start_seconds,
    )
    return estimate, seconds


def _fit_trials(study: Study, status: StudyStatus, estimate: Estimate, hours: float) -> tuple[Study, Estimate]:
    """Set the number of trials of a study to what the hours bear, at least the starts and one; say so.

    That of a study with trials is only raised.
    """
    from hpo.search.creation import set_trials

    within = estimate.trials_within(hours)
    trials = min(MOST_TRIALS, max(status.finished + within, least_trials(study.spec)))
    begun = status.finished + status.free + len(status.running)
    if begun:
        trials = max(trials, status.budget)
    _log.info(
        f"--hours {hours:g}: by this estimate there is time for {counted(within, 'trial')}, so study {study.name} has "
        f"{counted(trials, 'trial')}{f', {status.finished} of them finished' if begun else ''}"
    )
    return set_trials(study, trials), replace(estimate, trials=trials - status.finished)


def _log_estimate(study: Study, estimate: Estimate, slots: tuple[WorkerSlot, ...]) -> None:
    on_gpu = any(slot.device.startswith("cuda") for slot in slots)
    _log.info(_sentence(estimate, slots[0].device, len(slots)))
    if study.spec.plan is None:
        after = replace(estimate, trials=confirmation_trials(study.spec), trained_share=1.0)
        _log.info(
            f"the confirmation afterwards: at most {after.whole} for {after.trials} whole trials; "
            "fewer with the options --top and --seeds of hpo confirm"
        )
    if estimate.hours > LONG_HOURS:
        _log.info("that is long; Ctrl-C stops it without loss. Faster options:")
        for line in advice(study.spec, on_gpu=on_gpu):
            _log.info(f"  - {line.replace('STUDY', shell(study.name))}")


def _ask(study: Study, request: LaunchRequest, status: StudyStatus, estimate: Estimate) -> None:
    """Ask before a study that takes days begins, unless its hours are limited or some of its trials have begun."""
    is_begun = status.free or status.running
    if estimate.hours <= LONG_HOURS or request.hours is not None or is_begun or request.agrees(estimate.hours):
        return
    raise DeclinedError(f"study {study.name} was not started")


def _sentence(estimate: Estimate, device: str, workers: int) -> str:
    pruned = " with pruning" if estimate.trained_share < 1 else ""
    return (
        f"estimate ({device}, {workers} worker{'s' if workers > 1 else ''}): "
        f"{duration(estimate.epoch_seconds)} per epoch over all folds, "
        f"{duration(estimate.trial_hours * 3600)} per unpruned trial, "
        f"{estimate.whole} for {counted(estimate.trials, 'trial')}{pruned}"
    )


def workers_failed(failures: list[WorkerEnd]) -> WorkersFailedError:
    """Make the error for failed workers: how each ended, the end of its log, and the most informative exit code."""
    lines: list[str] = []
    told: set[tuple[int, str]] = set()
    for end in failures:
        how = f"ended with code {end.code}" if end.code > 0 else f"was killed repeatedly by signal {-end.code}"
        last = (end.code, end.last_lines(1))
        lines.append(f"worker {end.name} {how}; {f'as above: {end.log}' if last in told else f'the end of {end.log}:'}")
        lines += [] if last in told else [end.last_lines()]
        told.add(last)
    if any(end.code < 0 for end in failures):
        lines.append("is the memory too small for so many workers? Give fewer --workers; `dmesg` shows what was killed")
        code = DeviceError.exit_code
    else:
        code = next((end.code for end in failures if end.code > 1), 1)
    return WorkersFailedError("\n".join(lines), code)
