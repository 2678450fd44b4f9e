"""A trial that asks for more memory than the part of its worker fails by itself, and everybody else goes on."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queue.workers import read_workers
from hpo.search.study import open_study
from tests.cli.run import hpo, hpo_here
from tests.forked import ForkedHpo
from tests.plugins import kept_registries, write_distribution

pytestmark = pytest.mark.slow

MOST_BYTES = 2_600_000_000 if torch.version.cuda else 2_000_000_000
"""Of private memory for each process: enough for a batch of 32 digits, and far too little for one of 1,024.

A build of PyTorch for CUDA has 560 MB more once it is loaded.
"""

SETTINGS = (
    *("scoring.rows=holdout", "budget.epochs=1", "search.first_rung=1"),
    *("search.references=false", "search.sampler=random", "start=[]", "space.batch_size.choices=[32,1024]"),
)
LARGE_FIRST, LARGE_THIRD = 6, 4
"""Seeds, and which of the first four trials has a batch of 1,024; the others have one of 32."""


def study(seed: int, trials: int) -> list[str]:
    """What `hpo launch` makes the study of."""
    settings = (word for entry in (*SETTINGS, f"search.seed={seed}") for word in ("--set", entry))
    return ["--dataset", "digits", "--trials", str(trials), *settings]


HUNGRY = """
import hpo

def register():
    hpo.register_network("hungry", hungry, description="a linear model; asks for 4 MiB for each image of a large batch")

def hungry(shape, labels):
    import math
    import torch

    class Hungry(torch.nn.Sequential):
        def forward(self, images):
            # None for 32: what was freed stays with the process in pieces, so that such requests would add up.
            room = torch.empty(len(images) if self.training and len(images) > 32 else 0, 2**20)
            return super().forward(images)

    return Hungry(torch.nn.Flatten(), torch.nn.Linear(math.prod(shape), labels))
"""


@pytest.fixture
def hungry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Settings of a network that trains at once on 32 images and is refused memory for 1,024, as a large one is."""
    folder = tmp_path / "plugin"
    folder.mkdir()
    write_distribution(folder, {"hungry": "hungry:register"}, hungry=HUNGRY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
    with kept_registries():
        monkeypatch.syspath_prepend(folder)
        importlib.import_module("hungry").register()
        yield ["--set", "fixed.network=hungry"]


def limited(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`hpo ARGUMENTS` and every process that it starts, with so little memory.

    Forked, but for the process as which a worker goes on.
    """
    return ForkedHpo(*arguments, cwd=folder, environment=dict(os.environ), most_bytes=MOST_BYTES).result()


def trials(folder: Path) -> list[dict[str, Any]]:
    """Each trial as the list and as its own page have it."""
    listed = json.loads(hpo_here("trials", "digits", "--json", cwd=folder).stdout)
    shown = [hpo_here("trials", "digits", str(row["number"]), "--json", cwd=folder).stdout for row in listed]
    return [{**row, **json.loads(text)} for row, text in zip(listed, shown, strict=True)]


def finished_in_last_lives(folder: Path) -> int:
    """Trials that workers finished since they began, or began anew: fewer than all where one went on as a new process.

    A process that begins writes its worker down as one that has finished none.
    """
    database = open_database(resolve_address(f"sqlite:///{folder}/hpo.sqlite3"), create=False)
    found = read_workers(open_study(database, "digits"))
    database.close()
    return sum(worker.finished for worker in found)


@pytest.mark.linux
def test_of_two_workers_only_the_trials_that_are_too_large_fail(tmp_path: Path, hungry: list[str]) -> None:
    launch = ("launch", *study(LARGE_FIRST, 3), *hungry, "--device", "cpu", "--workers", "2")
    run = limited(*launch, folder=tmp_path)
    assert run.returncode == 0, run.stderr
    shown = trials(tmp_path)
    assert [trial["record"]["config"]["batch_size"] for trial in shown] == [1024, 32, 32]
    for trial in shown:
        if trial["record"]["config"]["batch_size"] == 1024:
            assert trial["state"] == "failed"
            assert trial["reason"].startswith("out of memory")
        else:
            assert trial["state"] == "complete"
    assert finished_in_last_lives(tmp_path) < 3
    assert "Traceback" not in "".join(log.read_text() for log in tmp_path.rglob("*.log"))


@pytest.mark.linux
def test_a_worker_that_goes_on_as_a_new_process_keeps_its_limit_of_trials(tmp_path: Path, hungry: list[str]) -> None:
    assert hpo_here("launch", *study(LARGE_THIRD, 5), *hungry, "--on", "none", cwd=tmp_path).returncode == 0
    run = limited("worker", "digits", "--limit", "4", "--worker-name", "w", "--threads", "1", folder=tmp_path)
    assert run.returncode == 0, run.stderr
    assert finished_in_last_lives(tmp_path) < 4
    found = trials(tmp_path)
    assert [trial["number"] for trial in found] == [0, 1, 2, 3]
    assert [trial["record"]["config"]["batch_size"] for trial in found] == [32, 32, 1024, 32]
    assert [trial["state"] for trial in found] == ["complete", "complete", "failed", "complete"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_only_the_trial_that_is_too_large_fails(tmp_path: Path) -> None:
    """So many workers share the GPU that each may hold a hundredth of it at most."""
    assert hpo("launch", *study(LARGE_THIRD, 4), "--on", "none", cwd=tmp_path).returncode == 0
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "hpo", "worker", "digits", "--device", "cuda", "--sharing", "1000"], cwd=tmp_path
        )
        for _ in range(2)
    ]
    assert [worker.wait(1800) for worker in workers] == [0, 0]
    most = torch.cuda.get_device_properties(0).total_memory // 100
    for trial in trials(tmp_path):
        if trial["state"] == "failed":
            assert trial["reason"].startswith("out of memory")
        else:
            assert trial["record"]["peak_memory"] <= most
