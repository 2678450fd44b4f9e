"""Ask Slurm about its partitions and nodes, and write the answer as a preset: `hpo cluster init`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hpo.errors import UsageError
from hpo.launch.backends.slurm import client
from hpo.launch.backends.slurm.presets import ANY_GPU, DAY, Partition
from hpo.launch.backends.slurm.units import GPU_KIND, read_time, write_time

_GPU = re.compile(rf"(?<![\w/])gpu(?::(?P<kind>{GPU_KIND}))?:(?P<count>\d+)(?![\w.:+-])")
_ENDLESS = ("UNLIMITED", "INFINITE", "NONE")
_MOST_MODULES = 6


@dataclass(frozen=True)
class Survey:
    """What Slurm says of a cluster.

    Attributes:
        cores, memory_gb: of its largest node; None if it does not say.
        partitions: those that may be used, those with GPUs first, and among equals Slurm's default.
        accounts: of the user; empty where Slurm keeps none, or does not tell.
        modules: those that load a Python that hpo runs on.
    """

    cluster: str
    cores: int | None
    memory_gb: int | None
    partitions: dict[str, Partition]
    accounts: tuple[str, ...]
    modules: tuple[str, ...]


@dataclass(frozen=True)
class _Node:
    """A node in one of its partitions. memory: in megabytes."""

    partition: str
    cores: int
    memory: int
    gpus: dict[str, int]


def survey(user: str) -> Survey:
    """Ask Slurm, and the module system if there is one.

    Raises:
        SlurmSilentError: if Slurm is not here or does not answer.
        UsageError: if it shows no partition that may be used.
    """
    nodes = [_node(line) for line in client.node_lines()]
    # Slurm adds + where nodes of a line differ.
    fields = [_fields(line) for line in client.partition_lines()]
    usable = [one for one in fields if one.get("State", "UP") == "UP" and one.get("RootOnly", "NO") == "NO"]
    found = {one["PartitionName"]: _partition(one, nodes) for one in usable if "PartitionName" in one}
    if not found:
        raise UsageError("Slurm shows no partition that is up and that you may use; ask those who run the cluster")
    defaults = {one["PartitionName"] for one in usable if one.get("Default") == "YES"}
    order = sorted(found, key=lambda name: (not found[name].gpus, name not in defaults))
    mine = [node for node in nodes if node.partition in found]
    memory = max((node.memory for node in mine), default=0) // 1024
    return Survey(
        cluster=client.cluster_name(),
        cores=max((node.cores for node in mine), default=0) or None,
        memory_gb=memory or None,
        partitions={name: found[name] for name in order},
        accounts=tuple(client.accounts(user)),
        modules=tuple(_pythons(client.module_names())),
    )


def render_preset(found: Survey, name: str) -> str:
    """Return the text of a preset file."""
    lines = [
        f"# The cluster {found.cluster} as Slurm described it to `hpo cluster init`. Change what you know better.",
        f"# Used by: hpo launch DATASET --on slurm --preset {name}",
        f"title = {_text(found.cluster)}",
    ]
    if found.cores is not None:
        lines.append(f"cores = {found.cores}  # of the largest node")
    if found.memory_gb is not None:
        lines.append(f"memory_gb = {found.memory_gb}  # of the largest node")
    lines.append(f"time = {_text(write_time(DAY))}  # walltime to ask for; less where a partition allows less")
    if len(found.accounts) == 1:
        lines.append(f"account = {_text(found.accounts[0])}")
    elif found.accounts:
        lines.append(f"# account = {_text(found.accounts[0])}  # yours: {', '.join(found.accounts)}")
    shown = f"  # Python here: {', '.join(found.modules)}" if found.modules else ""
    lines.append(f"modules = []{shown}")
    lines += ["", "# The first partition is the default. gpus: how many of each type a node has."]
    for partition, limits in found.partitions.items():
        lines += ["", f"[partitions.{_text(partition)}]"]
        if limits.seconds is not None:
            lines.append(f"time = {_text(write_time(limits.seconds))}  # longest walltime")
        if limits.gpus:
            gpus = ", ".join(f"{_text(kind)} = {count}" for kind, count in limits.gpus.items())
            lines.append(f"gpus = {{ {gpus} }}")
    return "\n".join(lines) + "\n"


def _node(line: str) -> _Node:
    partition, cores, memory, gres = (part.strip() for part in line.split("|", 3))
    gpus: dict[str, int] = {}
    for match in _GPU.finditer(gres):
        kind = match["kind"] or ANY_GPU
        gpus[kind] = gpus.get(kind, 0) + int(match["count"])
    return _Node(partition, _number(cores), _number(memory), {kind: count for kind, count in gpus.items() if count})


def _number(text: str) -> int:
    digits = re.match(r"\d+", text)
    return int(digits[0]) if digits else 0


def _fields(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


def _partition(fields: dict[str, str], nodes: Iterable[_Node]) -> Partition:
    gpus: dict[str, int] = {}
    for node in nodes:
        if node.partition == fields["PartitionName"]:
            for kind, count in node.gpus.items():
                gpus[kind] = max(count, gpus.get(kind, 0))
    longest = fields.get("MaxTime", "UNLIMITED").upper()
    return Partition(None if longest in _ENDLESS else read_time(longest), dict(sorted(gpus.items())))


def _pythons(names: Iterable[str]) -> list[str]:
    found = [name for name in names if re.match(r"(python|anaconda3|miniconda3)/", name, re.IGNORECASE)]
    return sorted(set(found), reverse=True)[:_MOST_MODULES]


def _text(value: str) -> str:
    """Quote for TOML; Slurm's names have no character that would need an escape."""
    kept = re.sub(r'[\\"\x00-\x1f\x7f]', "", value)
    return f'"{kept}"'
