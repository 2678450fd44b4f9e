"""The shell scripts around the product, with a Python and a service of the tests' own in place of what they start."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.wait import until

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

PYTHON = f"""#!/bin/bash
[ "$1" = -c ] && exec {sys.executable} "$@"
shift 2
echo "$1" >>"$LOG"
file=${{HPO_STORAGE#sqlite:///}}
case $1 in
launch) cat "$file" >>"$LOG" 2>/dev/null; echo trials >>"$file" ;;
confirm) [ -z "$HANG" ] || sleep 1000 ;;
finalize) mkdir -p "$WORK/results/models"; touch "$WORK/results/final.json" ;;
esac
if [ "$1" = "$WAITS" ]; then
    trap 'echo interrupted >>"$SEEN"; exit 130' INT
    echo waits >>"$SEEN"
    for _ in $(seq 3000); do sleep .01; done
fi
if [ "$1 $2" = "db backup" ]; then cp "$file" "$3"; fi
[ "$1" != "$FAILS" ] || exit 7
"""


def script(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def campaign(folder: Path, **environment: str) -> tuple[int, list[str]]:
    """Run it on made-up commands of hpo; return its exit code, and the commands with what the first read."""
    log = folder / "log"
    log.unlink(missing_ok=True)
    own = {"PYTHON": str(script(folder, "python", PYTHON)), "WORK": str(folder / "work"), "KEEP": str(folder / "keep")}
    command = [str(BENCHMARKS / "campaign.sh"), "digits"]
    done = subprocess.run(command, env=os.environ | own | {"LOG": str(log)} | environment, timeout=300, check=False)
    return done.returncode, log.read_text().split()


def test_a_campaign_goes_from_the_search_to_sealed_networks_and_saves_its_database(tmp_path: Path) -> None:
    assert campaign(tmp_path) == (0, ["launch", "confirm", "finalize", "db", "status"])
    assert (tmp_path / "keep" / "campaign.sqlite3").read_text() == "trials\n"
    assert not (tmp_path / "keep" / "campaign").exists()


def test_a_reason_opens_the_test_set_and_keeps_the_result_without_networks(tmp_path: Path) -> None:
    code, commands = campaign(tmp_path, OPEN="the first one")
    assert (code, commands[3:5]) == (0, ["finalize", "report"])
    assert [path.name for path in (tmp_path / "keep" / "campaign").iterdir()] == ["final.json"]


def test_a_campaign_goes_on_from_what_was_kept_on_another_machine(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "campaign.sqlite3").write_text("kept\n")
    assert campaign(tmp_path)[1][:2] == ["launch", "kept"]
    assert campaign(tmp_path)[1][:3] == ["launch", "kept", "trials"]


def test_a_command_that_fails_ends_a_campaign_with_its_code(tmp_path: Path) -> None:
    assert campaign(tmp_path, FAILS="confirm") == (7, ["launch", "confirm", "db", "status"])


@pytest.mark.slow
def test_a_campaign_whose_time_is_over_saves_and_says_that_something_is_left(tmp_path: Path) -> None:
    code, commands = campaign(tmp_path, HANG="yes", HOURS=str(2 / 3600), LEAST_SECONDS="0")
    assert (code, commands[0], commands[-2:]) == (124, "launch", ["db", "status"])
    assert "finalize" not in commands
    assert (tmp_path / "keep" / "campaign.sqlite3").exists()


def at_terminal() -> None:
    """Make stdin the terminal of this new process, and let Ctrl-C end it also where pytest was told to ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_ctrl_c_at_a_terminal_ends_the_command_and_saves(tmp_path: Path) -> None:
    log, seen = tmp_path / "log", tmp_path / "seen"
    own = {"PYTHON": str(script(tmp_path, "python", PYTHON)), "WORK": str(tmp_path / "wo rk"), "SEEN": str(seen)}
    own |= {"KEEP": str(tmp_path / "ke ep"), "LOG": str(log), "WAITS": "confirm"}
    terminal, inside = pty.openpty()
    with subprocess.Popen(
        [str(BENCHMARKS / "campaign.sh"), "digits"],
        env=os.environ | own,
        stdin=inside,
        start_new_session=True,
        preexec_fn=at_terminal,
    ) as started:
        until(seen.exists)
        os.write(terminal, b"\x03")
        assert started.wait(timeout=300) == 124
    os.close(terminal)
    os.close(inside)
    assert (seen.read_text().split(), log.read_text().split()) == (
        ["waits", "interrupted"],
        ["launch", "confirm", "db", "status"],
    )
    assert [path.name for path in (tmp_path / "ke ep").iterdir()] == ["campaign.sqlite3"]


