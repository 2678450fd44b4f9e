"""The batch script of an array of workers.

Its shell starts the workers beside each other, hands the warning before the end of the walltime on to them, waits, and
puts its own job back into the queue if they were interrupted. It holds no address of a database, only the name of the
0600 file that does.
"""

from __future__ import annotations

import re
from shlex import quote

from hpo.host import module_options
from hpo.launch.backends.slurm.plan import MAX_RESTARTS, SlurmPlan
from hpo.launch.backends.slurm.units import write_time

SHORT_SECONDS = 30
"""A job whose workers were interrupted earlier than this, and not by a warning, does not go back into the queue."""


def slug(name: str) -> str:
    """Turn the name of a study into part of a file or job name: letters, digits, dot, dash; never empty."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip(".-")[:40] or "study"


def render(plan: SlurmPlan) -> str:
    """Return the batch script of the plan."""
    command = plan.command
    parts = [
        "#!/bin/bash",
        *(f"#SBATCH --{name}" if value is None else f"#SBATCH --{name}={value}" for name, value in _directives(plan)),
        "",
        f"# Workers of the study {command.study!r}, written by `hpo launch --on slurm`.",
        *_environment(plan),
        "",
        *_worker(plan),
        "",
        f"per_device={plan.per_device} devices={_devices(plan)} requeue={'yes' if plan.requeue else 'no'}",
        f"most_restarts={MAX_RESTARTS} short_seconds={SHORT_SECONDS}",
        _BODY,
    ]
    return "\n".join(parts)


def _directives(plan: SlurmPlan) -> list[tuple[str, str | None]]:
    # In the name of an output file % begins a pattern; blanks need quotes, which sbatch reads as a shell does.
    log = str(plan.log_dir).replace("%", "%%")
    wanted: list[tuple[str, str | None]] = [
        ("job-name", f"hpo-{slug(plan.command.study)}"),
        ("array", f"0-{plan.tasks - 1}"),
        ("output", f'"{log}/%A_%a.log"'),
        ("open-mode", "append"),
        ("signal", f"B:USR2@{plan.warn}"),
        ("requeue" if plan.requeue else "no-requeue", None),
        ("nodes", "1"),
        ("ntasks", "1"),
        ("cpus-per-task", str(plan.cpus)),
    ]
    asked = {
        "partition": plan.partition,
        "account": plan.account,
        "gres": str(plan.gpus) if plan.gpus else None,
        "mem": plan.memory,
        "time": write_time(plan.seconds) if plan.seconds is not None else None,
        "nodelist": plan.node,
        "mail-user": plan.mail,
        "mail-type": plan.mail_type if plan.mail else None,
    }
    return wanted + [(name, value) for name, value in asked.items() if value is not None]


def _environment(plan: SlurmPlan) -> list[str]:
    command = plan.command
    # On some clusters Slurm's commands are of a module, which `module purge` takes away.
    lines = ["scontrol=$(command -v scontrol || echo scontrol)"]
    if plan.modules:
        lines += [
            "type module >/dev/null 2>&1 || source /etc/profile",
            "module purge",
            f"module load {' '.join(plan.modules)} || exit 2",
        ]
    lines += plan.setup
    # After the modules, since one of them may set a proxy.
    hosts = ",".join(["localhost", "127.0.0.1", *([command.database_host] if command.database_host else [])])
    return [
        *lines,
        f"export NO_PROXY={quote(hosts)}${{NO_PROXY:+,$NO_PROXY}}",
        "export no_proxy=$NO_PROXY",
        f"export HPO_STORAGE={quote(f'@{command.address_file}')}",
        f"export HPO_DATA_DIR={quote(str(command.data_dir))}",
        f"export HPO_CHECKPOINT_DIR={quote(command.checkpoint_dir)}",
    ]


def _worker(plan: SlurmPlan) -> list[str]:
    command = plan.command
    devices = _devices(plan)
    python = " ".join([quote(plan.python), *module_options()])
    several = devices > 1 and command.device == "auto"
    # Not auto: on a node whose GPU fails a worker would train on the CPU, many times as long.
    single = "cuda" if plan.gpus and command.device == "auto" else command.device
    device = f'"cuda:$(( $1 % {devices} ))"' if several else quote(single)
    sharing = '"$per_device"' if several else '"$workers"'
    reporters = "".join(f"--reporter {quote(reporter)} " for reporter in command.reporters)
    return [
        "worker() {",
        f"    exec {python} -m hpo worker --device {device} --sharing {sharing} \\",
        f'        --threads "$threads" --worker-name "$job-$1" {reporters}-- {quote(command.study)}',
        "}",
        "measure() {",
        f"    exec {python} -m hpo slurm measure --device {quote(command.device)} \\",
        f"        -- {quote(command.study)}",
        "}",
    ]


def _devices(plan: SlurmPlan) -> int:
    return plan.gpus.count if plan.gpus else 1


_BODY = """\
# SLURM_JOB_ID of the last task of an array is that of the array, so that it would mean all tasks.
task=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
job=$task.${SLURM_RESTART_COUNT:-0}
say() { echo "hpo: job $job on ${SLURMD_NODENAME:-$HOSTNAME}: $*" >&2; }
signal=none
interrupted=no
hand_on() {
    signal=$1 interrupted=yes
    say "$1 came; handed on to the workers"
    kill -USR2 $(jobs -pr) 2>/dev/null
}
trap 'hand_on USR2' USR2
trap 'hand_on TERM' TERM

