"""Launch a study: create or resume it, then run its workers on this machine, as jobs of a cluster, or not yet."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Literal

from hpo.data.development import Development, load_development
from hpo.data.folder import data_folder
from hpo.errors import DeviceError, StudyNotFoundError, UsageError, WorkersFailedError
from hpo.launch.backends.local import AUTO, Count, LocalPlan, LocalWorkers, WorkerEnd, WorkerSlot, seats, watch
from hpo.launch.backends.slurm.plan import SlurmOptions
from hpo.launch.backends.slurm.submit import Submission, prepare, submit_study
from hpo.launch.estimate import LONG_HOURS, Estimate, advice, trained_share
from hpo.launch.probe import Probe
from hpo.launch.sizing.measure import workers_per_device
from hpo.revision import code_version
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.queries.status import read_status
from hpo.search.study import Study, create_or_open, open_study
from hpo.study.spec import StudySpec
from hpo.text import duration

_log = logging.getLogger(__name__)

Backend = Literal["local", "slurm", "none"]
"""Where workers run: as processes of this machine, as an array of Slurm jobs, or nowhere yet."""

DEFAULT_LOG_DIR = Path("hpo-logs")


Watching = Callable[[Study], AbstractContextManager[Callable[[], None]]]
"""A context around the work of local workers on a study; what it yields is called about once a second."""


@dataclass(frozen=True)
class Launched:
    """A study whose workers were started. submission: its Slurm jobs, None without Slurm or with nothing left to do."""

    study: Study
    submission: Submission | None = None


def _unwatched(_study: Study) -> AbstractContextManager[Callable[[], None]]:
    return nullcontext(lambda: None)


def launch(
    spec: StudySpec,
    *,
    name: str,
    on: Backend = "local",
    keep_trials: bool = False,
    workers: Count | None = None,
    workers_per_gpu: Count | None = None,
    storage: str | None = None,
    data_dir: str | None = None,
    device: str = "auto",
    log_dir: Path = DEFAULT_LOG_DIR,
    checkpoint_dir: str | None = None,
    slurm: SlurmOptions | None = None,
    watching: Watching = _unwatched,
) -> Launched:
    """Create or resume a study and start its workers; local ones have ended when it returns.

    Args:
        name: of the study.
        keep_trials: a study that exists keeps its number of trials, whatever `spec` says.
        workers: local workers in all, or jobs of the array; "auto" measures how many are fastest.
        workers_per_gpu: workers on each GPU, or on a machine or job without; "auto" measures how many are fastest.
        storage: as `--storage` takes it; None for $HPO_STORAGE, else hpo.sqlite3 in the current folder.
        data_dir: folder of the data files; None for $HPO_DATA_DIR, else ~/.medmnist.
        device: auto, cpu, cuda or cuda:N.
        log_dir: folder of the workers' logs.
        checkpoint_dir: folder of checkpoints, on a path that all hosts share; "none" for no checkpoints; None for
            $HPO_CHECKPOINT_DIR, else hpo-checkpoints in the current folder.
        slurm: what each job asks for; how many workers, the arguments above say.
        watching: see `Watching`; only for local workers.

    Raises:
        UsageError, DataError, StorageError, StudyConflictError, DeviceError, OutputError: before anything is trained.
        WorkersFailedError: if local workers ended with an error.
    """
    if on == "slurm":
        return launch_slurm(
            spec,
            replace(slurm or SlurmOptions(), workers=workers, workers_per_gpu=workers_per_gpu),
            name=name,
            keep_trials=keep_trials,
            storage=storage,
            data_dir=data_dir,
            device=device,
            log_dir=log_dir,
            checkpoint_dir=checkpoint_dir,
        )
    if on == "none":
        return create_only(spec, name=name, keep_trials=keep_trials, storage=storage, data_dir=data_dir)
    return launch_local(
        spec,
        name=name,
        keep_trials=keep_trials,
        workers=workers,
        workers_per_gpu=workers_per_gpu,
        storage=storage,
        data_dir=data_dir,
        device=device,
        log_dir=log_dir,
        checkpoint_dir=checkpoint_dir,
        watching=watching,
    )


def create_only(
    spec: StudySpec,
    *,
    name: str,
    keep_trials: bool = False,
    storage: str | None = None,
    data_dir: str | None = None,
) -> Launched:
    """Create or resume a study and start no worker; the data are checked all the same. Arguments as for `launch`."""
    load_development(spec.data, data_folder(data_dir))
    study = create_or_resume(spec, name=name, storage=storage, keep_trials=keep_trials)
    _log.info(f"nothing was started; attach workers with `hpo worker {name}`")
    return Launched(study)


def launch_local(
    spec: StudySpec,
    *,
    name: str,
    keep_trials: bool = False,
    workers: Count | None = None,
    workers_per_gpu: Count | None = None,
    storage: str | None = None,
    data_dir: str | None = None,
    device: str = "auto",
    log_dir: Path = DEFAULT_LOG_DIR,
    checkpoint_dir: str | None = None,
    watching: Watching = _unwatched,
) -> Launched:
    """Create or resume a study and run workers on this machine until its trials are finished.

    Arguments and errors as for `launch`. A KeyboardInterrupt stops the workers first; their trials keep their
    checkpoints, and the same call continues them.
    """
    if workers is not None and workers_per_gpu is not None:
        raise UsageError("give --workers, all of them, or --workers-per-gpu, those on each GPU, one of the two")
    folder = data_folder(data_dir)
    address = resolve_address(storage)
    development = load_development(spec.data, folder)
    with Probe() as probe:
        probe.gpus(device)
        study = create_or_resume(spec, name=name, storage=storage, keep_trials=keep_trials)
        status = read_status(study)
        if spec.data.caution and spec.scoring.rows != "official":
            _log.info(f"caution: {spec.data.caution}")
        remaining = max(0, status.budget - status.finished)
        if not remaining:
            return Launched(study)
        places = _places(workers, workers_per_gpu, device, probe, study, development)
        _log_estimate(probe, study, development, places, remaining)
    plan = LocalPlan(
        study=name,
        address=address.render_as_string(hide_password=False),
        data_dir=str(folder),
        checkpoint_dir=checkpoint_dir,
        seats=places,
        log_dir=log_dir / study.folder,
    )
    try:
        with watching(study) as look:
            failures = watch(LocalWorkers(plan), look)
    except KeyboardInterrupt:
        _log.info("stopped; every trial keeps its checkpoint, and the same command continues")
        raise
    if failures:
        raise workers_failed(failures)
    return Launched(study)


def launch_slurm(
    spec: StudySpec,
    options: SlurmOptions,
    *,
    name: str,
    keep_trials: bool = False,
    storage: str | None = None,
    data_dir: str | None = None,
    device: str = "auto",
    log_dir: Path = DEFAULT_LOG_DIR,
    checkpoint_dir: str | None = None,
) -> Launched:
    """Create or resume a study and submit an array of Slurm jobs that work on it; they outlive this process.

    Arguments and errors as for `launch`; UsageError also with everything that the cluster would not grant.
    """
    job = prepare(
        name,
        options,
        storage=storage,
        data_dir=data_folder(data_dir),
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
        device=device,
    )
    load_development(spec.data, job.plan.command.data_dir)
    study = create_or_resume(spec, name=name, storage=storage, keep_trials=keep_trials)
    status = read_status(study)
    if status.finished >= status.budget:
        _log.info(f"nothing is left to do, so nothing was submitted; more trials: a larger --trials; hpo best {name}")
        return Launched(study)
    done = submit_study(study, job)
    each = f", {job.plan.workers} workers in each" if job.plan.workers > 1 else ""
    if job.plan.per_device == AUTO:
        each = ", each with the number of workers that it measures to be fastest"
    _log.info(f"job {done.job} on {done.cluster}: {done.tasks} in its array{each}; logs in {done.log_dir}")
    if job.plan.per_device != AUTO and done.workers > status.budget - status.finished:
        _log.info(f"that is more workers than the {status.budget - status.finished} trials that are left")
    _log.info(f"look: hpo status {quote(name)} --watch; end: hpo stop {quote(name)}")
    return Launched(study, done)


def create_or_resume(spec: StudySpec, *, name: str, storage: str | None = None, keep_trials: bool = False) -> Study:
    """Create the study `name`, or open it if it is there with the same spec; tells how many trials are finished.

    Arguments as for `launch`. Raises StudyConflictError, StorageError, UsageError.
    """
    database = open_database(resolve_address(storage), create=True)
    if keep_trials:
        spec = _with_stored_trials(database, name, spec)
    study = create_or_open(database, name, spec, code_version=code_version()[0])
    status = read_status(study)
    _log.info(f"study {name} in {database.address}: {status.finished} of {status.budget} trials finished")
    return study


def _with_stored_trials(database: Database, name: str, spec: StudySpec) -> StudySpec:
    try:
        stored = open_study(database, name)
    except StudyNotFoundError:
        return spec
    budget = spec.budget.model_copy(update={"trials": stored.spec.budget.trials})
    return spec.model_copy(update={"budget": budget})


def _places(
    workers: Count | None,
    workers_per_gpu: Count | None,
    device: str,
    probe: Probe,
    study: Study,
    development: Development,
) -> tuple[WorkerSlot, ...]:
    per_device = workers_per_gpu
    if AUTO in (workers, per_device):
        _log.info("measuring which number of workers on a device is fastest, which takes a minute or two")
        workers, per_device = None, workers_per_device(study.spec, development, device, probe)
    assert workers != AUTO
    assert per_device != AUTO
    return seats(workers, device, probe.gpus(device), per_device=per_device)


def _log_estimate(
    probe: Probe, study: Study, development: Development, places: tuple[WorkerSlot, ...], remaining: int
) -> None:
    device, threads = places[0].device, sum(place.threads for place in places)
    _log.info("measuring a training step")
    seconds = probe.epoch_seconds(study.spec, development, device, threads)
    gpus = len({place.device for place in places if place.device.startswith("cuda")})
    estimate = Estimate(seconds, remaining, study.spec.budget.epochs, trained_share(study.spec), max(1, gpus))
    _log.info(_sentence(estimate, device, len(places)))
    if estimate.hours > LONG_HOURS:
        _log.info("that is long; it starts all the same, and Ctrl-C keeps what is done. Faster would be:")
        for line in advice(study.spec, on_gpu=gpus > 0):
            _log.info(f"  - {line.replace('STUDY', study.name)}")


def _sentence(estimate: Estimate, device: str, workers: int) -> str:
    pruned = " with pruning" if estimate.trained_share < 1 else ""
    return (
        f"estimate ({device}, {workers} worker{'s' if workers > 1 else ''}): "
        f"{duration(estimate.epoch_seconds)} per epoch over all folds, "
        f"{duration(estimate.trial_hours * 3600)} per unpruned trial, "
        f"{duration(estimate.hours * 3600)} for {estimate.trials} trials{pruned}"
    )


def workers_failed(failures: list[WorkerEnd]) -> WorkersFailedError:
    """The error of local workers that failed: how each ended, the end of its log, and the exit code that tells most."""
    lines = []
    for end in failures:
        how = f"ended with code {end.code}" if end.code > 0 else f"was killed by signal {-end.code} time after time"
        lines += [f"worker {end.name} {how}; the end of {end.log}:", end.last_lines()]
    if any(end.code < 0 for end in failures):
        lines.append("is the memory too small for so many workers? Give fewer --workers; `dmesg` tells who was killed")
        code = DeviceError.exit_code
    else:
        code = next((end.code for end in failures if end.code > 1), 1)
    return WorkersFailedError("\n".join(lines), code)
