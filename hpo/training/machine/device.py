"""Choose device, precision and memory layout, and configure the process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from hpo.errors import DeviceError
from hpo.host import installed_memory
from hpo.training.machine.description import DeviceDescription
from hpo.training.machine.limits import (
    begin_trial,
    limit_main_memory,
    main_memory_limit,
    process_cores,
    usable_memory,
    use_cores,
)
from hpo.training.model.im2col import has_tiles

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER_TRIM = 2**31 - 1
_AMPERE = (8, 0)
_CLEAR_REFS, _RESET_PEAK = Path("/proc/self/clear_refs"), "5"
_STATUS = Path("/proc/self/status")

CONTEXT_BYTES = 600 * 2**20
"""GPU memory of a process besides PyTorch's tensors: CUDA context and the libraries' own memory."""

_SHARED_GPU = 0.95
_SLOWER = 1.2
_ROUNDS = 9


@dataclass(frozen=True)
class Machine:
    """The device and number format of a network. dtype: of convolutions under autocast; float32 means no autocast."""

    device: torch.device
    dtype: torch.dtype
    memory_format: torch.memory_format

    @property
    def name(self) -> str:
        """Return what decides whether a run can go on here: kind of device and number format."""
        return f"{self.device.type} in {self.dtype}"

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which forward passes run in `dtype`."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def place(self, network: nn.Module) -> None:
        """Move a network to the device and its weights to the layout, in place."""
        network.to(device=self.device)
        for parameter in network.parameters():
            if parameter.dim() >= 4:
                parameter.data = parameter.data.contiguous(memory_format=self.memory_format)


def choose_machine(
    device: torch.device, dimensions: Literal[2, 3], precision: Literal["auto", "bf16", "fp32"]
) -> Machine:
    """Choose precision and memory layout for networks of that many dimensions on a device.

    Layout: channels-last, but contiguous in 3D on a CPU without AMX, where channels-last is no faster.
    """
    bf16 = precision == "bf16" or (precision == "auto" and computes_in_bf16(device))
    layout = torch.channels_last if dimensions == 2 else torch.channels_last_3d
    if dimensions == 3 and device.type == "cpu" and not (bf16 and has_tiles()):
        layout = torch.contiguous_format
    return Machine(device, torch.bfloat16 if bf16 else torch.float32, layout)


def computes_in_bf16(device: torch.device) -> bool:
    """Return whether to compute in bf16: compute capability 8 on CUDA; on a CPU AVX512-BF16 or AMX, if not slower.

    A CPU with the instructions is measured once per process, and bf16 is rejected only if a convolution took over 1.2
    times as long as in fp32. True support is well below that limit and emulation several times above, so that the
    margin keeps processes of one machine in agreement despite noise.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _AMPERE
    has_instructions = has_tiles() or bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
    return has_instructions and time_in_bf16() <= _SLOWER


@cache
def time_in_bf16() -> float:
    """Return the time of a convolution with gradients on the CPU in bf16 relative to fp32, the least of nine each.

    On one thread, as networks are trained.
    """
    network = nn.Conv2d(64, 64, 3, padding=1)
    network.weight.data = network.weight.data.contiguous(memory_format=torch.channels_last)
    images = torch.ones(4, 64, 28, 28).contiguous(memory_format=torch.channels_last).requires_grad_()

    def seconds(*, bf16: bool) -> float:
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            output = network(images)
        torch.autograd.grad(output.float().sum(), [images, network.weight])
        return time.perf_counter() - start

    with one_thread(), torch.enable_grad():
        rounds = [(seconds(bf16=True), seconds(bf16=False)) for _ in range(1 + _ROUNDS)][1:]
    return min(half for half, _ in rounds) / min(single for _, single in rounds)


def choose_device(option: str) -> torch.device:
    """Resolve `auto` (CUDA if there is one), `cpu`, `cuda` or `cuda:N`. Raises DeviceError if it does not exist."""
    count = gpu_count()
    if option == "auto":
        return torch.device("cuda", 0) if count else torch.device("cpu")
    if option == "cpu":
        return torch.device("cpu")
    name, _, number = option.partition(":")
    if name != "cuda" or not (number.isdecimal() or option == "cuda"):
        raise DeviceError(f"unknown device {option}; give auto, cpu, cuda or cuda:N")
    index = int(number or 0)
    if index >= count:
        there = f"{count} CUDA device{'s' if count != 1 else ''}" if count else "no CUDA device"
        raise DeviceError(f"device {option} does not exist: PyTorch {torch.__version__} sees {there}; give auto or cpu")
    return torch.device("cuda", index)


