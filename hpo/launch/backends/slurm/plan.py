"""Check the options of a Slurm job against the cluster's limits, and make the plan of the job."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TypeVar

from hpo.errors import UsageError, did_you_mean
from hpo.files import expanded
from hpo.launch.backends.local import AUTO, Count
from hpo.launch.backends.slurm.own_presets import find_preset
from hpo.launch.backends.slurm.presets import ANY_GPU, GENERIC, PRESETS, Partition, Preset
from hpo.launch.backends.slurm.units import Gpus, read_gres, read_memory, read_time, write_time

WARN_SECONDS = 120
"""Seconds before the end of its walltime at which a job is warned."""

MAX_RESTARTS = 100
"""How often a job requeues itself."""

MEMORY_GB = 8
"""Default memory request per worker; a worker on 28 pixel images was measured at under 3 GB."""

CORES = 4
"""Default number of cores per worker with a GPU."""

MAIL_ON = "END,FAIL"
"""When Slurm sends a mail if nothing else is asked for; of an array, one for all of its jobs."""

_MAIL_TYPES = (
    *("NONE", "ALL", "BEGIN", "END", "FAIL", "REQUEUE", "INVALID_DEPEND", "STAGE_OUT", "ARRAY_TASKS"),
    *("TIME_LIMIT", "TIME_LIMIT_90", "TIME_LIMIT_80", "TIME_LIMIT_50"),
)

AUTO_WORKERS = 4
"""Workers on each GPU, or in a job without, for which a job asks cores and memory if it is to measure their number."""

T = TypeVar("T")


@dataclass(frozen=True)
class SlurmOptions:
    """Options of the command line; None where the preset decides."""

    preset: str = "generic"
    workers: Count | None = None
    workers_per_gpu: Count | None = None
    account: str | None = None
    partition: str | None = None
    gres: str | None = None
    time: str | None = None
    memory: str | None = None
    cpus: int | None = None
    modules: str | None = None
    venv: str | None = None
    setup: tuple[str, ...] = ()
    warn: int = WARN_SECONDS
    requeue: bool = True
    one_node: bool = False
    mail: str | None = None
    mail_type: str = MAIL_ON


@dataclass(frozen=True)
class WorkerCommand:
    """What each worker is started with.

    address_file: the 0600 file with the database's address; database_host: the host in it, None for a file;
    checkpoint_dir: a folder that all hosts share, or `none`; reporters: as `LaunchRequest` has them.
    """

    study: str
    address_file: Path
    database_host: str | None
    data_dir: Path
    checkpoint_dir: str
    log_dir: Path
    device: str = "auto"
    reporters: tuple[str, ...] = ()


@dataclass(frozen=True)
class SlurmPlan:
    """An array of jobs, each with some workers, as its script asks for it. seconds, memory: None for the cluster's own.

    tasks: jobs of the array; workers: in each job, for `auto` those that it asks cores and memory for; per_device: on
    each GPU, or in a job without; node: the only host that may run them, None for any; mail: who gets a mail of Slurm,
    None for nobody; mail_type: when.
    """

    preset: Preset
    command: WorkerCommand
    tasks: int
    workers: int
    per_device: Count
    cpus: int
    gpus: Gpus | None
    partition: str | None
    account: str | None
    seconds: int | None
    memory: str | None
    modules: tuple[str, ...]
    setup: tuple[str, ...]
    python: str
    warn: int
    requeue: bool
    node: str | None
    mail: str | None
    mail_type: str

    @property
    def log_dir(self) -> Path:
        """Return the folder of the logs of all jobs."""
        return self.command.log_dir


def make_plan(options: SlurmOptions, command: WorkerCommand) -> SlurmPlan:
    """Make the plan for these options; raises UsageError with everything that the cluster would refuse."""
    reader = _OptionReader(options, find_preset(options.preset))
    plan = reader.plan(command)
    if reader.problems:
        raise UsageError("\n  ".join([f"the job cannot run on {reader.preset.title}:", *reader.problems]))
    return plan


class _OptionReader:
    """Read the options one by one and collect problems in `problems`."""

    def __init__(self, options: SlurmOptions, preset: Preset) -> None:
        self.options, self.preset = options, preset
        self.problems: list[str] = []

    def plan(self, command: WorkerCommand) -> SlurmPlan:
        options, preset = self.options, self.preset
        name = options.partition or next(iter(preset.partitions), None)
        self._match("--partition", name, r"[\w.-]+(,[\w.-]+)*", "a name of a partition")
        partition = preset.partitions.get(name or "")
        gpus = self._gpus(partition, name)
        per_device = options.workers_per_gpu or 1
        workers = (AUTO_WORKERS if per_device == AUTO else per_device) * (gpus.count if gpus else 1)
        seconds = self._seconds(partition, name)
        return SlurmPlan(
            preset=preset,
            command=command,
            tasks=self._tasks(),
            workers=workers,
            per_device=per_device,
            cpus=self._cpus(workers, gpus),
            gpus=gpus,
            partition=name,
            account=self._account(),
            seconds=seconds,
            memory=self._memory(workers),
            modules=self._modules(),
            setup=self._setup(),
            python=str(expanded(options.venv).absolute() / "bin/python") if options.venv else sys.executable,
            warn=self._warn(seconds),
            requeue=options.requeue,
            node=self._node(),
            mail=self._mail(),
            mail_type=self._mail_type(),
        )

    def _tasks(self) -> int:
        if self.options.workers == AUTO:
            self.problems.append(
                "--workers auto: a number of jobs is not measured; give one, and --workers-per-gpu auto"
            )
            return 1
        return self.options.workers or 1

    def _gpus(self, partition: Partition | None, name: str | None) -> Gpus | None:
        if self.options.gres is None:
            kind = next(iter(partition.gpus), None) if partition else None
            return Gpus(None if kind == ANY_GPU else kind, 1) if kind else None
        gpus = self._read("--gres", self.options.gres, read_gres)
        if gpus is None or partition is None:
            return gpus
        key = gpus.kind or ANY_GPU
        if not partition.gpus:
            self.problems.append(f"--gres {gpus}: partition {name} has no GPU; leave --gres out or choose another")
        elif gpus.kind is None and ANY_GPU not in partition.gpus:
            self.problems.append(f"--gres {gpus}: name the type of GPU, one of {', '.join(partition.gpus)}")
        elif key not in partition.gpus:
            self.problems.append(f"--gres {gpus}: partition {name} has no {gpus.kind}; it has {self._kinds(partition)}")
        elif (most := partition.gpus[key]) is not None and gpus.count > most:
            self.problems.append(
                f"--gres {gpus}: a node has {most} {gpus.kind or 'GPUs'}; ask for at most {most} in each job"
            )
        return gpus

    def _kinds(self, partition: Partition) -> str:
        here = ", ".join(partition.gpus)
        others = [
            f"{', '.join(other.gpus)} in {name}"
            for name, other in self.preset.partitions.items()
            if other.gpus and other is not partition
        ]
        return "; ".join([here, *others])

    def _seconds(self, partition: Partition | None, name: str | None) -> int | None:
        longest = partition.seconds if partition else None
        if self.options.time is None:
            default = self.preset.seconds
            return min(default, longest) if default and longest else default
        seconds = self._read("--time", self.options.time, read_time)
        if seconds is not None and longest is not None and seconds > longest:
            self.problems.append(
                f"--time {write_time(seconds)} is above {write_time(longest)}, the limit of partition {name}; "
                "at its time limit a job releases its trial, is requeued and resumes"
            )
        return seconds

    def _warn(self, seconds: int | None) -> int:
        if seconds is not None and seconds < 2 * self.options.warn:
            self.problems.append(
                f"--time {write_time(seconds)} leaves no time to train before a warning {self.options.warn} s before "
                "its end; give a longer --time or a shorter --warn"
            )
        return self.options.warn

    def _cpus(self, workers: int, gpus: Gpus | None) -> int:
        most = self.preset.cores
        cpus = self.options.cpus or min(workers * CORES if gpus else max(workers, CORES), most or sys.maxsize)
        if most is not None and cpus > most:
            self.problems.append(f"--cpus {cpus}: a node has {most} cores")
        if cpus < workers:
            self.problems.append(f"--cpus {cpus}: {workers} workers in a job need a core each")
        return cpus

    def _memory(self, workers: int) -> str | None:
        most = self.preset.memory_gb
        if self.options.memory is None:
            return None if not self.preset.partitions else f"{min(workers * MEMORY_GB, most or sys.maxsize)}G"
        megabytes = self._read("--memory", self.options.memory, read_memory)
        if megabytes is not None and most is not None and megabytes > most * 1024:
            self.problems.append(f"--memory {self.options.memory}: a node has {most} GB")
        return self.options.memory.strip().upper().removesuffix("B")

    def _account(self) -> str | None:
        digits, account = self.preset.account_digits, self.options.account or self.preset.account
        if digits is not None:
            self._match("--account", account, rf"\d{{{digits}}}", f"an account of {digits} digits")
        else:
            self._match("--account", account, r"[\w.@-]+", "a name of an account")
        return account

    def _modules(self) -> tuple[str, ...]:
        if self.options.modules is None:
            return self.preset.modules
        modules = () if self.options.modules.strip() == "none" else tuple(self.options.modules.split())
        for module in modules:
            self._match(
                "--modules", module, r"[\w.+-]+(/[\w.+-]+)*", "names of modules, with blanks between them, or none"
            )
        return modules

    def _setup(self) -> tuple[str, ...]:
        if self.options.venv is None:
            return self.options.setup
        folder = expanded(self.options.venv).absolute()
        if not (folder / "bin" / "activate").is_file():
            self.problems.append(f"--venv {folder}: there is no bin/activate in it; make it with python -m venv")
        return (f"source {quote(str(folder / 'bin' / 'activate'))}", *self.options.setup)

    def _node(self) -> str | None:
        if not self.options.one_node:
            return None
        if self.preset.name in PRESETS and self.preset.name != GENERIC:
            self.problems.append("--one-node: jobs of this cluster run elsewhere than on this host; leave it out")
        return os.uname().nodename.partition(".")[0]

    def _mail(self) -> str | None:
        # sbatch takes a comma for the next address, and a directive ends at a blank.
        self._match("--mail", self.options.mail, r"[\w.+-]+(@[\w.-]+)?", "a user of the cluster, or one mail address")
        return self.options.mail

    def _mail_type(self) -> str:
        kinds = self.options.mail_type.upper().split(",")
        if unknown := [kind for kind in kinds if kind not in _MAIL_TYPES]:
            meant = did_you_mean(unknown[0], _MAIL_TYPES)
            self.problems.append(f"--mail-type {unknown[0]!r}: give some of {', '.join(_MAIL_TYPES)}{meant}")
        if self.options.mail is None and self.options.mail_type != MAIL_ON:
            self.problems.append(f"--mail-type {self.options.mail_type}: give --mail with it, who gets the mails")
        return ",".join(kinds)

    def _read(self, option: str, text: str, read: Callable[[str], T]) -> T | None:
        try:
            return read(text)
        except ValueError as error:
            self.problems.append(f"{option} {text!r}: {error}")
            return None

    def _match(self, option: str, text: str | None, form: str, wanted: str) -> None:
        if text is not None and not re.fullmatch(form, text):
            self.problems.append(f"{option} {text!r}: give {wanted}")
