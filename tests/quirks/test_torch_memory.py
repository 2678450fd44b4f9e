"""oneDNN keeps a primitive that could not be made for lack of memory, and fails with it when there is memory again.

So a worker goes on as a new process after a trial that ran out of memory (`hpo.training.machine.limits.is_worn`).
A test that fails here says that this is no longer needed.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource, torch
from pathlib import Path
from hpo.training.machine.device import set_up_process

set_up_process(1)
network = torch.nn.Conv2d(64, 64, 3, padding=1)
images = torch.rand(16, 64, 28, 28)
del [torch.ones(1 << 20) for _ in range(50)][:]  # room for what is no code
held = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line)
for limit in (held * 1024, resource.RLIM_INFINITY):
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
    try:
        network(images)
        print("done")
    except RuntimeError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of Linux")
def test_a_primitive_that_could_not_be_made_stays_unmade() -> None:
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["could not create a primitive"] * 2