SERVICE = """#!/bin/bash
if [ "$1" = -d ]; then touch "$CUDA_MPS_PIPE_DIRECTORY/runs"; exit "$BROKEN"; fi
read -r said; echo "$said" >>"$LOG"
"""


@pytest.mark.parametrize("broken", ["0", "1"])
def test_the_service_of_a_command_runs_no_longer_than_it(tmp_path: Path, broken: str) -> None:
    script(tmp_path, "nvidia-cuda-mps-control", SERVICE)
    log = tmp_path / "log"
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "BROKEN": broken, "LOG": str(log)}
    environment |= {"PYTHON": "true", "FOUND": str(tmp_path / "found")}
    command = [str(BENCHMARKS / "with_mps.sh"), "bash", "-c", 'echo "$CUDA_MPS_PIPE_DIRECTORY" >"$FOUND"; exit 5']
    assert subprocess.run(command, env=environment, timeout=300, check=False).returncode == 5
    folder = (tmp_path / "found").read_text().strip()
    assert bool(folder) is (broken == "0")
    assert not folder or not Path(folder).exists()
    assert set(log.read_text().split()) == {"quit"}


def test_without_the_service_a_command_runs_by_itself(tmp_path: Path) -> None:
    environment = os.environ | {"PATH": "/usr/bin:/bin"}
    command = [str(BENCHMARKS / "with_mps.sh"), "bash", "-c", 'exit "${CUDA_MPS_PIPE_DIRECTORY:-4}"']
    assert subprocess.run(command, env=environment, timeout=300, check=False).returncode == 4


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_command_under_the_service(tmp_path: Path, sent: signal.Signals) -> None:
    script(tmp_path, "nvidia-cuda-mps-control", SERVICE)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "BROKEN": "0", "LOG": str(tmp_path / "log")}
    ready = tmp_path / "ready"
    waits = f'trap "exit 6" TERM INT; touch {ready}; while :; do sleep 0.01; done'
    with subprocess.Popen(
        [str(BENCHMARKS / "with_mps.sh"), "bash", "-c", waits], env=environment | {"PYTHON": "true"}
    ) as started:
        until(ready.exists)
        started.send_signal(sent)
        assert started.wait(timeout=300) == 6


COUNTS = """
import os, pathlib, signal, time
def tell(word):
    with open(os.environ["SEEN"], "a") as file:
        file.write(f"{word}\\n")
signal.signal(signal.SIGINT, lambda *_: tell("signal"))
tell(os.getpid())
while not pathlib.Path(os.environ["ENDS"]).exists():
    time.sleep(0.01)
"""


def under_service(folder: Path, preexec: Callable[[], None] | None = None, **more: Any) -> Any:
    """Count signals under a service that works, in a session of its own, as `timeout` and terminals do."""
    script(folder, "nvidia-cuda-mps-control", SERVICE)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "BROKEN": "0", "LOG": str(folder / "log")}
    environment |= {"PYTHON": "true", "SEEN": str(folder / "seen"), "ENDS": str(folder / "ends")}
    arguments = [str(BENCHMARKS / "with_mps.sh"), sys.executable, "-c", COUNTS]
    return subprocess.Popen(arguments, env=environment, start_new_session=True, preexec_fn=preexec, **more)


