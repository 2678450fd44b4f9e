"""Commands that read a study: `hpo status|trials|best|dashboard`, and `hpo replay`, which writes nothing either."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo.cli.completion import complete_studies
from hpo.cli.options import data_dir_option, device_option, json_option, print_json, storage_option

if TYPE_CHECKING:
    from hpo.search.queries.status import StudyStatus
    from hpo.search.study import Study
    from hpo.training.report import EpochReport

study_argument = click.argument("study_name", metavar="STUDY", shell_complete=complete_studies)


@click.command()
@study_argument
@click.option("--watch", is_flag=True, help="Draw it anew every second, until its trials are finished or Ctrl-C.")
@click.option("--picture", metavar="FILE.svg", type=click.Path(path_type=Path), help="Draw it into an SVG file.")
@storage_option
@json_option
def status(study_name: str, watch: bool, picture: Path | None, storage: str | None, as_json: bool) -> None:
    """Show how STUDY stands: progress, best value with its interval, references, workers, Slurm jobs.

    Only looks: it marks nothing as dead, and a Slurm that is slow or silent changes nothing but what is shown of it.
    """
    from rich.console import Console

    from hpo.cli.crew import read_crew
    from hpo.cli.view import LiveView, draw, page, read_view, render_status
    from hpo.search.queries.status import read_status

    study = _open(study_name, storage)
    if picture is not None:
        draw(render_status(*read_view(study)), picture, title=f"hpo status {study_name} --watch")
    if as_json:
        print_json(dataclasses.asdict(read_status(study)) | read_crew(study).as_json())
    elif watch:
        with LiveView(study, Console(), hint="Ctrl-C ends the view, not the study") as view:
            while True:
                view.look()
                if _over(read_status(study)):
                    break
                time.sleep(1.0)
    else:
        page().print(render_status(*read_view(study)))


def _over(status: StudyStatus) -> bool:
    return status.finished >= status.budget


@click.command()
@study_argument
@click.argument("number", metavar="[TRIAL]", required=False, type=click.IntRange(min=0))
@storage_option
@json_option
def trials(study_name: str, number: int | None, storage: str | None, as_json: bool) -> None:
    """List every trial of STUDY, or show the curve and the record of one TRIAL."""
    from hpo.cli.view import page, record_table, trials_table
    from hpo.search.queries.trials import read_curve, read_record, read_trials

    study = _open(study_name, storage)
    if number is None:
        rows = read_trials(study)
        if as_json:
            print_json(rows)
        else:
            page().print(trials_table(study_name, rows))
        return
    record, curve = read_record(study, number), read_curve(study, number)
    if as_json:
        print_json({"number": number, "record": record, "curve": [_point(point) for point in curve]})
    else:
        page().print(record_table(study_name, number, record, curve))


@click.command()
@study_argument
@click.option("--count", metavar="N", default=10, show_default=True, type=click.IntRange(min=1), help="How many.")
@storage_option
@json_option
def best(study_name: str, count: int, storage: str | None, as_json: bool) -> None:
    """Rank the complete trials of STUDY by validation AUC; the references are marked."""
    from hpo.cli.view import page, ranked_table
    from hpo.search.queries.trials import read_best

    ranking = read_best(_open(study_name, storage), count)
    if as_json:
        print_json(ranking)
    else:
        page().print(ranked_table(study_name, ranking))


@click.command()
@click.argument("study_name", metavar="[STUDY]", required=False, shell_complete=complete_studies)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; there is no password.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--read-only", is_flag=True, help="For others to look at: what would change a study is refused.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@storage_option
def dashboard(
    study_name: str | None, host: str, port: int, read_only: bool, no_browser: bool, storage: str | None
) -> None:
    """Serve optuna-dashboard, open on STUDY or the list of all, to this machine only. Ctrl-C ends it."""
    import webbrowser

    from hpo.outcome.report.pictures import picture
    from hpo.search.dashboard.server import serve_dashboard
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.study import open_study

    def ready(address: str) -> None:
        print(address, flush=True)
        if not no_browser and sys.stdout.isatty():
            webbrowser.open(address)

    database = open_database(resolve_address(storage), create=False)
    study = open_study(database, study_name) if study_name is not None else None
    serve_dashboard(database, study, host=host, port=port, on_ready=ready, read_only=read_only, draw=picture)


@click.command()
@study_argument
@click.argument("number", metavar="TRIAL", type=click.IntRange(min=0))
@click.option("--threads", metavar="N", type=click.IntRange(min=1), help="CPU threads.  [default: as it was trained]")
@storage_option
@data_dir_option
@device_option
@json_option
def replay(
    study_name: str,
    number: int,
    threads: int | None,
    storage: str | None,
    data_dir: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Train TRIAL of STUDY again from its record and compare, report by report; bit-equal on the same CPU."""
    from rich.console import Console

    from hpo.data.folder import data_folder
    from hpo.search.queries.trials import read_record
    from hpo.search.worker.replay import ReplayedEpoch
    from hpo.search.worker.replay import replay as replay_trial
    from hpo.search.worker.trainer import make_trainer
    from hpo.text import auc
    from hpo.training.machine.device import set_up_process

    study = _open(study_name, storage)
    talk = Console(stderr=True, highlight=False)
    record = read_record(study, number)
    set_up_process(threads or int(record.get("environment", {}).get("threads", 0)) or None)

    def tell(epoch: ReplayedEpoch) -> None:
        talk.print(f"epoch {epoch.epoch}: then {auc(epoch.then)}, now {auc(epoch.now)}, {_difference(epoch)}")

    result = replay_trial(study, number, make_trainer(study.spec, data_folder(data_dir), device), tell)
    for line in result.changed:
        talk.print(f"[yellow]changed since:[/] {line}")
    if as_json:
        print_json(result)
    else:
        told = "bit-equal" if result.bit_equal else f"largest difference {result.max_difference:.2g}"
        print(f"trial {number}: {len(result.epochs)} epochs again, {told}")


def _point(report: EpochReport) -> dict[str, Any]:
    """One report for JSON; the ROC is kept with the record, not with the curve."""
    return {key: value for key, value in dataclasses.asdict(report).items() if key != "roc"}


def _difference(epoch: object) -> str:
    difference = getattr(epoch, "difference", None)
    return "equal" if difference == 0.0 else f"difference {difference:+.2g}"


def _open(name: str, storage: str | None) -> Study:
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.study import open_study

    return open_study(open_database(resolve_address(storage), create=False), name)
