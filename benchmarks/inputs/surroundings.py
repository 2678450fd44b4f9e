"""Processes with broken surroundings: locales, streams, pipes, folders and users."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.inputs.tally import Tally

_HPO = f"{sys.executable} -m hpo"

SURROUNDINGS = {
    "Latin-1": "PYTHONIOENCODING=latin1 {hpo}",
    "ASCII": "PYTHONIOENCODING=ascii {hpo}",
    "C locale": "LC_ALL=C {hpo}",
    "POSIX locale without UTF-8 mode": "LC_ALL=POSIX PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 {hpo}",
    "no home": "env -u HOME {hpo}",
    "home of nobody": "HOME=/nonexistent XDG_CACHE_HOME= {hpo}",
    "no columns": "COLUMNS=0 {hpo}",
    "columns that are no number": "COLUMNS=x LINES=-1 {hpo}",
    "one column": "COLUMNS=1 {hpo}",
    "no terminal": "TERM=dumb {hpo}",
    "no stdin": "{hpo} <&-",
    "no stdout": "{hpo} >&-",
    "no stderr": "{hpo} 2>&-",
    "no streams": "{hpo} <&- >&- 2>&-",
    "stderr without a reader": "({hpo} 2>&1 >/dev/null | true; exit ${{PIPESTATUS[0]}})",
    "a reader of one line": "({hpo} | head -1; exit ${{PIPESTATUS[0]}})",
    "a reader of nothing": "({hpo} | true; exit ${{PIPESTATUS[0]}})",
    "full stdout": "{hpo} >/dev/full",
    "full stderr": "{hpo} 2>/dev/full",
    "few files": "(ulimit -n 24; {hpo})",
    "deleted folder": "(mkdir gone-$$; cd gone-$$; rmdir ../gone-$$; {hpo})",
    "folder that is not UTF-8": "(mkdir -p $'\\xff'; cd $'\\xff'; {hpo})",
    "variables that are not UTF-8": "HPO_DATA_DIR=$'\\xff' {hpo}",
    "argument that is not UTF-8": "{hpo} $'\\xff'",
    "empty argument": "{hpo} ''",
    "address on stdin that is not UTF-8": "printf '\\xff\\n' | {hpo} --storage -",
}
"""Shell commands around one of `COMMANDS`."""

COMMANDS = (
    *("status study", "status study --json", "trials study", "best study", "settings", "data list", "db check"),
    *("check {study_file}", "--help", "slurm presets", "slurm script study"),
)


def try_surroundings(tally: Tally, address: str, folder: Path, commands: tuple[str, ...] = COMMANDS) -> None:
    """Run every command in all surroundings; its database is at `address`."""
    study_file = Path(__file__).parents[2] / "studies" / "digits.toml"
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    for name, shell in SURROUNDINGS.items():
        for command in commands:
            line = shell.format(hpo=f"{_HPO} {command.format(study_file=study_file)}")
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=folder,
                env={**os.environ, "HPO_STORAGE": address, "PYTHONPATH": path, "COLUMNS": "100"},
                capture_output=True,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            output = (done.stdout + done.stderr).decode("utf-8", "replace")
            tally.count(done.returncode, output, f"{name}: {command}")
