"""Implement `hpo stop`: end the work on a study, not the study."""

from __future__ import annotations

import click

from hpo.cli.common import json_option, optional_study_argument, print_json, storage_option
from hpo.cli.looking import look_at_study
from hpo.cli.streams import say, show
from hpo.launch.stop import stop_study
from hpo.search.database.retry import OUTAGE_SECONDS
from hpo.text import counted


@click.command()
@optional_study_argument
@click.option("--now", is_flag=True, help="Release trials at once, with their checkpoints, instead of finishing them.")
@click.option("--cancel", is_flag=True, help="Cancel the jobs that run, too, instead of waiting for their workers.")
@storage_option
@json_option
def stop(study_name: str | None, now: bool, cancel: bool, storage: str | None, as_json: bool) -> int:
    """Ask the workers of STUDY to end, and cancel its waiting jobs.

    A worker finishes its trial first. No trial is lost either way, and `hpo launch` or `hpo worker` continues later.
    """
    done = stop_study(look_at_study(study_name, storage, outage=OUTAGE_SECONDS), at_once=now, cancel_running=cancel)
    if as_json:
        print_json(done)
    else:
        show(_asked(done.asked, at_once=now))
        show(f"cancelled: {counted(done.waiting, 'waiting job')}, {counted(done.running, 'running job')}")
    if done.trouble:
        say(f"hpo: jobs were left in the queue, and may start workers: {'; '.join(done.trouble)}")
    if done.elsewhere:
        say(f"hpo: jobs on another cluster, or of another user, who can cancel them there: {', '.join(done.elsewhere)}")
    return 2 if done.trouble else 0


def _asked(workers: int, *, at_once: bool) -> str:
    """Say what the workers do."""
    if not workers:
        return "no worker is running"
    how = "each releases its trial, with a checkpoint," if at_once else "each finishes its trial"
    return f"stop requested of {counted(workers, 'worker')}: {how} and ends"
