"""A real Slurm of one node for tests: slurmctld, slurmd and munged of Debian, without systemd and without cgroups.

Several can run side by side, as root or not, each with a folder, a key, a socket and ports of its own. The node
pretends to have 8 cores and 2 GPUs; a GPU only sets CUDA_VISIBLE_DEVICES. Jobs of the partition `urgent` put those of
`main` back into the queue.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wait import until

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")

_CONF = """\
ClusterName=acceptance
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
CredType=cred/munge
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=30
MinJobAge=3600
ReturnToService=2
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
MailProg=/bin/true
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=8000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=01:00:00 State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=01:00:00 State=UP PriorityTier=10
"""
_GRES = "".join(f"Name=gpu File={file} Flags=nvidia_gpu_env\n" for file in ("/dev/null", "/dev/zero"))


class Cluster:
    """A running Slurm; its clients need SLURM_CONF only."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.conf = folder, folder / "slurm.conf"
        self._waits: dict[str, float] = {}

    def start(self) -> None:
        """Starts it and waits until its node is idle."""
        folder, port = self.folder, _free_ports()
        for name in ("state", "spool"):
            (folder / name).mkdir()
        folder.chmod(0o755)
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        host, user = os.uname().nodename.partition(".")[0], subprocess.check_output(["id", "-un"], text=True).strip()
        self.conf.write_text(_CONF.format(host=host, user=user, folder=folder, port=port, node_port=port + 1))
        (folder / "gres.conf").write_text(_GRES)
        munged = ["munged", "--force", "--num-threads=2", f"--key-file={key}", f"--socket={folder}/munge.sock"]
        munged += [f"--{name}-file={folder}/munge{suffix}" for name, suffix in _MUNGE_FILES.items()]
        for daemon in (munged, ["slurmctld", "-i", "-c"], ["slurmd"]):
            subprocess.run(daemon, env=self._environment(), check=True, stdin=subprocess.DEVNULL, capture_output=True)
        until(lambda: self.run("sinfo", "-h", "-o", "%t").strip() == "idle", tell=self.logs, pause=0.2)

    def stop(self) -> None:
        """Ends all jobs, then the daemons."""
        self.run("scancel", "--full", "--signal=KILL", "--state=RUNNING", check=False)
        self.run("scancel", "--user", str(os.getuid()), check=False)
        with contextlib.suppress(AssertionError):
            until(lambda: not self.run("squeue", "-h", "-t", "R,CG", check=False), 15, pause=0.2)
        for name in ("slurmd", "slurmctld", "munge"):
            with contextlib.suppress(OSError, ValueError):
                process = int((self.folder / f"{name}.pid").read_text())
                os.kill(process, signal.SIGTERM)
                until(lambda process=process: not Path(f"/proc/{process}").exists(), 10)

    def run(self, *command: str, check: bool = True) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(
            command, env=self._environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def states(self, job: str) -> dict[str, str]:
        """States of the jobs of an array, by label."""
        lines = self.run("squeue", "-h", "-r", "-t", "all", "-j", job, "-o", "%i %T").splitlines()
        return dict(line.split() for line in lines)

    def release(self, job: str) -> bool:
        """Lets jobs that were put back into the queue start at once, instead of two minutes later.

        To be called again and again. Not in the first seconds: a job that starts in the second in which its life
        before ended is refused by its node (`Job credential revoked`), and Slurm sets the time once more when it has
        cleaned up.
        """
        now = time.monotonic()
        waiting = {label for label, state in self.states(job).items() if state == "PENDING"}
        self._waits = {label: self._waits.get(label, now) for label in waiting}
        for label in waiting:
            if now - self._waits[label] > 3:
                self.run("scontrol", "update", f"jobid={label}", "StartTime=now", check=False)
                self._waits[label] = now
        return True

    def logs(self) -> str:
        """The logs of its daemons."""
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in sorted(self.folder.glob("*.log")))

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.conf)}


_MUNGE_FILES = {"pid": ".pid", "log": "d.log", "seed": ".seed"}


def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster for a fixture. Without Slurm root installs it, others skip the test; where CI is set it fails."""
    if missing := _missing():
        if os.geteuid() == 0 and shutil.which("apt-get"):
            _install()
        if missing := _missing():
            told = f"no {', '.join(missing)} here; as root: apt-get install {' '.join(PACKAGES)}"
            if os.environ.get("CI"):
                pytest.fail(told)
            pytest.skip(told)
    running = Cluster(folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def _missing() -> list[str]:
    return [name for name in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(name, path=_PATH) is None]


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _install() -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *PACKAGES]):
        subprocess.run(["apt-get", *command], env=environment, check=False, capture_output=True, timeout=300)


def _free_ports() -> int:
    """The first of two neighbouring free ports."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port
    raise AssertionError("no two neighbouring ports are free")
