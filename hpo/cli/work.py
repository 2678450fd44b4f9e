"""`hpo launch` and `hpo check`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from hpo.cli.completion import complete_datasets, complete_settings
from hpo.cli.options import (
    CountOrAuto,
    checkpoint_dir_option,
    data_dir_option,
    device_option,
    json_option,
    print_json,
    storage_option,
)
from hpo.cli.slurm import slurm_option_names, slurm_options
from hpo.errors import HpoError, UsageError

if TYPE_CHECKING:
    from hpo.launch.backends.slurm.plan import SlurmOptions
    from hpo.launch.counts import Count
    from hpo.study.spec import StudySpec


class Common(TypedDict):
    """What every way to launch a study needs."""

    name: str
    keep_trials: bool
    storage: str | None
    data_dir: str | None


class Work(TypedDict):
    """What every way to run workers needs."""

    checkpoint_dir: str | None
    device: str
    log_dir: Path


@click.command()
@click.option(
    "--dataset",
    metavar="NAME",
    shell_complete=complete_datasets,
    help="One of the eight datasets; its study file ships with hpo.",
)
@click.option("--study-file", metavar="FILE", type=click.Path(path_type=Path), help="A study file of your own.")
@click.option("--name", metavar="STUDY", help="Name of the study.  [default: the dataset's short name]")
@click.option(
    "--trials", metavar="N", type=click.IntRange(min=1), help="Finished trials in all.  [default: the file's]"
)
@click.option(
    "--on",
    type=click.Choice(("local", "slurm", "none")),
    default="local",
    show_default=True,
    help="Where workers run: here, as an array of Slurm jobs, or nowhere yet (hpo worker attaches them).",
)
@click.option(
    "--workers",
    metavar="N|auto",
    type=CountOrAuto(),
    help="Local workers, or jobs; auto: as many local workers as pay.  [default: one per GPU, or 1]",
)
@click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=complete_settings,
    help="Override one entry of the study file.",
)
@click.option("--log-dir", metavar="DIR", default="hpo-logs", show_default=True, help="Where workers write their logs.")
@checkpoint_dir_option
@storage_option
@data_dir_option
@device_option
@slurm_options
@click.option("--test-only", is_flag=True, help="With --on slurm: ask the cluster about the job, submit nothing.")
@click.option("--dry-run", is_flag=True, help="With --on slurm: print the script, submit and store nothing.")
def launch(
    dataset: str | None,
    study_file: Path | None,
    name: str | None,
    trials: int | None,
    on: str,
    workers: Count | None,
    overrides: tuple[str, ...],
    log_dir: str,
    checkpoint_dir: str | None,
    storage: str | None,
    data_dir: str | None,
    device: str,
    slurm: SlurmOptions,
    test_only: bool,
    dry_run: bool,
) -> int:
    """Create a study or take it up, and run workers until its trials are finished.

    Ctrl-C stops cleanly; the same command goes on where it stopped. More --trials extend a finished study. With --on
    slurm the workers are jobs, which outlive this command.
    """
    spec = _spec(dataset, study_file, (*overrides, *((f"budget.trials={trials}",) if trials else ())))

    from hpo.cli.session import create, run_launch
    from hpo.cli.slurm import launch_on_slurm

    common: Common = {
        "name": name or spec.dataset,
        "keep_trials": trials is None,
        "storage": storage,
        "data_dir": data_dir,
    }
    work: Work = {"checkpoint_dir": checkpoint_dir, "device": device, "log_dir": Path(log_dir)}
    if on == "slurm":
        wishes = dataclasses.replace(slurm, workers=workers)
        return launch_on_slurm(spec, wishes, **common, **work, test_only=test_only, dry_run=dry_run)
    refuse_slurm_options(test_only=test_only, dry_run=dry_run)
    if on == "none":
        return create(spec, **common)
    return run_launch(spec, workers=workers, workers_per_gpu=slurm.workers_per_gpu, **common, **work)


def refuse_slurm_options(**flags: bool) -> None:
    """Raises UsageError if an option of jobs, or one of these flags, was given though no jobs are asked for."""
    from click.core import ParameterSource

    context = click.get_current_context()
    names = {*slurm_option_names(), *(name for name, given in flags.items() if given)}
    for name in sorted(names):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name.replace('_', '-')} is an option of jobs; give --on slurm with it")


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=complete_settings,
    help="Override one entry first.",
)
@json_option
def check(files: tuple[Path, ...], overrides: tuple[str, ...], as_json: bool) -> int:
    """Check study files; every fault of every file is told at once."""
    from hpo.study.files import load_spec

    good, faults = {}, []
    for file in files:
        try:
            good[str(file)] = load_spec(file, overrides)
        except HpoError as error:
            faults.append(error)
    if as_json:
        specs = {path: spec.model_dump(mode="json") for path, spec in good.items()}
        print_json({"ok": specs, "faults": [str(fault) for fault in faults]})
    else:
        for path, spec in good.items():
            searched = (
                f"{len(spec.space)} settings searched, {spec.budget.trials} trials of {spec.budget.epochs} epochs"
            )
            print(f"{path}: ok; {spec.dataset}, {searched}, fingerprint {spec.fingerprint()}")
    for fault in faults:
        print(f"hpo: {fault}", file=sys.stderr)
    return faults[0].exit_code if faults else 0


def _spec(dataset: str | None, study_file: Path | None, overrides: tuple[str, ...]) -> StudySpec:
    from hpo.study.files import builtin_study_file, load_spec

    if (dataset is None) == (study_file is None):
        raise UsageError("give --dataset NAME or --study-file FILE, one of the two")
    return load_spec(study_file or builtin_study_file(dataset or ""), overrides)
