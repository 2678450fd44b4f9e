"""Run Slurm's commands, each with a time limit."""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from hpo.errors import UsageError

_log = logging.getLogger(__name__)

SECONDS = 30.0
"""Time limit of a command that changes something."""

LOOK_SECONDS = 5.0
"""Time limit of a command that only reads."""

_SECRET_NAMES = ("HPO_STORAGE", "PGPASSWORD", "MYSQL_PWD")
_USER_NAMES = ("USER", "LOGNAME")
_KEPT_SLURM_NAMES = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS")
_HABITS = ("SQUEUE_", "SCANCEL_", "SCONTROL_", "SINFO_")
"""Begin the names of variables with a user's options of commands, as filters of `squeue`, which change the answers."""

_OVERRIDING = {
    "job-name": ("JOB_NAME",),
    "array": ("ARRAY_INX",),
    "output": ("OUTPUT", "ERROR"),
    "open-mode": ("OPEN_MODE",),
    "signal": ("SIGNAL",),
    "requeue": ("REQUEUE", "NO_REQUEUE"),
    "no-requeue": ("REQUEUE", "NO_REQUEUE"),
    "cpus-per-task": ("CPUS_PER_GPU",),
    "partition": ("PARTITION",),
    "account": ("ACCOUNT",),
    "gres": ("GRES", "GPUS", "GPUS_PER_NODE", "GPUS_PER_TASK"),
    "mem": ("MEM_PER_NODE", "MEM_PER_CPU", "MEM_PER_GPU"),
    "time": ("TIMELIMIT",),
}
"""The variables SBATCH_NAME that `sbatch` prefers to an option in the script, or refuses beside it (sbatch(1))."""

_MAY_BE_SUBMITTED = "it may have taken the job all the same: look with `squeue --me`, and end it with `scancel`"

