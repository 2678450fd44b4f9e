"""What a process asks of its system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.host import python_module

AUTOGROUP = Path("/proc/self/autogroup")
ASKS = f"""
import os
from hpo.host import pass_on_niceness
autogroup = lambda: open({str(AUTOGROUP)!r}).read().split()[-1:]
before = autogroup()
os.nice(7)
pass_on_niceness()
print(before, autogroup(), sep="; ")
"""


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="needs a Linux that shares its cores out among sessions")
@pytest.mark.parametrize("leads", [True, False])
def test_a_nice_process_makes_the_session_nice_that_it_leads_and_no_other(leads: bool) -> None:
    done = subprocess.run([sys.executable, "-c", ASKS], capture_output=True, text=True, start_new_session=leads)
    assert done.stderr == ""
    before, after = done.stdout.strip().split("; ")
    if leads and before == "[]":
        pytest.skip("sessions have no niceness on this system: the file is there and empty")
    assert after == (f"['{min(os.nice(0) + 7, 19)}']" if leads else before)


def test_a_file_in_the_current_folder_does_not_take_the_place_of_a_module_in_a_new_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert subprocess.run([*python_module("hpo"), "--version"], stdout=subprocess.DEVNULL).returncode == 0
