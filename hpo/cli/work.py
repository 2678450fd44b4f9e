"""Options of commands that start workers, and starting them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import fields, replace
from functools import wraps
from pathlib import Path
from typing import Any, TypedDict

import click
from click.core import ParameterSource

from hpo.cli.asking import agrees
from hpo.cli.common import (
    CountOrAuto,
    F,
    checkpoint_dir_option,
    data_dir_option,
    device_option,
    log_dir_option,
    reporter_option,
    reporter_texts,
    storage_option,
    tensorboard_option,
)
from hpo.cli.completers import complete_backends, complete_presets
from hpo.cli.interrupts import interrupt
from hpo.cli.render.progress import download_bar
from hpo.cli.render.status import watching
from hpo.cli.streams import say, show
from hpo.data.folder import data_folder
from hpo.errors import UsageError
from hpo.launch.backends.base import BACKENDS, LaunchRequest
from hpo.launch.backends.local import INTERRUPTED, Count
from hpo.launch.backends.slurm.backend import prepare_request
from hpo.launch.backends.slurm.plan import MAIL_ON, SlurmOptions
from hpo.launch.backends.slurm.presets import GENERIC
from hpo.launch.backends.slurm.submit import Prepared
from hpo.launch.notify import Event, Notifier, check_target
from hpo.launch.session import Launched, launch
from hpo.search.creation import BudgetRule
from hpo.search.queries.status import read_status
from hpo.study.spec import StudySpec


class Work(TypedDict):
    """Where workers run and what they are started with: options of `launch`."""

    on: str
    workers: Count | None
    workers_per_gpu: Count | None
    storage: str | None
    data_dir: str | None
    device: str
    log_dir: Path
    checkpoint_dir: str | None
    yes: bool
    reporters: tuple[str, ...]
    slurm: SlurmOptions
    notifier: Notifier


class BackendName(click.ParamType):  # type: ignore[type-arg]
    """The name of a registered backend."""

    name = "backend"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        """Return all names, as `click.Choice` shows them."""
        return f"[{'|'.join(BACKENDS.names())}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; fail with the legal ones."""
        if value not in BACKENDS:
            self.fail(f"{value!r} is not one of {', '.join(map(repr, BACKENDS.names()))}.", param, ctx)
        return str(value)


_ON = click.option(
    "--on",
    type=BackendName(),
    shell_complete=complete_backends,
    default="local",
    show_default=True,
    help="Where workers run: here, as an array of Slurm jobs, nowhere yet (hpo worker attaches them), or a plug-in.",
)

_WORKER_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--workers",
        metavar="N|auto",
        type=CountOrAuto(),
        help="Local workers, or jobs; auto: on a GPU the number that is fastest, measured once.  "
        "[default: one per GPU; on a CPU as many as cores and memory allow]",
    ),
    log_dir_option,
    checkpoint_dir_option,
    storage_option,
    data_dir_option,
    device_option,
    reporter_option,
    tensorboard_option,
    click.option(
        "--workers-per-gpu",
        metavar="N|auto",
        type=CountOrAuto(),
        help="Workers that share a GPU, or a machine or job without one; auto: on a GPU the number that is fastest, on "
        "a CPU as many as cores and memory allow.  [default: 1]",
    ),
)

_NOTIFY = click.option(
    "--notify",
    metavar="COMMAND|URL",
    multiple=True,
    help="Tell a shell command or an HTTP address when the study ends or fails, or has a new best after its "
    "confirmation; may be repeated.",
)
_YES = click.option("--yes", "-y", is_flag=True, help="Start without asking, even what takes days.")

_SLURM_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--preset",
        metavar="NAME",
        default=GENERIC,
        shell_complete=complete_presets,
        help="The cluster, or one of your own; see hpo slurm presets, hpo cluster init.  [default: generic]",
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
        help="How long before the end of its walltime a job releases its trials.  [default: 120]",
    ),
    click.option(
        "--requeue/--no-requeue",
        default=True,
        help="Whether a job that was interrupted goes back into the queue.  [default: requeue]",
    ),
    click.option("--one-node", is_flag=True, help="Keep all jobs on this host, where a SQLite file may serve them."),
    click.option(
        "--mail", metavar="USER", help="Let Slurm send USER, or an address, a mail when the jobs end or fail."
    ),
    click.option(
        "--mail-type",
        metavar="TYPE[,TYPE]...",
        default=MAIL_ON,
        help="When Slurm sends a mail, as sbatch takes it.  [default: END,FAIL]",
    ),
)

_SLURM_NAMES = {field.name for field in fields(SlurmOptions)} - {"workers", "workers_per_gpu"}
_ONLY_WITH_SLURM = {*_SLURM_NAMES, "test_only", "dry_run"}


def work_options(command: F) -> F:
    """Add `--on` and the options of workers and jobs; the command gets them as one argument, `work`."""
    return _collected(command, (_ON, *_WORKER_OPTIONS, _NOTIFY, _YES, *_SLURM_OPTIONS))