_FORM = "%F|%K|%T|%r|%M|%L|%N|%U|%u"
_NUMBER = re.compile(r"(\d+)(?:;(\S+)?)?")
_NODE_SEPARATORS = 3
_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
_ENDED = (
    *("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "DEADLINE"),
    *("BOOT_FAIL", "LAUNCH_FAILED", "RECONFIG_FAIL", "REVOKED"),
)
"""The states in which a job ends. Slurm adds states of live jobs in new versions, such as POWER_UP_NODE."""


class SlurmSilentError(UsageError):
    """Slurm's commands are missing, did not answer in time, or have no controller."""


class SlurmSlowError(SlurmSilentError):
    """One of Slurm's commands did not answer in time."""


@dataclass(frozen=True)
class Task:
    """One job of an array as `squeue` shows it.

    Attributes:
        task: None if it is no array.
        used, left: as `squeue` writes times.
        owner: who may cancel it; user: the name of that.
    """

    job: str
    task: int | None
    state: str
    reason: str
    used: str
    left: str
    node: str
    owner: str
    user: str

    @property
    def label(self) -> str:
        """`JOB_TASK`, or `JOB`."""
        return self.job if self.task is None else f"{self.job}_{self.task}"

    @property
    def cancellable(self) -> bool:
        """Whether this user may cancel it."""
        return os.getuid() in (0, int(self.owner) if self.owner.isdigit() else os.getuid())

    @property
    def waiting(self) -> bool:
        """Whether it has not started, or was requeued."""
        return self.state in _WAITING

    @property
    def running(self) -> bool:
        """Whether it has a node now, or is in a state that is unknown here, and has not ended."""
        return not self.waiting and self.state not in _ENDED


def submit(script: str, environment: Mapping[str, str]) -> tuple[str, str | None]:
    """Submit a batch script; return the number of its job, and the cluster if `sbatch` names it.

    Raises:
        UsageError: if `sbatch` refuses it.
    """
    try:
        answer = _ask(["sbatch", "--parsable"], SECONDS, script, _for_script(script, environment))
    except SlurmSlowError as error:
        raise SlurmSlowError(f"{error}; {_MAY_BE_SUBMITTED}") from None
    except KeyboardInterrupt:
        _log.warning(f"sbatch was interrupted; {_MAY_BE_SUBMITTED}")
        raise
    if answer.returncode:
        # "Socket timed out": the controller is slow, and may have taken the job. In English, see `_are_unknown`.
        doubt = f"; {_MAY_BE_SUBMITTED}" if "timed out" in answer.stderr else ""
        raise UsageError(f"sbatch refused the job: {_output_of(answer)}{doubt}")
    # JOB or JOB;CLUSTER. The `sbatch` of some sites prints a page of its own before it.
    told = [match for line in answer.stdout.splitlines() if (match := _NUMBER.fullmatch(line.strip()))]
    if not told:
        raise UsageError(f"sbatch does not tell the number of the job ({_output_of(answer)}); {_MAY_BE_SUBMITTED}")
    return told[-1][1], told[-1][2]


def test(script: str, environment: Mapping[str, str]) -> str:
    """Return when and where a script would start (`sbatch --test-only`); raises UsageError if it would be refused."""
    answer = _ask(["sbatch", "--test-only"], SECONDS, script, _for_script(script, environment))
    if answer.returncode:
        raise UsageError(f"sbatch would refuse the job: {_output_of(answer)}")
    return _output_of(answer)


def tasks(jobs: Sequence[str], seconds: float = SECONDS) -> list[Task]:
    """Return the jobs of these arrays that Slurm still knows, including recently ended ones."""
    if not jobs:
        return []
    command = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={','.join(jobs)}", f"--format={_FORM}"]
    answer = _ask(command, seconds)
    if answer.returncode:
        if _are_unknown(answer):
            return []
        raise SlurmSilentError(f"squeue: {_output_of(answer)}")
    return [_task(line) for line in answer.stdout.splitlines() if line.count("|") == _FORM.count("|")]


def cancel(labels: Iterable[str], *, waiting_only: bool = False, cluster: str | None = None) -> None:
    """Cancel jobs, or whole arrays; with waiting_only, only jobs that have not started.

    Args:
        cluster: on which they are; None for that of this host.
    """
    if not (named := list(labels)):
        return
    # --quiet: a job that has just ended is no error.
    options = ["--state=PENDING"] if waiting_only else []
    options += [f"--clusters={cluster}"] if cluster is not None else []
    answer = _ask(["scancel", "--quiet", *options, *named], SECONDS)
    if answer.returncode and not _are_unknown(answer):
        raise UsageError(f"scancel: {_output_of(answer)}")


def cluster_name(seconds: float = SECONDS) -> str:
    """Return the name of the cluster."""
    answer = _ask(["scontrol", "show", "config"], seconds)
    match = re.search(r"^ClusterName\s*=\s*(\S+)", answer.stdout, re.MULTILINE)
    if answer.returncode or match is None:
        raise SlurmSilentError(f"scontrol: {_output_of(answer)}")
    return match[1]


def partition_lines() -> list[str]:
    """Return a line of NAME=VALUE for each partition that this user sees."""
    return _lines(["scontrol", "--oneliner", "show", "partition"])


def node_lines() -> list[str]:
    """Return `PARTITION|CORES|MEGABYTES|GRES` for each node in each partition that this user sees."""
    lines = _lines(["sinfo", "--noheader", "--Node", "--format=%R|%c|%m|%G"])
    return [line for line in lines if line.count("|") >= _NODE_SEPARATORS]


def accounts(user: str) -> list[str]:
    """Return the accounts that a user may charge; empty if Slurm keeps none or does not tell."""
    command = ["sacctmgr", "--noheader", "--parsable2", "show", "associations", f"user={user}", "format=account"]
    try:
        return sorted({line.strip() for line in _lines(command) if line.strip()})
    except SlurmSilentError:
        return []


def module_names() -> list[str]:
    """Return the names that `module avail` shows in a login shell; empty without a module system."""
    try:
        # Lmod prints to stderr, Environment Modules to either, by version.
        answer = _ask(["bash", "-lc", "module -t avail 2>&1"], SECONDS)
    except SlurmSilentError:
        return []
    return [] if answer.returncode else [line.strip() for line in answer.stdout.splitlines()]


def job_environment(environment: Mapping[str, str] = os.environ, secret: str | None = None) -> dict[str, str]:
    """Return the environment for a job: without database address or password, and without that of an outer job."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _SECRET_NAMES
        and not (secret and len(secret) > 3 and name not in _USER_NAMES and _has_password(value, secret))
        and (not name.startswith("SLURM_") or name in _KEPT_SLURM_NAMES)
    }


def _has_password(value: str, secret: str) -> bool:
    """Return whether the value of a variable has a password in it, as it is or as in an address.

    A part of a path is none: who takes the own name for a password has it in HOME and PATH.
    """
    forms = "|".join({re.escape(secret), re.escape(quote(secret, safe=""))})
    without_paths = re.sub(rf"/({forms})(?=[/:]|$)", "/", value)
    return re.search(rf"(?<![^\W_])({forms})(?![^\W_])", without_paths) is not None


def _for_script(script: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would override the script's own options, or let `sbatch` wait for the end."""
    options = re.findall(r"^#SBATCH --([a-z-]+)", script, re.MULTILINE)
    dropped = {"SBATCH_WAIT", *(f"SBATCH_{name}" for option in options for name in _OVERRIDING.get(option, ()))}
    return {name: value for name, value in environment.items() if name not in dropped}


def _lines(command: list[str]) -> list[str]:
    answer = _ask(command, SECONDS)
    if answer.returncode:
        raise SlurmSilentError(f"{command[0]}: {_output_of(answer)}")
    return [line for line in answer.stdout.splitlines() if line.strip()]


def _task(line: str) -> Task:
    job, task, *others = (part.strip() for part in line.split("|"))
    return Task(job, int(task) if task.isdigit() else None, *others)


def _ask(
    command: list[str], seconds: float, script: str | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    given: dict[str, object] = {"input": script} if script is not None else {"stdin": subprocess.DEVNULL}
    if environment is None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_HABITS)}
    # What a site's own plug-in prints may be in any encoding.
    given |= {"encoding": "utf-8", "errors": "replace"}
    try:
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            command, env=environment, capture_output=True, timeout=seconds, check=False, **given
        )
    except FileNotFoundError:
        raise SlurmSilentError(
            f"{command[0]} is not on this machine; run the command on a login node of the cluster"
        ) from None
    except subprocess.TimeoutExpired:
        raise SlurmSlowError(f"{command[0]} did not answer within {seconds:.0f} s; try again later") from None
    except OSError as error:
        raise SlurmSilentError(f"{command[0]} cannot be run: {error.strerror}") from None


def _are_unknown(answer: subprocess.CompletedProcess[str]) -> bool:
    """Return whether a command failed because Slurm no longer knows the jobs."""
    # The error is ESLURM_INVALID_JOB_ID, but the commands print only its text and exit with 1 whatever failed. The text
    # is English in every locale (tests/quirks/test_slurm_messages.py).
    return "Invalid job id" in answer.stderr


def _output_of(answer: subprocess.CompletedProcess[str]) -> str:
    lines = [line.split(": error: ")[-1].strip() for line in (answer.stderr + answer.stdout).splitlines()]
    return "; ".join(line for line in lines if line) or f"{answer.args[0]} ended with code {answer.returncode}"
