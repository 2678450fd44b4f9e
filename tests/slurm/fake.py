"""Slurm's commands as small scripts on PATH: they note how they were called and answer what a test wants."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacctmgr")

_SCRIPT = """\
#!/bin/sh
here={folder}
name=${{0##*/}}
printf '%s\\n' "$*" >> "$here/$name.calls"
[ "$name" = sbatch ] && cat > "$here/script" && env -0 > "$here/environment"
while [ -f "$here/$name.held" ]; do sleep 0.02; done
[ -f "$here/$name.err" ] && cat "$here/$name.err" >&2
[ -f "$here/$name.out" ] && cat "$here/$name.out"
exit "$(cat "$here/$name.code" 2>/dev/null || echo 0)"
"""


class FakeSlurm:
    """A cluster called `testcluster` whose `sbatch` takes everything as job 4711; its queue is empty at first."""

    def __init__(self, folder: Path) -> None:
        self.bin, self._state = folder / "bin", folder / "state"
        self.bin.mkdir(parents=True)
        self._state.mkdir()
        for command in COMMANDS:
            program = self.bin / command
            program.write_text(_SCRIPT.format(folder=self._state))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.answers("scontrol", "ClusterName             = testcluster\n")
        self.answers("sbatch", "4711\n")

    def answers(self, command: str, out: str = "", *, error: str = "", code: int = 0) -> None:
        """Set what a command prints from now on, and its exit code."""
        for suffix, value in (("out", out), ("err", error), ("code", code)):
            (self._state / f"{command}.{suffix}").write_text(str(value))

    def hold(self, command: str) -> None:
        """Let a command answer no more until `let_go`."""
        (self._state / f"{command}.held").touch()

    def let_go(self, command: str) -> None:
        """Let a command answer that was held."""
        (self._state / f"{command}.held").unlink()

    def queue(self, *tasks: str, owner: int = os.getuid()) -> None:
        """What is in the queue: lines of JOB|TASK|STATE, with |REASON where one is wanted."""
        lines = [line if line.count("|") == 3 else f"{line}|None" for line in tasks]
        self.answers("squeue", "".join(f"{line}|0:05|9:55|node1|{owner}|user{owner}\n" for line in lines))

    def calls(self, command: str) -> list[str]:
        """Arguments of each call of a command."""
        file = self._state / f"{command}.calls"
        return file.read_text().splitlines() if file.exists() else []

    def script(self) -> str:
        """The script that was submitted last."""
        return (self._state / "script").read_text()

    def environment(self) -> dict[str, str]:
        """What the script that was submitted last would inherit."""
        entries = (self._state / "environment").read_text().split("\0")
        return dict(entry.split("=", 1) for entry in entries if "=" in entry)

    def no_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Takes the commands from PATH."""
        monkeypatch.setenv("PATH", "/nowhere")
