"""How PyTorch and Python refuse memory.

oneDNN keeps a primitive that could not be made for lack of memory, and fails with it when there is memory again. So a
worker goes on as a new process after a trial that ran out of memory (`hpo.training.machine.limits.process_is_tainted`).

A refusal on a CPU is a bare RuntimeError without a code, which `hpo.training.machine.failure` has to recognise by its
text. A test that fails here says that this is no longer needed, or that a text has changed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.forked import printed_by

CODE = """
import resource, torch
from pathlib import Path
from hpo.training.machine.device import set_up_process
from hpo.training.machine.failure import TrainingFailure, memory_failures

set_up_process(1)
network = torch.nn.Conv2d(64, 64, 3, padding=1)
images = torch.rand(16, 64, 28, 28)
del [torch.ones(1 << 20) for _ in range(50)][:]  # room for what is no code
held = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line)
for limit in (held * 1024, resource.RLIM_INFINITY):
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
    try:
        with memory_failures():
            network(images)
        print("done")
    except TrainingFailure as failure:
        print(failure.reason)
"""


NO_SUCH_DEVICE = """
import torch
try:
    torch.cuda.set_device(99)
except torch.AcceleratorError as error:
    print(error.error_code)
"""

REFUSALS = """
import os, resource, sys, threading, torch
from pathlib import Path
from hpo.training.machine.failure import TrainingFailure, memory_failures

def mapped():
    torch.save(torch.zeros(200_000_000, dtype=torch.uint8), sys.argv[1])
    held = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line)
    resource.setrlimit(resource.RLIMIT_DATA, (held * 1024 + 20_000_000, resource.RLIM_INFINITY))
    torch.load(sys.argv[1], map_location="cpu", mmap=True, weights_only=True)

def thread():
    threading.stack_size(1 << 50)
    threading.Thread(target=print).start()

for refused in (lambda: torch.empty(1 << 50), thread, mapped):
    try:
        with memory_failures():
            refused()
    except TrainingFailure as failure:
        print(type(failure.__cause__).__name__, failure.reason)
"""


@pytest.mark.slow
@pytest.mark.linux
def test_memory_that_a_cpu_refuses_is_a_runtime_error_that_its_text_tells(tmp_path: Path) -> None:
    assert printed_by(REFUSALS, str(tmp_path / "t.pt")).splitlines() == ["RuntimeError out of memory"] * 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_an_error_of_cuda_has_its_code() -> None:
    run = subprocess.run([sys.executable, "-c", NO_SUCH_DEVICE], capture_output=True, text=True, check=True)
    assert run.stdout == "101\n"  # cudaErrorInvalidDevice


@pytest.mark.slow
@pytest.mark.linux
def test_a_primitive_that_could_not_be_made_stays_unmade() -> None:
    assert printed_by(CODE).splitlines() == ["out of memory"] * 2
