"""Device, precision, memory layout, and the settings of the process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from hpo.errors import DeviceError

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER_TRIM = 2**31 - 1
_AMPERE = (8, 0)
_CLEAR_REFS, _RESET_PEAK = Path("/proc/self/clear_refs"), "5"
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Machine:
    """Where and how a network computes. dtype: of convolutions under autocast; float32 is no autocast."""

    device: torch.device
    dtype: torch.dtype
    memory_format: torch.memory_format

    def autocast(self) -> AbstractContextManager[object]:
        """Context in which forward passes run in `dtype`."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def place(self, network: nn.Module) -> None:
        """Moves a network to the device and its weights to the layout, in place."""
        network.to(device=self.device)
        for parameter in network.parameters():
            if parameter.dim() >= 4:
                parameter.data = parameter.data.contiguous(memory_format=self.memory_format)


def choose_machine(
    device: torch.device, dimensions: Literal[2, 3], precision: Literal["auto", "bf16", "fp32"]
) -> Machine:
    """Precision and layout for networks of that many dimensions on a device.

    Layout: channels-last in 2D and, on CUDA, in 3D, where tensor cores want it; plain in 3D on a CPU, where
    channels-last is no faster.
    """
    bf16 = precision == "bf16" or (precision == "auto" and computes_in_bf16(device))
    layout = torch.channels_last if dimensions == 2 else torch.channels_last_3d
    if dimensions == 3 and device.type == "cpu":
        layout = torch.contiguous_format
    return Machine(device, torch.bfloat16 if bf16 else torch.float32, layout)


def computes_in_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 in hardware: AVX512-BF16 or AMX on a CPU, compute capability 8 on CUDA."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _AMPERE
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, probe, lambda: False)()) for probe in probes)


def choose_device(option: str) -> torch.device:
    """The device of `auto` (CUDA if there is one), `cpu`, `cuda` or `cuda:N`; raises DeviceError if it is not there."""
    count = gpu_count()
    if option == "auto":
        return torch.device("cuda", 0) if count else torch.device("cpu")
    if option == "cpu":
        return torch.device("cpu")
    name, _, number = option.partition(":")
    if name != "cuda" or not (number.isdecimal() or option == "cuda"):
        raise DeviceError(f"device {option} is unknown; give auto, cpu, cuda or cuda:N")
    index = int(number or 0)
    if index >= count:
        there = f"{count} CUDA device{'s' if count != 1 else ''}" if count else "no CUDA device"
        raise DeviceError(f"device {option} is not there: PyTorch {torch.__version__} sees {there}; give auto or cpu")
    return torch.device("cuda", index)


def gpu_count() -> int:
    """Number of CUDA devices that this process sees."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def set_up_process(threads: int | None = None) -> None:
    """Settings of a process that trains: threads, allocator, cuDNN. None leaves the number of threads to PyTorch.

    On glibc, freed memory is kept for the next step rather than given back to the kernel (about 10 % faster on a CPU;
    the process then holds its peak). With equal seeds and an equal number of threads a CPU gives bit-equal results;
    CUDA does not, since cuDNN may choose other algorithms.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if _on_glibc():
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM)
    torch.backends.cudnn.benchmark = True


def describe_device(device: torch.device | str) -> dict[str, str | int]:
    """What a device, or the one of an option, is.

    name, cores (threads in use, or multiprocessors), memory in bytes, precision that `auto` takes.
    """
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
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {"name": _cpu_name(), "cores": torch.get_num_threads(), "memory": memory, "precision": precision}


def start_of_trial(device: torch.device) -> None:
    """Gives what earlier trials freed back to the system, and counts the peak of memory from here.

    Without it a process that keeps freed memory grows with each trial of another batch size: 1.6 GB became 7 GB in 8.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    if _on_glibc():
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        _CLEAR_REFS.write_text(_RESET_PEAK)


def peak_memory_bytes(device: torch.device | str) -> int:
    """Most memory held since `start_of_trial`: by PyTorch on a CUDA device, by the whole process on a CPU.

    Where /proc does not tell, since the process began; 0 where nothing tells.
    """
    device = choose_device(device) if isinstance(device, str) else device
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
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