def words(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


@pytest.mark.parametrize("by", ["terminal", "timeout"])
def test_ctrl_c_reaches_the_command_under_the_service_once(by: str, tmp_path: Path) -> None:
    terminal, inside = pty.openpty()
    with under_service(tmp_path, at_terminal, stdin=inside) as started:
        until(lambda: len(words(tmp_path / "seen")) == 1)
        if by == "terminal":
            os.write(terminal, b"\x03")
        else:
            os.kill(started.pid, signal.SIGINT)
            os.killpg(started.pid, signal.SIGINT)
        until(lambda: "signal" in words(tmp_path / "seen"))
        # Had it been sent a second time, that would have come by now.
        time.sleep(0.3)
        (tmp_path / "ends").touch()
        assert started.wait(timeout=300) == 0
    os.close(terminal)
    os.close(inside)
    assert words(tmp_path / "seen")[1:] == ["signal"]


def test_what_kills_the_group_as_timeout_does_ends_command_and_service(tmp_path: Path) -> None:
    with under_service(tmp_path) as started:
        until(lambda: len(words(tmp_path / "seen")) == 1)
        command = Path("/proc") / words(tmp_path / "seen")[0] / "cmdline"
        os.killpg(started.pid, signal.SIGKILL)
        assert started.wait(timeout=300) == -signal.SIGKILL
    until(lambda: not command.exists() or not command.read_bytes())
    until(lambda: words(tmp_path / "log") == ["quit"])


SEARCHES = """#!/bin/bash
case "$3" in
launch) [ -z "$FAILS" ] || { echo no data && exit 4; }; echo trials >>"${HPO_STORAGE#sqlite:///}" ;;
worker)
    trap 'touch "$SEEN/$4-ended"; exit 130' TERM
    touch "$SEEN/$4"
    [ -z "$WAITS" ] || for _ in $(seq 3000); do sleep .01; done
    ;;
db) from=$7; cp "${from#sqlite:///}" "$5" ;;
*) echo "$@" >"$SEEN/cost" ;;
esac
"""


@pytest.mark.parametrize("waits", ["", "yes"], ids=["to the end", "until it is stopped"])
def test_two_searches_by_rungs_go_on_from_what_was_kept_and_save_both(waits: str, tmp_path: Path) -> None:
    names = ("breast-by-epochs", "breast-by-folds")
    seen, keep, work = (tmp_path / name for name in ("seen", "keep", "work"))
    for folder in (seen, keep):
        folder.mkdir()
    (keep / f"{names[1]}.sqlite3").write_text("kept\n")
    own = {"PYTHON": str(script(tmp_path, "python", SEARCHES)), "WORK": str(work), "KEEP": str(keep)}
    environment = os.environ | own | {"SEEN": str(seen), "WAITS": waits}
    with subprocess.Popen([str(BENCHMARKS / "by_folds.sh")], env=environment) as started:
        until(lambda: all((seen / name).exists() for name in names))
        if waits:
            started.terminate()
        assert started.wait(timeout=300) == 0
    assert [(seen / f"{name}-ended").exists() for name in names] == [bool(waits)] * 2
    assert {path.name: path.read_text() for path in keep.iterdir()} == {
        f"{names[0]}.sqlite3": "trials\n",
        f"{names[1]}.sqlite3": "kept\ntrials\n",
    }
    assert all(name in (seen / "cost").read_text() for name in names)


def test_a_search_by_rungs_that_cannot_begin_says_why_and_keeps_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "breast-by-folds.sqlite3").write_text("kept\n")
    own = {"PYTHON": str(script(tmp_path, "python", SEARCHES)), "WORK": str(tmp_path / "work"), "KEEP": str(tmp_path)}
    command = [str(BENCHMARKS / "by_folds.sh")]
    done = subprocess.run(
        command, env=os.environ | own | {"FAILS": "yes"}, timeout=300, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (4, "no data\n")
    assert (tmp_path / "breast-by-folds.sqlite3").read_text() == "kept\n"
