"""What `hpo launch` does, step by step: data, study, estimate, workers under a live view, outcome."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from hpo.errors import DeviceError, StudyNotFoundError, UsageError
from hpo.launch.backends.local import LocalPlan, LocalWorkers, Seat, WorkerEnd, seats, watch
from hpo.launch.counts import AUTO, Count
from hpo.launch.estimate import LONG_HOURS, Estimate, advice, trained_share
from hpo.launch.probe import Probe
from hpo.launch.sizing.measure import workers_per_device

if TYPE_CHECKING:
    from hpo.data.development import Development
    from hpo.search.database.database import Database
    from hpo.search.study import Study
    from hpo.study.spec import StudySpec

_HINT = "Ctrl-C stops cleanly; the same command goes on"
_console = Console(stderr=True, highlight=False)


def _talk(line: str) -> None:
    _console.print(line, soft_wrap=True)


def create(spec: StudySpec, *, name: str, keep_trials: bool, storage: str | None, data_dir: str | None) -> int:
    """Creates the study or takes it up, and runs nothing; the data are checked all the same. Returns the exit code."""
    from hpo.data.development import load_development
    from hpo.data.folder import data_folder
    from hpo.training.machine.provenance import code_version

    load_development(spec.data, data_folder(data_dir))
    take_up(spec, name, storage, keep_trials=keep_trials, code_version=code_version()[0])
    _talk(f"nothing was started; attach workers with `hpo worker {name}`")
    return 0


def take_up(spec: StudySpec, name: str, storage: str | None, *, keep_trials: bool, code_version: str) -> Study:
    """The study, made if it is not there, and a line that says how it stands.

    keep_trials: the command line named no number of trials, so a stored one stays.
    """
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.queries.status import read_status
    from hpo.search.study import create_or_take_up

    database = open_database(resolve_address(storage), create=True)
    if keep_trials:
        spec = _with_stored_trials(database, name, spec)
    study = create_or_take_up(database, name, spec, code_version=code_version)
    status = read_status(study)
    _talk(f"study [bold]{name}[/] in {database.address}: {status.finished} of {status.budget} trials finished")
    return study


def run_launch(
    spec: StudySpec,
    *,
    name: str,
    keep_trials: bool,
    workers: Count | None,
    storage: str | None,
    data_dir: str | None,
    device: str,
    log_dir: Path,
    checkpoint_dir: str | None,
    workers_per_gpu: Count | None = None,
    ranked: bool = True,
) -> int:
    """Creates the study or takes it up and runs local workers until its trials are finished; returns the exit code.

    keep_trials: the command line named no number of trials, so a stored one stays. workers: all of them;
    workers_per_gpu: on each GPU, or on a machine without; auto measures either. ranked: whether the ranked list of
    trials is printed at the end.
    """
    from hpo.data.development import load_development
    from hpo.data.folder import data_folder
    from hpo.search.database.address import resolve_address
    from hpo.search.queries.status import read_status

    if workers is not None and workers_per_gpu is not None:
        raise UsageError("give --workers, all of them, or --workers-per-gpu, those on each GPU, one of the two")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = data_folder(data_dir)
    address = resolve_address(storage)
    development = load_development(spec.data, folder)
    with Probe() as probe:
        probe.gpus(device)
        study = take_up(spec, name, storage, keep_trials=keep_trials, code_version=probe.code_version())
        status = read_status(study)
        if spec.data.caution and spec.scoring.rows != "official":
            _talk(f"[yellow]caution:[/] {spec.data.caution}")
        if remaining := max(0, status.budget - status.finished):
            places = _places(workers, workers_per_gpu, device, probe, study, development)
            _say_estimate(probe, study, development, places, remaining)
    if remaining:
        plan = LocalPlan(
            study=name,
            address=address.render_as_string(hide_password=False),
            data_dir=str(folder),
            checkpoint_dir=checkpoint_dir,
            seats=places,
            log_dir=log_dir / study.folder,
        )
        if failures := _work(study, LocalWorkers(plan)):
            return _tell_failures(failures)
    if ranked:
        _say_outcome(study)
    return 0


def _with_stored_trials(database: Database, name: str, spec: StudySpec) -> StudySpec:
    from hpo.search.study import open_study

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
) -> tuple[Seat, ...]:
    per_device = workers_per_gpu
    if AUTO in (workers, per_device):
        _talk("measuring how many workers a device bears, which takes a minute or two")
        workers, per_device = None, workers_per_device(study.spec, development, device, probe, _talk)
    assert workers != AUTO
    assert per_device != AUTO
    return seats(workers, device, probe.gpus(device), per_device=per_device)


def _say_estimate(
    probe: Probe, study: Study, development: Development, places: tuple[Seat, ...], remaining: int
) -> None:
    device, threads = places[0].device, sum(place.threads for place in places)
    with _console.status("measuring a training step"):
        seconds = probe.epoch_seconds(study.spec, development, device, threads)
    gpus = len({place.device for place in places if place.device.startswith("cuda")})
    estimate = Estimate(seconds, remaining, study.spec.budget.epochs, trained_share(study.spec), max(1, gpus))
    _talk(_sentence(estimate, device, len(places)))
    if estimate.hours > LONG_HOURS:
        _talk("[yellow]that is long; it starts all the same, and Ctrl-C keeps what is done.[/] Faster would be:")
        for line in advice(study.spec, on_gpu=gpus > 0):
            _talk(f"  - {line.replace('STUDY', study.name)}")


def _sentence(estimate: Estimate, device: str, workers: int) -> str:
    from hpo.text import duration

    pruned = " with pruning" if estimate.trained_share < 1 else ""
    return (
        f"a measured step on {device} with {workers} worker{'s' if workers > 1 else ''} says: one epoch over all folds "
        f"{duration(estimate.epoch_seconds)}, an unpruned trial {duration(estimate.trial_hours * 3600)}, "
        f"{estimate.trials} trials{pruned} about {duration(estimate.hours * 3600)}"
    )


def _work(study: Study, workers: LocalWorkers) -> list[WorkerEnd]:
    from hpo.cli.view import LiveView, PlainView

    view = LiveView(study, _console, hint=_HINT) if sys.stderr.isatty() else PlainView(study, _console)
    try:
        with view:
            return watch(workers, view.look)
    except KeyboardInterrupt:
        _talk("stopped; every trial keeps its place, and the same command goes on")
        raise


def _tell_failures(failures: list[WorkerEnd]) -> int:
    for end in failures:
        how = f"ended with code {end.code}" if end.code > 0 else f"was killed by signal {-end.code} time after time"
        _talk(f"[red]worker {end.name} {how}[/]; the end of {end.log}:")
        print(end.last_lines(), file=sys.stderr)
    if any(end.code < 0 for end in failures):
        _talk("is the memory too small for so many workers? Give fewer --workers; `dmesg` tells who was killed")
        return DeviceError.exit_code
    return next((end.code for end in failures if end.code > 1), 1)


def _say_outcome(study: Study) -> None:
    from hpo.cli.view import page, ranked_table
    from hpo.search.queries.trials import read_best

    page().print(ranked_table(study.name, read_best(study, count=10)))
    _talk(f"more: hpo trials {study.name}, hpo dashboard {study.name}; more trials: the same command, larger --trials")