def gpu_count() -> int:
    """Return the number of CUDA devices that this process sees."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def set_up_process(cores: int | None = None) -> None:
    """Configure a process for training: cores, one PyTorch thread, allocator, cuDNN.

    On glibc, freed memory is kept for the next step rather than returned to the kernel (about 10 % faster on a CPU; the
    process then stays at its peak). With equal seeds a CPU gives bit-equal results whatever the number of cores; CUDA
    does not, because cuDNN may choose other algorithms.

    Args:
        cores: on which networks are trained at the same time; None for all that this process may use.
    """
    use_cores(cores)
    compute_with_one_thread()
    if _on_glibc():
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM)
    # Trying kernels costs 5 s of each process on an H200 and brings nothing there: benchmarks/cudnn_choice.py.
    torch.backends.cudnn.benchmark = False


def compute_with_one_thread() -> None:
    """Let PyTorch compute with one thread in this thread, and in those that use PyTorch for the first time later."""
    torch.set_num_threads(1)
    # A thread's first query would set the number to the process's, which may have changed by then.
    torch.get_num_threads()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one PyTorch thread within, and with the caller's number again afterwards.

    Every network on a CPU is trained and scored so. More threads meet at a barrier in each operation and spin there
    while another process holds a sibling's core, which costs more than ten times what they gain on an idle machine.
    """
    before = torch.get_num_threads()
    compute_with_one_thread()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def limit_memory(device: torch.device, sharing: int) -> int | None:
    """Limit this process's device memory, from here on, to the share of one of `sharing` workers.

    An allocation beyond the limit fails in this process and in no other. On a CPU the limit is a share of main memory,
    even for a single worker; on CUDA it is PyTorch's share of the GPU.

    Returns:
        The limit in bytes; None without one.
    """
    if device.type == "cpu":
        return limit_main_memory(sharing)
    total = torch.cuda.get_device_properties(device).total_memory
    share = total if sharing == 1 else max(_SHARED_GPU * total / sharing - CONTEXT_BYTES, 0.01 * total)
    torch.cuda.set_per_process_memory_fraction(share / total, device)
    return int(share)


def memory_share(device: torch.device) -> int:
    """Return the bytes of memory that this process may hold on the device: its limit, else all of it."""
    if device.type == "cpu":
        return main_memory_limit() or usable_memory() or 0
    total = torch.cuda.get_device_properties(device).total_memory
    return int(total * torch.cuda.get_per_process_memory_fraction(device))


def describe_device(device: torch.device | str) -> DeviceDescription:
    """Describe a device, or the one of an option."""
    device = choose_device(device) if isinstance(device, str) else device
    precision = "bf16" if computes_in_bf16(device) else "fp32"
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        return {
            "name": card.name,
            "cores": card.multi_processor_count,
            "memory": card.total_memory,
            "precision": precision,
        }
    return {"name": _cpu_name(), "cores": process_cores(), "memory": installed_memory() or 0, "precision": precision}


def start_of_trial(device: torch.device) -> None:
    """Return memory freed by earlier trials to the system, and reset the peak.

    Without it a process that keeps freed memory grows with each trial of another batch size: from 1.6 GB to 7 GB in 8.
    """
    begin_trial()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]  # resetting the peak needs it, and does not do it itself
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    if _on_glibc():
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        _CLEAR_REFS.write_text(_RESET_PEAK)


def peak_memory_bytes(device: torch.device | str) -> int:
    """Return the peak memory since `start_of_trial`: PyTorch's on a CUDA device, the whole process's on a CPU.

    On CUDA this is what PyTorch reserved: more than its tensors, and unavailable to other workers. On a CPU without a
    resettable peak in /proc it counts from the start of the process; 0 if unknown.
    """
    device = choose_device(device) if isinstance(device, str) else device
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    with contextlib.suppress(OSError, StopIteration):
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _on_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
