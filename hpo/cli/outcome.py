"""Commands that train a plan of configurations after a search: `hpo confirm` and `hpo ablate`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.cli.completion import complete_studies
from hpo.cli.options import (
    CountOrAuto,
    F,
    checkpoint_dir_option,
    data_dir_option,
    device_option,
    json_option,
    print_json,
    storage_option,
)
from hpo.cli.slurm import slurm_options
from hpo.cli.work import Common, Work, refuse_slurm_options

if TYPE_CHECKING:
    from hpo.launch.backends.slurm.plan import SlurmOptions
    from hpo.launch.counts import Count
    from hpo.outcome.standings import Confirmation
    from hpo.search.database.database import Database
    from hpo.study.spec import StudySpec


_WORK = (
    click.option(
        "--on",
        type=click.Choice(("local", "slurm", "none")),
        default="local",
        show_default=True,
        help="Where workers run: here, as an array of Slurm jobs, or nowhere yet (hpo worker attaches them).",
    ),
    click.option(
        "--workers",
        metavar="N|auto",
        type=CountOrAuto(),
        help="Local workers, or jobs; auto: as many local workers as pay.  [default: one per GPU, or 1]",
    ),
    click.option(
        "--log-dir", metavar="DIR", default="hpo-logs", show_default=True, help="Where workers write their logs."
    ),
    checkpoint_dir_option,
    storage_option,
    data_dir_option,
    device_option,
    slurm_options,
    json_option,
)


def _work_options(command: F) -> F:
    """Where the trials of a plan are trained, and how its outcome is told."""
    for option in reversed(_WORK):
        command = option(command)
    return command


@click.command()
@click.argument("study_name", metavar="STUDY", shell_complete=complete_studies)
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(1, 30),
    help="Configurations besides the references.  [default: the file's]",
)
@click.option("--seeds", metavar="N", type=click.IntRange(1, 50), help="Repeats of each.  [default: the file's]")
@click.option("--no-racing", is_flag=True, help="Train every repeat, also of candidates that are clearly worse.")
@click.option("--name", metavar="STUDY", help="Name of the confirmation.  [default: STUDY-confirm]")
@_work_options
def confirm(
    study_name: str,
    top: int | None,
    seeds: int | None,
    no_racing: bool,
    name: str | None,
    on: str,
    workers: Count | None,
    log_dir: str,
    checkpoint_dir: str | None,
    storage: str | None,
    data_dir: str | None,
    device: str,
    slurm: SlurmOptions,
    as_json: bool,
) -> int:
    """Train the best configurations of STUDY and its references again, and tell which of them wins.

    New seeds, new folds, no pruning, paired: a study of its own, which any worker can help with. Ctrl-C stops cleanly;
    the same command goes on, and prints the result once all is done. A larger --seeds adds repeats.
    """
    from hpo.outcome.preparation import Wishes, confirmation_name, prepare_confirmation
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.study import open_study

    if on != "slurm":
        refuse_slurm_options()
    database = open_database(resolve_address(storage), create=False)
    wishes = Wishes(top, seeds, racing=not no_racing)
    name = name or confirmation_name(study_name)
    prepared = prepare_confirmation(open_study(database, study_name), name, wishes)
    for note in prepared.notes:
        print(note, file=sys.stderr)
    common: Common = {"name": name, "keep_trials": False, "storage": storage, "data_dir": data_dir}
    work: Work = {"checkpoint_dir": checkpoint_dir, "device": device, "log_dir": Path(log_dir)}
    return _carry_out(database, prepared.spec, on, dataclasses.replace(slurm, workers=workers), common, work, as_json)


@click.command()
@click.argument("study_name", metavar="STUDY", shell_complete=complete_studies)
@click.option("--seeds", metavar="N", default=3, show_default=True, type=click.IntRange(1, 50), help="Repeats of each.")
@click.option("--trial", metavar="N", type=click.IntRange(min=0), help="Take this trial for the winner.")
@click.option("--confirmation", metavar="STUDY", help="Name of the confirmation.  [default: STUDY-confirm]")
@_work_options
def ablate(
    study_name: str,
    seeds: int,
    trial: int | None,
    confirmation: str | None,
    on: str,
    workers: Count | None,
    log_dir: str,
    checkpoint_dir: str | None,
    storage: str | None,
    data_dir: str | None,
    device: str,
    slurm: SlurmOptions,
    as_json: bool,
) -> int:
    """Take the winner of STUDY back to each reference, one setting at a time, and tell what each is worth.

    Trained as a confirmation is, as the study STUDY-ablation; its report stands in `hpo report STUDY`.
    """
    from hpo.outcome.ablation import ablation_name, prepare_ablation
    from hpo.outcome.winner import by_hand, confirmed
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.study import open_study

    if on != "slurm":
        refuse_slurm_options()
    database = open_database(resolve_address(storage), create=False)
    search = open_study(database, study_name)
    entries = by_hand(search, trial) if trial is not None else confirmed(search, confirmation)
    spec = prepare_ablation(search, entries, seeds)
    common: Common = {
        "name": ablation_name(study_name),
        "keep_trials": False,
        "storage": storage,
        "data_dir": data_dir,
    }
    work: Work = {"checkpoint_dir": checkpoint_dir, "device": device, "log_dir": Path(log_dir)}
    return _carry_out(database, spec, on, dataclasses.replace(slurm, workers=workers), common, work, as_json)


def _carry_out(
    database: Database, spec: StudySpec, on: str, slurm: SlurmOptions, common: Common, work: Work, as_json: bool
) -> int:
    """Trains what is left of a plan, and prints how its candidates stand."""
    if not _is_done(database, common["name"], spec) and (code := _train(spec, on, slurm, common, work)):
        return code
    _print(database, common["name"], as_json)
    return 0


def _is_done(database: Database, name: str, spec: StudySpec) -> bool:
    from hpo.errors import StudyNotFoundError
    from hpo.search.queries.status import read_status
    from hpo.search.study import open_study

    try:
        return read_status(open_study(database, name)).finished >= spec.budget.trials
    except StudyNotFoundError:
        return False


def _train(spec: StudySpec, on: str, slurm: SlurmOptions, common: Common, work: Work) -> int:
    from hpo.cli.session import create, run_launch
    from hpo.cli.slurm import launch_on_slurm

    if on == "slurm":
        return launch_on_slurm(spec, slurm, **common, **work)
    if on == "none":
        return create(spec, **common)
    return run_launch(
        spec, workers=slurm.workers, workers_per_gpu=slurm.workers_per_gpu, ranked=False, **common, **work
    )


def _print(database: Database, name: str, as_json: bool) -> None:
    from hpo.cli.standings import ablation_table, standings_table
    from hpo.cli.view import page
    from hpo.outcome.ablation import ablation_name
    from hpo.outcome.standings import read_confirmation
    from hpo.search.study import open_study

    found: Confirmation = read_confirmation(open_study(database, name))
    if as_json:
        print_json(found)
    elif found.whole:
        page().print(ablation_table(found) if name == ablation_name(found.search) else standings_table(found))
