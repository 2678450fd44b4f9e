"""Implement `hpo status`: show a study's progress."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import click

from hpo.cli.common import UserPath, json_option, optional_study_argument, print_json, storage_option
from hpo.cli.csv_file import check_formats, csv_option, write_csv
from hpo.cli.looking import look_at_study
from hpo.cli.next_steps import going_on
from hpo.cli.render.page import draw, page
from hpo.cli.render.status import read_view, render_status, view_of
from hpo.cli.render.workers import read_workers_and_jobs
from hpo.cli.streams import say
from hpo.search.database.retry import LOOKING_SECONDS, OUTAGE_SECONDS
from hpo.search.queries.status import read_status
from hpo.search.queries.tables import status_row
from hpo.text import shell


@click.command()
@optional_study_argument
@click.option("--watch", is_flag=True, help="Refresh every second, until the trials are finished or Ctrl-C.")
@click.option("--picture", metavar="FILE.svg", type=UserPath(), help="Draw it into an SVG file.")
@storage_option
@json_option
@csv_option
def status(
    study_name: str | None, watch: bool, picture: Path | None, storage: str | None, as_json: bool, csv_file: str | None
) -> None:
    """Show the status of STUDY: progress, best value, workers, jobs.

    STUDY may be left out where the database has one only.

    Read-only: it marks no worker as dead, and a slow or silent Slurm affects only the display of its jobs.
    """
    check_formats(as_json=as_json, csv_file=csv_file)
    study = look_at_study(study_name, storage, outage=OUTAGE_SECONDS if watch else LOOKING_SECONDS)
    if picture is not None:
        draw(render_status(*read_view(study)), picture, title=f"hpo status {shell(study.name)} --watch")
    if csv_file is not None:
        write_csv(csv_file, [status_row(read_status(study))])
    elif as_json:
        print_json(dataclasses.asdict(read_status(study)) | read_workers_and_jobs(study).as_json())
    elif watch:
        with view_of(study, page(), hint="Ctrl-C closes the view; the study continues") as view:
            while True:
                # Before the look, which so shows the last trial, too.
                is_done = read_status(study).is_done
                view.look()
                if is_done:
                    break
                time.sleep(1.0)
    else:
        seen = read_view(study)
        page().print(render_status(*seen))
        if step := going_on(seen[0]):
            say(step)
