"""Run the checks of `hpo doctor`, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hpo.errors import DataError, DeviceError, OutputError, StorageError, UsageError
from hpo.launch.doctor.data import look_at_data
from hpo.launch.doctor.database import DatabaseCheck
from hpo.launch.doctor.disk import Folder, look_at_disk
from hpo.launch.doctor.finding import Check, Finding, run_checks
from hpo.launch.doctor.machine import DEVICE_SECONDS, look_at_device, look_at_packages
from hpo.launch.doctor.surroundings import look_at_proxy, look_at_slurm
from hpo.study.catalogue import Dataset, own_dataset


@dataclass(frozen=True)
class CheckContext:
    """What to check. storage: as for --storage. checkpoint_dir: None if none is used.

    all_data: whether datasets that no study needs are missed, too.
    """

    storage: str | None
    study: str | None
    data_dir: Path
    device: str
    log_dir: Path
    checkpoint_dir: Path | None
    all_data: bool = False


def examine(context: CheckContext) -> Iterator[Finding]:
    """Yield every finding as soon as it is known; changes nothing."""
    database = DatabaseCheck(context.storage, context.study)

    def host() -> str | None:
        return database.location.host if database.location is not None else None

    def needed() -> tuple[str | Dataset, ...]:
        if database.dataset is None:
            return ()
        return (own_dataset(database.own) if database.own is not None else database.dataset, *database.others)

    def folders() -> list[Folder]:
        chosen = [Folder("logs", context.log_dir)]
        if context.checkpoint_dir is not None:
            chosen.append(Folder("checkpoints", context.checkpoint_dir))
        if database.location is not None and database.location.file is not None:
            chosen.append(Folder("database", database.location.file.parent))
        return [*chosen, Folder("data", context.data_dir, written=False)]

    return run_checks(
        [
            Check("database", database.look, StorageError, 40.0),
            Check("data", lambda: look_at_data(context.data_dir, needed, context.all_data), DataError, 60.0),
            Check("device", lambda: look_at_device(context.device), DeviceError, DEVICE_SECONDS),
            Check("disk", lambda: look_at_disk(folders()), OutputError),
            Check("slurm", look_at_slurm, UsageError),
            Check("proxy", lambda: look_at_proxy(host), UsageError),
            Check("packages", look_at_packages, UsageError),
        ]
    )
