"""From a plan to a job: the address file, the script, `sbatch`, and the record of the job in the study."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import HpoError, OutputError
from hpo.files import expanded
from hpo.launch.backends.base import Submission
from hpo.launch.backends.local import CHECKPOINT_VARIABLE, DEFAULT_CHECKPOINTS, NO_CHECKPOINTS
from hpo.launch.backends.slurm import client
from hpo.launch.backends.slurm.address import WorkerAddress, worker_address
from hpo.launch.backends.slurm.plan import SlurmOptions, SlurmPlan, WorkerCommand, make_plan
from hpo.launch.backends.slurm.script import render

if TYPE_CHECKING:
    from hpo.search.study import Study


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A job that can be submitted. script: for `sbatch`; address: written before the job is submitted."""

    plan: SlurmPlan
    address: WorkerAddress
    script: str

    def with_tasks(self, count: int) -> Prepared:
        """Return the same job with another number of tasks in its array."""
        plan = replace(self.plan, tasks=count)
        return Prepared(plan, self.address, render(plan))


@dataclass(frozen=True)
class SlurmSubmission(Submission):
    """An array that Slurm accepted. job: its number; tasks: jobs in it; workers: in all of them."""

    cluster: str
    tasks: int
    log_dir: Path
    script: Path


def prepare(
    study: str,
    options: SlurmOptions,
    *,
    storage: str | None,
    data_dir: Path,
    checkpoint_dir: str | None,
    log_dir: Path,
    device: str,
    reporters: tuple[str, ...] = (),
) -> Prepared:
    """Check everything that can be checked without Slurm and the database, and write nothing.

    Args:
        checkpoint_dir: as on the command line.
        reporters: as `LaunchRequest` has them.
        log_dir: folder of all logs; those of jobs go to its subfolder `slurm`.

    Raises:
        UsageError, StorageError, OutputError.
    """
    folder = expanded(log_dir).absolute() / "slurm"
    if not str(folder).isprintable() or set('"\\') & set(str(folder)):
        raise OutputError(f"--log-dir {str(log_dir)!r}: sbatch takes no quote or backslash in the name of a log")
    address = worker_address(storage, study, folder, one_node=options.one_node)
    command = WorkerCommand(
        study=study,
        address_file=address.file,
        database_host=address.host,
        data_dir=expanded(data_dir).absolute(),
        checkpoint_dir=_checkpoints(checkpoint_dir),
        log_dir=folder,
        device=device,
        reporters=reporters,
    )
    plan = make_plan(options, command)
    return Prepared(plan, address, render(plan))


def test_only(prepared: Prepared) -> str:
    """Return when and where the job would start; raises UsageError if the cluster would refuse it."""
    return client.test(prepared.script, client.job_environment(secret=prepared.address.secret))


def submit_study(study: Study, prepared: Prepared) -> SlurmSubmission:
    """Submit the workers of a study and record their job in it; a failure after `sbatch` cancels the job.

    Raises:
        UsageError: if Slurm refuses.
        OutputError, StorageError.
    """
    from hpo.search.queue.workers import record_job

    plan = prepared.plan
    cluster = client.cluster_name()
    _make_folder(plan.log_dir)
    prepared.address.write()
    job, elsewhere = client.submit(prepared.script, client.job_environment(secret=prepared.address.secret))
    # By SBATCH_CLUSTERS. Here its number may be that of another job, which `hpo stop` must not cancel.
    if elsewhere is not None and elsewhere.lower() != cluster.lower():
        cluster = elsewhere
    try:
        script = plan.log_dir / f"{job}.sh"
        script.write_text(prepared.script, encoding="utf-8")
        record_job(study, cluster=cluster, job=job, tasks=plan.tasks, log_dir=str(plan.log_dir))
    except BaseException:
        # A Ctrl-C too, while the database is slow: `hpo stop` would not know the job.
        _withdraw(job, elsewhere)
        raise
    return SlurmSubmission(job, plan.tasks * plan.workers, cluster, plan.tasks, plan.log_dir, script)


def _checkpoints(option: str | None) -> str:
    """Return the folder as `hpo worker` reads it, but absolute, since a job may start in another folder."""
    chosen = option or os.environ.get(CHECKPOINT_VARIABLE) or DEFAULT_CHECKPOINTS
    return chosen if chosen == NO_CHECKPOINTS else str(expanded(chosen).absolute())


def _withdraw(job: str, cluster: str | None) -> None:
    try:
        client.cancel([job], cluster=cluster)
    except HpoError as error:
        _log.warning(f"job {job} is not recorded in the study and could not be cancelled: {error}; run: scancel {job}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); give --log-dir") from None
