"""One real launch, which trains, through an outage of its PostgreSQL, with `hpo status --watch` beside it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.fault_harness.parents import environment
from benchmarks.fault_harness.servers import PrivatePostgres
from hpo.errors import HpoError
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queries.status import StudyStatus, read_status
from hpo.search.study import open_study
from tests.search.proxy import Proxy

STUDY = "digits"
SMALL = (
    "budget.epochs=2", "fixed.batch_size=128", "search.pruner=none", "scoring.rows=holdout", "fixed.input_size=8"
)  # fmt: skip


def run(seconds: float, trials: int, limit: float = 600.0) -> dict[str, Any]:
    """Launch a study of the digits, stop the server for `seconds` once a trial is finished, and wait for the end.

    limit: seconds after the outage, and for the first trial.
    """
    with tempfile.TemporaryDirectory(prefix="hpo-outage-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)
        (folder / "server").mkdir()
        server = PrivatePostgres(folder / "server")
        try:
            with Proxy("127.0.0.1", server.port) as proxy:
                direct = server.address("outage")
                reached = resolve_address(direct).set(port=proxy.port).render_as_string(hide_password=False)
                return _run(server, direct, reached, folder, seconds, trials, limit)
        finally:
            server.close()


def _run(
    server: PrivatePostgres, direct: str, reached: str, folder: Path, seconds: float, trials: int, limit: float
) -> dict[str, Any]:
    overrides = [word for setting in SMALL for word in ("--set", setting)]
    launch = _hpo(folder, "launch", "--dataset", STUDY, "--trials", str(trials), *overrides, "--storage", reached)
    watch = None
    try:
        before = _first_trial(direct, launch, limit)
        watch = _hpo(folder, "status", STUDY, "--watch", "--storage", reached)
        time.sleep(min(2.0, seconds))
        began = time.monotonic()
        server.go_away(seconds)
        outage = time.monotonic() - began
        lived = {"launch": launch.poll() is None, "watch": watch.poll() is None}
        codes = {"launch": _code(launch, limit), "watch": _code(watch, 60.0)}
        after = _read(direct)
        texts = {name: (folder / f"{name}.log").read_text(errors="replace") for name in ("launch", "status")}
    finally:
        for process in (launch, watch):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait()
    found = {
        "outage, seconds": round(outage, 1),
        "budget": trials,
        "finished before": before.finished,
        "finished": after.finished if after else None,
        "lived through it": lived,
        "exit codes": codes,
    }
    sound = after is not None and after.finished == trials and all(lived.values()) and not any(codes.values())
    broken = [] if sound else [str(found)]
    broken += [f"traceback in {name}: {text[-2000:]}" for name, text in texts.items() if "Traceback" in text]
    return {**found, "broken": broken}


def _hpo(folder: Path, command: str, *words: str) -> subprocess.Popen[bytes]:
    with (folder / f"{command}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "hpo", command, *words],
            cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip


def _first_trial(address: str, launch: subprocess.Popen[bytes], limit: float) -> StudyStatus:
    end = time.monotonic() + limit
    while launch.poll() is None and time.monotonic() < end:
        status = _read(address)
        if status is not None and status.finished:
            return status
        time.sleep(0.2)
    raise RuntimeError(f"no trial was finished; the launch ended with {launch.poll()}")


def _read(address: str) -> StudyStatus | None:
    """The status; None before there is a study."""
    try:
        database = open_database(resolve_address(address), create=False)
        try:
            return read_status(open_study(database, STUDY))
        finally:
            database.close()
    except HpoError:
        return None


def _code(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
