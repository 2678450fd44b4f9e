"""`hpo stop`: ends the work on a study, not the study."""

from __future__ import annotations

import sys

import click

from hpo.cli.completion import complete_studies
from hpo.cli.options import json_option, print_json, storage_option


@click.command()
@click.argument("study_name", metavar="STUDY", shell_complete=complete_studies)
@click.option("--now", is_flag=True, help="Trials are given back at once, with their checkpoints, not finished first.")
@click.option("--cancel", is_flag=True, help="Cancel the jobs that run, too, instead of waiting for their workers.")
@storage_option
@json_option
def stop(study_name: str, now: bool, cancel: bool, storage: str | None, as_json: bool) -> int:
    """Ask every worker of STUDY to end, and cancel its Slurm jobs that have not started.

    A worker finishes its trial first. No trial is lost either way, and `hpo launch` or `hpo worker` goes on later.
    """
    from hpo.launch.backends.slurm.stop import stop_study
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.study import open_study

    study = open_study(open_database(resolve_address(storage), create=False), study_name)
    done = stop_study(study, at_once=now, cancel_running=cancel)
    if as_json:
        print_json(done)
    else:
        how = "give back the trial that it holds" if now else "finish the trial that it holds"
        print(f"asked to {how} and to end: {done.asked} workers")
        print(f"cancelled: {done.waiting} waiting jobs, {done.running} running jobs")
    if done.trouble:
        print(f"hpo: jobs were left in the queue, and may start workers: {'; '.join(done.trouble)}", file=sys.stderr)
    if done.elsewhere:
        print(f"hpo: jobs of other clusters, to be ended there: {', '.join(done.elsewhere)}", file=sys.stderr)
    return 2 if done.trouble else 0