def network_work_options(command: F) -> F:
    """Add the same options but that of checkpoints, which final networks have in the folder of the result."""
    options = (option for option in _WORKER_OPTIONS if option is not checkpoint_dir_option)
    return _collected(command, (_ON, *options, _NOTIFY, _YES, *_SLURM_OPTIONS))


def job_options(command: F) -> F:
    """Add the options of workers and jobs to a command about jobs only; see `work_options`."""
    return _collected(command, (*_WORKER_OPTIONS, *_SLURM_OPTIONS))


def _collected(command: F, options: tuple[Callable[[Any], Any], ...]) -> F:
    @wraps(command)
    def collected(**arguments: Any) -> Any:
        if arguments.setdefault("on", "slurm") != "slurm":
            _refuse_slurm_options()
        slurm = SlurmOptions(**{name: arguments.pop(name) for name in _SLURM_NAMES})
        arguments["reporters"] = reporter_texts(arguments.pop("reporter"), arguments.pop("tensorboard"))
        targets = arguments.pop("notify", ())
        for target in targets:
            check_target(target)
        notifier = Notifier(targets, arguments.get("study_name"))
        names = Work.__annotations__.keys() - {"slurm", "notifier"}
        work = {name: arguments.pop(name, None) for name in names} | {"slurm": slurm, "notifier": notifier}
        with notifier.told_of_failure():
            return command(work=work, **arguments)

    decorated: Any = collected
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def _refuse_slurm_options() -> None:
    """Raise UsageError if an option of jobs was given without `--on slurm`."""
    context = click.get_current_context()
    for name in sorted(_ONLY_WITH_SLURM):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name.replace('_', '-')} is an option of jobs; give --on slurm with it")


def start(
    spec: StudySpec,
    name: str,
    work: Work,
    *,
    budget: BudgetRule = "extend",
    hours: float | None = None,
    sets_trials: bool = False,
    extend: bool = False,
) -> Launched:
    """Create or resume a study and start its workers, under a live view if they are local; print the number of a job.

    Args:
        budget: what becomes of the number of trials of a study that exists.
        hours: after which workers end; None for no limit.
        sets_trials: whether the number of trials follows from `hours`.
        extend: whether the space of a study that exists becomes that of `spec`, if that is wider.
    """
    if waits(work):
        # SIGTERM ends this process as Ctrl-C does, after its workers.
        signal.signal(signal.SIGTERM, interrupt)
    work["notifier"].study = name
    request = replace(_request(name, work), hours=hours, sets_trials=sets_trials)
    launched = launch(spec, request, on=work["on"], budget=budget, extend=extend)
    _tell(launched, work)
    if launched.submission is not None and launched.submission.job is not None:
        show(launched.submission.job)
    return launched


def _tell(launched: Launched, work: Work) -> None:
    """Tell whom `--notify` names that the workers of a study have ended, if this command started any."""
    notifier = work["notifier"]
    if launched.submission is None or not notifier.targets:
        return
    name = launched.study.name
    if not waits(work):
        say(f"--notify: with --on {work['on']} nobody is told when workers end, since this command does not wait")
        return
    status = read_status(launched.study)
    event = Event.ENDED if status.is_done else Event.STOPPED
    text = f"study {name} {event}: {status.finished} of {status.budget} trials finished"
    auc = status.best.auc if status.best is not None else None
    best = "" if auc is None else f", best validation AUC {auc:.3f}"
    notifier.tell(name, event, text + best, finished=status.finished, trials=status.budget, auc=auc)


def prepare_job(name: str, work: Work) -> Prepared:
    """Make the job of a study's workers; nothing is stored."""
    return prepare_request(_request(name, work))


def waits(work: Work) -> bool:
    """Return whether the command waits for its workers."""
    return BACKENDS.find(work["on"]).waits


def exit_code(work: Work, *, is_done: bool) -> int:
    """The exit code of a command that started workers: 130 if they have ended and trials are left, else 0."""
    return INTERRUPTED if waits(work) and not is_done else 0


def _request(name: str, work: Work) -> LaunchRequest:
    return LaunchRequest(
        study=name,
        storage=work["storage"],
        data_dir=data_folder(work["data_dir"]),
        log_dir=work["log_dir"],
        workers=work["workers"],
        workers_per_gpu=work["workers_per_gpu"],
        device=work["device"],
        checkpoint_dir=work["checkpoint_dir"],
        reporters=work["reporters"],
        options=work["slurm"] if work["on"] == "slurm" else None,
        watching=watching,
        agrees=(lambda _hours: True) if work["yes"] else agrees,
        downloading=download_bar,
    )


def print_script(job: Prepared) -> None:
    """Print the batch script of a job, and say so if it reads an address file that is not there yet."""
    show(job.script, end="")
    if job.address.text is not None and not job.address.file.exists():
        say(f"hpo: the script reads {job.address.file}, which `hpo launch --on slurm` writes")
