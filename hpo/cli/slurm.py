"""`hpo launch --on slurm`, and `hpo slurm script|presets`, which show what it would submit and where."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hpo.cli.completion import complete_studies
from hpo.cli.options import (
    CountOrAuto,
    checkpoint_dir_option,
    data_dir_option,
    device_option,
    json_option,
    print_json,
    storage_option,
)
from hpo.launch.counts import AUTO

if TYPE_CHECKING:
    from hpo.launch.backends.slurm.plan import SlurmOptions
    from hpo.launch.backends.slurm.submit import Prepared
    from hpo.study.spec import StudySpec

F = TypeVar("F", bound=Callable[..., Any])

_PRESETS = ("grace", "faster", "aces", "launch", "generic")

_OPTIONS = (
    click.option(
        "--preset", type=click.Choice(_PRESETS), default="generic", help="The cluster; see hpo slurm presets."
    ),
    click.option(
        "--workers-per-gpu",
        metavar="N|auto",
        type=CountOrAuto(),
        help="Workers that share a GPU, or a machine or job without one; auto: as many as pay.  [default: 1]",
    ),
    click.option("--account", metavar="NAME", help="Account that pays for the jobs."),
    click.option("--partition", metavar="NAME", help="Partition.  [default: the preset's]"),
    click.option("--gres", metavar="gpu:TYPE:N", help="GPUs of each job, or none.  [default: one of the preset's]"),
    click.option("--time", metavar="[D-]HH:MM:SS", help="Walltime of each job.  [default: a day on the presets]"),
    click.option("--memory", metavar="16G", help="Memory of each job.  [default: 8G for each worker on the presets]"),
    click.option(
        "--cpus",
        metavar="N",
        type=click.IntRange(min=1),
        help="Cores of each job, shared by its workers.  [default: 4 for each worker beside a GPU, else 4]",
    ),
    click.option("--modules", metavar="'A B'", help="Modules to load, or none.  [default: the preset's]"),
    click.option("--venv", metavar="DIR", help="Virtual environment of the workers.  [default: this Python]"),
    click.option(
        "--setup", metavar="COMMAND", multiple=True, help="Shell command before the workers; may be repeated."
    ),
    click.option(
        "--warn",
        metavar="SECONDS",
        type=click.IntRange(min=30, max=3600),
        default=120,
        help="How long before the end of its walltime a job gives its trials back.  [default: 120]",
    ),
    click.option(
        "--requeue/--no-requeue",
        default=True,
        help="Whether a job that was interrupted goes back into the queue.  [default: requeue]",
    ),
    click.option("--one-node", is_flag=True, help="Keep all jobs on this host, where a SQLite file may serve them."),
)


def slurm_options(command: F) -> F:
    """The options of a job; the command gets them as one argument, `slurm`, a SlurmOptions without `workers`."""

    @wraps(command)
    def collected(**arguments: Any) -> Any:
        from hpo.launch.backends.slurm.plan import SlurmOptions

        names = {field.name for field in dataclasses.fields(SlurmOptions)} - {"workers"}
        wishes = SlurmOptions(**{name: arguments.pop(name) for name in names})
        return command(slurm=wishes, **arguments)

    decorated: Any = collected
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def slurm_option_names() -> set[str]:
    """Names of the parameters that `slurm_options` adds and that mean nothing without jobs."""
    return {name for option in _OPTIONS for name in _parameter_names(option)} - {"workers_per_gpu"}


def _parameter_names(option: Callable[[F], F]) -> list[str]:
    def bare() -> None:
        """Takes the option, so that it can be looked at."""

    option(bare)  # type: ignore[arg-type]
    return [str(parameter.name) for parameter in getattr(bare, "__click_params__", [])]


def launch_on_slurm(
    spec: StudySpec,
    slurm: SlurmOptions,
    *,
    name: str,
    keep_trials: bool,
    storage: str | None,
    data_dir: str | None,
    checkpoint_dir: str | None,
    device: str,
    log_dir: Path,
    test_only: bool = False,
    dry_run: bool = False,
) -> int:
    """Creates the study or takes it up and submits an array of workers for it; returns the exit code.

    keep_trials: the command line named no number of trials, so a stored one stays. test_only: the cluster checks the
    job; dry_run: only the script is printed; neither stores or submits anything.
    """
    from hpo.data.folder import data_folder
    from hpo.launch.backends.slurm.submit import prepare
    from hpo.launch.backends.slurm.submit import test_only as test

    job = prepare(
        name,
        slurm,
        storage=storage,
        data_dir=data_folder(data_dir),
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
        device=device,
    )
    if dry_run:
        return _print_script(job)
    if test_only:
        print(test(job))
        return 0
    return _submit(spec, job, name, keep_trials, storage)


def _submit(spec: StudySpec, job: Prepared, name: str, keep_trials: bool, storage: str | None) -> int:
    from hpo.cli.session import take_up
    from hpo.data.development import load_development
    from hpo.launch.backends.slurm.submit import submit_study
    from hpo.search.queries.status import read_status
    from hpo.training.machine.provenance import code_version

    load_development(spec.data, job.plan.command.data_dir)
    study = take_up(spec, name, storage, keep_trials=keep_trials, code_version=code_version()[0])
    status = read_status(study)
    if status.finished >= status.budget:
        _talk(f"nothing is left to do, so nothing was submitted; more trials: a larger --trials; hpo best {name}")
        return 0
    done = submit_study(study, job)
    print(done.job)
    each = f", {job.plan.workers} workers in each" if job.plan.workers > 1 else ""
    if job.plan.per_device == AUTO:
        each = ", each with as many workers as it measures to pay"
    _talk(f"job {done.job} on {done.cluster}: {done.tasks} in its array{each}; logs in {done.log_dir}")
    if job.plan.per_device != AUTO and done.workers > status.budget - status.finished:
        _talk(f"that is more workers than the {status.budget - status.finished} trials that are left")
    _talk(f"look: hpo status {quote(name)} --watch; end: hpo stop {quote(name)}")
    return 0


@click.group("slurm")
def slurm_() -> None:
    """Show what `hpo launch --on slurm` would submit, and what its jobs ask."""


@slurm_.command()
@click.argument("study_name", metavar="STUDY", shell_complete=complete_studies)
@click.option("--workers", metavar="N", type=click.IntRange(min=1), help="Jobs in the array.  [default: 1]")
@click.option("--log-dir", metavar="DIR", default="hpo-logs", show_default=True, help="Where workers write their logs.")
@slurm_options
@checkpoint_dir_option
@storage_option
@data_dir_option
@device_option
def script(
    study_name: str,
    workers: int | None,
    log_dir: str,
    slurm: SlurmOptions,
    checkpoint_dir: str | None,
    storage: str | None,
    data_dir: str | None,
    device: str,
) -> int:
    """Print the batch script of workers for STUDY; nothing is submitted or stored."""
    from hpo.data.folder import data_folder
    from hpo.launch.backends.slurm.submit import prepare

    return _print_script(
        prepare(
            study_name,
            dataclasses.replace(slurm, workers=workers),
            storage=storage,
            data_dir=data_folder(data_dir),
            checkpoint_dir=checkpoint_dir,
            log_dir=Path(log_dir),
            device=device,
        )
    )


@slurm_.command()
@click.argument("study_name", metavar="STUDY", shell_complete=complete_studies)
@storage_option
@data_dir_option
@device_option
def measure(study_name: str, storage: str | None, data_dir: str | None, device: str) -> int:
    """Print how many workers on each device of this machine do the most for STUDY; a job with auto asks this."""
    from hpo.data.development import load_development
    from hpo.data.folder import data_folder
    from hpo.launch.probe import Probe
    from hpo.launch.sizing.measure import workers_per_device
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.study import open_study

    spec = open_study(open_database(resolve_address(storage), create=False), study_name).spec
    development = load_development(spec.data, data_folder(data_dir))
    with Probe() as probe:
        print(workers_per_device(spec, development, device, probe, _talk))
    return 0


@slurm_.command()
@json_option
def presets(as_json: bool) -> None:
    """List the clusters that hpo knows, and their limits."""
    from rich.table import Table

    from hpo.cli.view import page
    from hpo.launch.backends.slurm.presets import PRESETS
    from hpo.launch.backends.slurm.units import write_time

    if as_json:
        print_json({name: _plain(preset) for name, preset in PRESETS.items()})
        return
    table = Table("preset", "cluster", "node", "partition", "GPUs of a node", "longest", "modules")
    for preset in PRESETS.values():
        node = f"{preset.cores} cores" + (f", {preset.memory_gb} GB" if preset.memory_gb else "")
        for number, (name, partition) in enumerate(preset.partitions.items()):
            gpus = ", ".join(kind + (f" (<= {most})" if most else "") for kind, most in partition.gpus.items()) or "-"
            first = (preset.name, preset.title, node) if number == 0 else ("", "", "")
            modules = " ".join(preset.modules) if number == 0 else ""
            table.add_row(*first, name, gpus, write_time(partition.seconds), modules)
        if not preset.partitions:
            table.add_row(preset.name, preset.title, "-", "-", "-", "-", "-")
    page().print(table)


def _plain(preset: Any) -> dict[str, Any]:
    fields = {field.name: getattr(preset, field.name) for field in dataclasses.fields(preset)}
    partitions = {
        name: {"seconds": partition.seconds, "gpus": dict(partition.gpus)}
        for name, partition in preset.partitions.items()
    }
    return fields | {"partitions": partitions}


def _print_script(job: Prepared) -> int:
    print(job.script, end="")
    if job.address.text is not None and not job.address.file.exists():
        _talk(f"hpo: the script reads {job.address.file}, which `hpo launch --on slurm` writes")
    return 0


def _talk(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
