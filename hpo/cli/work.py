"""Commands that work: `hpo launch`, `hpo worker`, `hpo check`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.cli.options import data_dir_option, device_option, json_option, print_json, storage_option
from hpo.errors import HpoError, UsageError

if TYPE_CHECKING:
    from hpo.study.spec import StudySpec


@click.command()
@click.option("--dataset", metavar="NAME", help="One of the eight datasets; its study file ships with hpo.")
@click.option("--study-file", metavar="FILE", type=click.Path(path_type=Path), help="A study file of your own.")
@click.option("--name", metavar="STUDY", help="Name of the study.  [default: the dataset's short name]")
@click.option(
    "--trials", metavar="N", type=click.IntRange(min=1), help="Finished trials in all.  [default: the file's]"
)
@click.option("--workers", metavar="N", type=click.IntRange(min=1), help="Local workers.  [default: one per GPU, or 1]")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override one entry of the study file.")
@click.option("--log-dir", metavar="DIR", default="hpo-logs", show_default=True, help="Where workers write their logs.")
@storage_option
@data_dir_option
@device_option
def launch(
    dataset: str | None,
    study_file: Path | None,
    name: str | None,
    trials: int | None,
    workers: int | None,
    overrides: tuple[str, ...],
    log_dir: str,
    storage: str | None,
    data_dir: str | None,
    device: str,
) -> int:
    """Create a study or take it up, and run local workers until its trials are finished.

    Ctrl-C stops cleanly; the same command goes on where it stopped. More --trials extend a finished study.
    """
    spec = _spec(dataset, study_file, (*overrides, *((f"budget.trials={trials}",) if trials else ())))

    from hpo.cli.session import run_launch

    return run_launch(
        spec,
        name=name or spec.dataset,
        keep_trials=trials is None,
        workers=workers,
        storage=storage,
        data_dir=data_dir,
        device=device,
        log_dir=Path(log_dir),
    )


@click.command()
@click.argument("study_name", metavar="STUDY")
@click.option("--threads", metavar="N", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]")
@click.option("--worker-name", metavar="NAME", help="How it is called in tables.  [default: host and process number]")
@click.option("--parent", type=int, hidden=True, help="Stop when this process is gone.")
@storage_option
@data_dir_option
@device_option
def worker(
    study_name: str,
    threads: int | None,
    worker_name: str | None,
    parent: int | None,
    storage: str | None,
    data_dir: str | None,
    device: str,
) -> int:
    """Attach one more worker to STUDY; it ends when the study's trials are finished.

    Ctrl-C, SIGTERM or SIGUSR2 stop it within a step; its trial is given back and goes on elsewhere.
    """
    from hpo.data.folder import data_folder
    from hpo.search.address import resolve_address
    from hpo.search.storage import open_database
    from hpo.search.study import open_study
    from hpo.search.trainer import make_trainer
    from hpo.search.worker import run_worker
    from hpo.training.device import set_up_process

    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, lambda received, _frame: signals.append(received))
    set_up_process(threads)
    study = open_study(open_database(resolve_address(storage), create=False), study_name)
    summary = run_worker(
        study,
        worker=worker_name or f"{os.uname().nodename}-{os.getpid()}",
        train=make_trainer(study.spec, data_folder(data_dir), device),
        stop=lambda: bool(signals) or (parent is not None and os.getppid() != parent),
        on_event=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(
        f"{summary.finished} trials finished, {summary.pruned} of them pruned, {summary.failed} failed",
        file=sys.stderr,
    )
    return 130 if summary.interrupted else 0


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override one entry first.")
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
