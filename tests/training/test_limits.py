"""What a process may use of its machine, and that a trial which asks for more ends by itself."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hpo.training.machine import limits
from hpo.training.machine.failure import TrainingFailure, memory_failures
from hpo.training.machine.limits import ProcessTainted, usable_cores, usable_memory
from tests.forked import printed_by

GIB = 2**30


class Groups:
    """The files in which Linux tells a process its cgroups and their limits."""

    def __init__(self, folder: Path) -> None:
        self.own, self.top, self.memory = folder / "own", folder / "cgroup", folder / "meminfo"
        self.memory.write_text("MemFree: 1 kB\nMemTotal: 16777216 kB\n")

    def write(self, lines: str, **limits: str) -> None:
        """lines: of /proc/self/cgroup; limits: a path below /sys/fs/cgroup and what is in the file."""
        self.own.write_text(lines)
        for name, text in limits.items():
            file = self.top / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")

    @property
    def cores(self) -> int:
        return usable_cores(self.own, self.top)

    @property
    def bytes(self) -> int | None:
        return usable_memory(self.own, self.top, self.memory)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return Groups(tmp_path)


def test_without_cgroups_the_affinity_and_the_whole_memory_count(groups: Groups) -> None:
    assert (groups.cores, groups.bytes) == (8, 16 * GIB)


def test_without_a_file_that_tells_it_the_whole_memory_is_that_of_sysconf(groups: Groups) -> None:
    groups.memory.unlink()
    assert groups.bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_nothing_is_reported_of_a_memory_that_nobody_tells(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    groups.memory.unlink()
    monkeypatch.delattr(os, "sysconf")
    assert groups.bytes is None


def test_the_quota_and_the_memory_of_a_group_of_version_2_count_also_from_above(groups: Groups) -> None:
    groups.write(
        "0::/job/step\n",
        **{"job/cpu.max": "300000 100000", "job/step/cpu.max": "max 100000", "job/memory.max": str(4 * GIB)},
        **{"job/step/memory.max": "max"},
    )
    assert (groups.cores, groups.bytes) == (3, 4 * GIB)


def test_the_quota_and_the_memory_of_groups_of_version_1_count(groups: Groups) -> None:
    groups.write(
        "4:memory:/job\n3:cpu,cpuacct:/job\n0::/\n",
        **{"cpu/job/cpu.cfs_quota_us": "250000", "cpu/job/cpu.cfs_period_us": "100000"},
        **{"memory/job/memory.limit_in_bytes": str(2 * GIB), "memory/memory.limit_in_bytes": "9223372036854771712"},
    )
    assert (groups.cores, groups.bytes) == (2, 2 * GIB)


def test_a_quota_below_one_core_is_one_core_and_none_is_written_as_minus_one(groups: Groups) -> None:
    groups.write("0::/\n", **{"cpu.max": "50000 100000"})
    assert groups.cores == 1
    groups.write("3:cpu:/\n", **{"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"})
    assert groups.cores == 8


def test_in_a_container_that_does_not_see_its_own_group_the_topmost_counts(groups: Groups) -> None:
    groups.write("0::/docker/4711\n", **{"cpu.max": "200000 100000", "memory.max": str(3 * GIB)})
    assert (groups.cores, groups.bytes) == (2, 3 * GIB)


@pytest.mark.parametrize(
    "message",
    [
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to",
        "std::bad_alloc",
        "could not create a primitive",
        "can't start new thread",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "unable to mmap 200001577 bytes from file </a/b.pt>: Cannot allocate memory (12)",
    ],
)
def test_each_way_to_say_that_there_is_no_memory_is_understood(message: str) -> None:
    with pytest.raises(TrainingFailure) as failed, memory_failures():
        raise RuntimeError(message)
    assert failed.value.reason == "out of memory"
    assert failed.value.detail.startswith(message)


@pytest.mark.parametrize(
    ("code", "raised"), [(2, TrainingFailure), (700, torch.AcceleratorError), (None, torch.AcceleratorError)]
)
def test_an_error_of_cuda_goes_by_its_code(code: int | None, raised: type[Exception]) -> None:
    error = torch.AcceleratorError("CUDA error: not to be read")
    if code is not None:
        error.error_code = code  # type: ignore[attr-defined]
    with pytest.raises(raised), memory_failures():
        raise error


@pytest.mark.parametrize(("code", "raised"), [(errno.ENOMEM, TrainingFailure), (errno.ENOSPC, OSError)])
def test_an_error_of_the_system_goes_by_its_errno(code: int, raised: type[Exception]) -> None:
    with pytest.raises(raised), memory_failures():
        raise OSError(code, "not to be read")


@pytest.mark.parametrize(
    "error",
    [RuntimeError("shapes do not match"), RuntimeError("unable to mmap 7 bytes from file <x>: No such file (2)")],
)
def test_another_error_is_no_lack_of_memory(error: RuntimeError) -> None:
    with pytest.raises(RuntimeError) as caught, memory_failures():
        raise error
    assert caught.value is error


HEAD = (
    "import torch\n"
    "from hpo.training.machine import limits\n"
    "from hpo.training.machine.device import *\n"
    "from hpo.training.machine.failure import *\n"
)
"""Of programs that run by themselves, since limits and settings of the allocator stay."""


@pytest.mark.linux
@pytest.mark.slow
def test_what_does_not_fit_into_the_part_of_a_worker_fails_and_the_process_goes_on() -> None:
    """A quarter of 4 GiB, less a tenth: 921 MiB, of which a process with PyTorch has taken about 230."""
    told = printed_by(
        f"{HEAD}"
        "limits.usable_memory = lambda: 4 << 30\n"
        "set_up_process(1)\n"
        "print(limit_memory(torch.device('cpu'), 4) >> 20, memory_share(torch.device('cpu')) >> 20)\n"
        "try:\n"
        "    with memory_failures():\n"
        "        held = [torch.ones(1 << 20) for _ in range(300)]\n"
        "except TrainingFailure as failure:\n"
        "    print(failure.reason, '0.9 GiB' in failure.detail)\n"
        "start_of_trial(torch.device('cpu'))\n"
        "print(len([torch.ones(1 << 20) for _ in range(20)]))\n"
    )
    assert told.splitlines() == ["921 921", "out of memory True", "20"]


@pytest.mark.parametrize(("limit", "trials", "worn"), [(GIB, 1, True), (None, 1, False), (None, 2, False)])
def test_a_refusal_is_the_trial_s_in_a_process_without_a_past_or_a_limit(
    limit: int | None, trials: int, worn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_in_trial(trials, limit, TrainingFailure, monkeypatch)
    assert limits.process_is_tainted() is worn


def test_a_refusal_after_other_trials_is_the_process_s(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_in_trial(2, GIB, ProcessTainted, monkeypatch)
    assert limits.process_is_tainted()


def refuse_in_trial(number: int, limit: int | None, raised: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_is_tainted", False)
    monkeypatch.setattr(limits, "_trials", 0)
    monkeypatch.setattr(limits, "main_memory_limit", lambda: limit)
    for _ in range(number):
        limits.begin_trial()
    with pytest.raises(raised), memory_failures():
        raise MemoryError


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_too_a_worker_gets_its_part_and_goes_on_after_it_was_refused_more() -> None:
    code = (
        f"{HEAD}"
        "cuda = torch.device('cuda', 0)\n"
        "share = limit_memory(cuda, 4)\n"
        "total = torch.cuda.get_device_properties(cuda).total_memory\n"
        "print(share < total / 4, abs(memory_share(cuda) - share) < 2**20)\n"
        "try:\n"
        "    with memory_failures():\n"
        "        torch.empty(share + 2**20, dtype=torch.uint8, device=cuda)\n"
        "except TrainingFailure as failure:\n"
        "    print(failure.reason)\n"
        "start_of_trial(cuda)\n"
        "held = torch.ones(share // 2, dtype=torch.uint8, device=cuda)\n"
        "print(peak_memory_bytes(cuda) >= share // 2)\n"
    )
    # Not forked: CUDA cannot be used after a fork of a process which has looked for it.
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600)
    assert run.stdout.splitlines() == ["True True", "out of memory", "True"], run.stderr
