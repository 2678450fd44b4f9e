"""Check the environment: Slurm, and an HTTP proxy between here and the cluster's own hosts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from urllib.request import getproxies_environment, proxy_bypass

from hpo.launch.doctor.finding import Finding, ok, warning

SLURM_SECONDS = 15.0
_COMMANDS = ("sbatch", "squeue", "scontrol", "scancel")


def look_at_slurm() -> Iterator[Finding]:
    """Check Slurm's commands, whether its controller answers, the cluster's name, and this process's job, if any."""
    missing = [command for command in _COMMANDS if shutil.which(command) is None]
    if "sbatch" in missing:
        yield ok("slurm", "not installed; workers run on this machine only")
        return
    if missing:
        yield warning("slurm", f"{', '.join(missing)}: not found", "load Slurm's module, or correct PATH")
    try:
        done = subprocess.run(
            ["scontrol", "show", "config"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SLURM_SECONDS,
            check=False,
        )
        failed = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except (OSError, subprocess.TimeoutExpired) as error:
        yield warning("slurm", f"scontrol does not answer: {error}", "try again later; the controller may be busy")
        return
    if failed:
        yield warning("slurm", failed[0], "try again later; the controller may be down")
        return
    cluster = re.search(r"^ClusterName\s*=\s*(\S+)", done.stdout, re.MULTILINE)
    release = re.search(r"^SLURM_VERSION\s*=\s*(\S+)", done.stdout, re.MULTILINE)
    job = os.environ.get("SLURM_JOB_ID")
    inside = f", inside job {job}" if job else ""
    yield ok("slurm", f"cluster {cluster[1] if cluster else '?'}, Slurm {release[1] if release else '?'}{inside}")


def look_at_proxy(database_host: Callable[[], str | None]) -> Iterator[Finding]:
    """Check for an HTTP proxy, as on HPRC's compute nodes, and whether NO_PROXY exempts the database's host."""
    proxies = getproxies_environment()
    via = sorted({name for name in proxies if name in ("http", "https", "all")})
    if not via:
        yield ok("proxy", "none set")
        return
    host = database_host()
    if host is None or proxy_bypass(host):
        yield ok("proxy", f"set for {', '.join(via)}" + (f", but not for {host}" if host else ""))
        return
    yield warning(
        "proxy",
        f"set for {', '.join(via)}, but NO_PROXY does not include the database's host {host}",
        f"export NO_PROXY=${{NO_PROXY:+$NO_PROXY,}}{host}",
    )
