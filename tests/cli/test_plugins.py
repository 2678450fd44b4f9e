"""Plug-ins from an installed distribution, as the commands and their worker processes see them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.cli.run import hpo_forked, hpo_here
from tests.plugins import write_distribution

PLUGIN = """
import math
import hpo
hpo.register_loss("soft", "mine:soft", uses=("margin",), description="a soft margin")
hpo.register_network("linear", "mine:linear", description="a linear model")

def soft(config, labels):
    from torch import nn
    return nn.MultiLabelSoftMarginLoss()

def linear(shape, labels):
    from torch import nn
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), labels))
"""

STUDY = """
dataset = "digits"
[scoring]
rows = "holdout"
[search]
references = false
pruner = "none"
[budget]
trials = 2
epochs = 2
[fixed]
network = "linear"
loss = "soft"
[space.margin]
low = 0.1
high = 1.0
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PYTHONPATH on which the plug-in is installed; a study file that needs it lies in the folder."""
    write_distribution(tmp_path, {"mine": "mine"}, mine=PLUGIN)
    (tmp_path / "study.toml").write_text(STUDY)
    return os.pathsep.join([str(tmp_path), *sys.path])


@pytest.mark.slow
def test_a_study_file_may_name_what_a_plugin_registers(tmp_path: Path, path: str) -> None:
    checked = hpo_forked("check", "study.toml", cwd=tmp_path, PYTHONPATH=path)
    assert (checked.returncode, checked.stderr) == (0, "")
    settings = json.loads(hpo_forked("settings", "--json", cwd=tmp_path, PYTHONPATH=path).stdout)
    choices = {setting["name"]: setting["choices"] for setting in settings}
    assert choices["loss"][-1] == "soft"
    assert choices["network"][-1] == "linear"


@pytest.mark.slow
def test_a_plugin_that_is_broken_is_one_warning_and_the_command_works(tmp_path: Path, path: str) -> None:
    (tmp_path / "mine.py").write_text("import no_such_module\n")
    refused = hpo_forked("check", "study.toml", cwd=tmp_path, PYTHONPATH=path)
    assert refused.returncode == 3
    warnings = [line for line in refused.stderr.splitlines() if "no_such_module" in line]
    assert len(warnings) == 1
    assert "example-plugin" in warnings[0]
    assert hpo_forked("settings", "--json", cwd=tmp_path, PYTHONPATH=path).returncode == 0


@pytest.mark.slow
def test_worker_processes_train_with_what_a_plugin_registers(tmp_path: Path, path: str) -> None:
    """Not as a worker of `hpo launch`, which would be forked from a process that has loaded the plug-in."""
    launch = ("launch", "--study-file", "study.toml", "--name", "mine", "--on", "none")
    for command in (launch, ("worker", "mine", "--device", "cpu")):
        run = hpo_forked(*command, cwd=tmp_path, PYTHONPATH=path)
        assert run.returncode == 0, run.stderr
    found = json.loads(hpo_forked("best", "mine", "--json", cwd=tmp_path, PYTHONPATH=path).stdout)
    assert len(found["trials"]) == 2
    assert {trial["config"]["network"] for trial in found["trials"]} == {"linear"}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    without = hpo_here("status", "mine", "--storage", f"sqlite:///{tmp_path}/hpo.sqlite3", cwd=elsewhere)
    assert without.returncode == 2
    assert all(name in without.stderr for name in ("soft", "linear"))
