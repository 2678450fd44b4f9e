"""The clusters that hpo knows: what a job may ask for there, and what it asks for if its user says nothing.

Source: the public configuration of TAMU HPRC's clusters and their users' scripts, July 2026; not tried there, so
`hpo launch --on slurm --test-only` lets the cluster itself check a job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

HOUR = 3600
DAY = 24 * HOUR
GENERIC = "generic"
"""Name of the preset that checks and asks for nothing."""

ANY_GPU = "any"
"""Stands for the type of GPUs where a cluster names none."""

TAMU_MODULES = ("GCCcore/13.2.0", "Python/3.11.5", "WebProxy")


@dataclass(frozen=True)
class Partition:
    """What a job may ask for in a partition.

    seconds: longest walltime, None for no limit. gpus: types of GPU and how many of each one node has; None for a
    number not known.
    """

    seconds: int | None
    gpus: Mapping[str, int | None] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Preset:
    """A cluster. cores, memory_gb: of one node, None if not known; seconds: walltime asked for by default.

    partitions: those whose limits are known, the default first; with none, nothing is checked and nothing asked for.
    account: pays for jobs if nothing else is said; account_digits: how many digits an account has there.
    """

    name: str
    title: str
    cores: int | None = None
    memory_gb: int | None = None
    seconds: int | None = None
    partitions: Mapping[str, Partition] = field(default_factory=lambda: MappingProxyType({}))
    modules: tuple[str, ...] = ()
    account_digits: int | None = None
    account: str | None = None


_TAMU_GPU = {"a100": None, "a40": None, "a30": None, "a10": None, "t4": None}

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset(
                "grace",
                "TAMU HPRC Grace",
                cores=48,
                memory_gb=360,
                seconds=DAY,
                partitions={
                    "gpu": Partition(7 * DAY, {"a100": 2, "rtx": 2, "t4": 4}),
                    "gpu-a40": Partition(7 * DAY, {"a40": None}),
                },
                modules=TAMU_MODULES,
                account_digits=12,
            ),
            Preset(
                "faster",
                "TAMU HPRC FASTER",
                cores=64,
                memory_gb=240,
                seconds=DAY,
                partitions={"gpu": Partition(48 * HOUR, _TAMU_GPU)},
                modules=TAMU_MODULES,
                account_digits=12,
            ),
            Preset(
                "aces",
                "TAMU HPRC ACES",
                cores=96,
                memory_gb=480,
                seconds=DAY,
                partitions={
                    "gpu": Partition(48 * HOUR, {"h100": None, "a30": None}),
                    "gpu_debug": Partition(2 * HOUR, {"h100": None, "a30": None}),
                    "cpu": Partition(72 * HOUR),
                },
                modules=TAMU_MODULES,
                account_digits=12,
            ),
            Preset(
                "launch",
                "TAMU HPRC Launch",
                cores=192,
                seconds=DAY,
                partitions={"gpu": Partition(48 * HOUR, {"a30": 2})},
                modules=TAMU_MODULES,
                account_digits=12,
            ),
            Preset(GENERIC, "any cluster: its own defaults, nothing checked"),
        )
    }
)