if [[ $per_device == auto ]]; then
    # In the background, since a trap waits for what runs in the foreground; a signal ends the measuring.
    # The TMPDIR of the submitting host need not exist here.
    found=$(mktemp 2>/dev/null || TMPDIR= mktemp)
    measure >"$found" & wait $!
    per_device=$(tail -n 1 "$found")
    rm -f "$found"
    [[ $per_device =~ ^[1-9][0-9]*$ ]] || { say "could not measure; one worker on each device"; per_device=1; }
fi
workers=$(( per_device * devices ))
threads=$(( ${SLURM_CPUS_PER_TASK:-1} / workers )); (( threads )) || threads=1
say "begins with $workers worker(s), $threads thread(s) each"
pids=()
for (( slot = 0; slot < workers; slot++ )); do
    [[ $signal == none ]] || break
    worker "$slot" & pids+=($!)
done

# A trap ends `wait` early with a code that is not the worker's, so it is waited for again.
given_back=no
failed=0
for pid in ${pids[@]+"${pids[@]}"}; do
    while
        interrupted=no
        wait "$pid"
        code=$?
        [[ $interrupted == yes ]]
    do :; done
    case $code in
        0) ;;
        # 130: released its trial. 138, 140, 143: a signal came before the worker could listen.
        130 | 138 | 140 | 143) given_back=yes ;;
        *) failed=$code; say "a worker ended with code $code" ;;
    esac
done
[[ $signal == none || ${#pids[@]} -gt 0 ]] || given_back=yes

(( failed == 0 )) || exit "$failed"
[[ $given_back == yes ]] || { say "done"; exit 0; }
# After SIGTERM the job was cancelled, or preempted and put back into the queue by Slurm itself.
if [[ $requeue == no || $signal == TERM ]]; then
    say "interrupted; its trials were released"
elif [[ $signal == none ]] && (( SECONDS < short_seconds )); then
    say "its workers gave up at once; not put back into the queue"
elif (( ${SLURM_RESTART_COUNT:-0} >= most_restarts )); then
    say "was put back into the queue $most_restarts times; not again"
elif "$scontrol" requeue "$task"; then
    say "put back into the queue"
    trap 'exit 130' TERM
    sleep 60 & wait
else
    say "could not be put back into the queue; hpo launch goes on"
fi
exit 130
"""
