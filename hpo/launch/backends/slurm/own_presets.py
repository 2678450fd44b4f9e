"""Presets of the user's own: TOML files in `hpo-presets` here, or in `hpo/presets` of the configuration folder."""

from __future__ import annotations

import logging
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hpo.errors import UsageError, did_you_mean
from hpo.files import expanded, read_text
from hpo.launch.backends.slurm.presets import GENERIC, PRESETS, Partition, Preset
from hpo.launch.backends.slurm.units import GPU_KIND, read_time

HERE = Path("hpo-presets")
"""Folder of the presets of a project, below the current folder."""

NAME_FORM = r"[A-Za-z0-9][\w.-]{0,63}"
"""Form of the name of a preset."""

_MOST_BYTES = 2**20

_log = logging.getLogger(__name__)

Word = Annotated[str, Field(pattern=r"^[\w.@+-]+(/[\w.@+-]+)*$")]
Kind = Annotated[str, Field(pattern=rf"^{GPU_KIND}$")]
Count = Annotated[int, Field(ge=1)]


def _seconds(text: str) -> int:
    return read_time(text)


Walltime = Annotated[str, AfterValidator(_seconds)]


class _PartitionTable(BaseModel):
    model_config = ConfigDict(extra="forbid")

    time: Walltime | None = None
    gpus: dict[Kind, Count] = {}


class _PresetTable(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(max_length=200)] = ""
    cores: Count | None = None
    memory_gb: Count | None = None
    time: Walltime | None = None
    account: Word | None = None
    modules: list[Word] = []
    partitions: dict[Word, _PartitionTable] = {}


def own_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of a user's presets: `hpo/presets` in XDG_CONFIG_HOME, else in ~/.config."""
    named = environment.get("XDG_CONFIG_HOME", "")
    # A relative path is to be ignored, by the XDG base directory specification.
    base = Path(named) if Path(named).is_absolute() else expanded("~/.config")
    return base / "hpo" / "presets"


def own_files() -> dict[str, Path]:
    """Return the files of presets by name; one of the current folder takes the place of the user's."""
    try:
        folders = [own_folder(), HERE]
    except UsageError:
        # No home folder: nothing can be there.
        folders = [HERE]
    found = (path for folder in folders for path in sorted(folder.glob("*.toml")))
    return {path.stem: path for path in found if re.fullmatch(NAME_FORM, path.stem) and path.stem != GENERIC}


def preset_names() -> list[str]:
    """Return the names of the shipped presets and of the user's own."""
    return list(dict.fromkeys([*PRESETS, *own_files()]))


def find_preset(name: str) -> Preset:
    """Return a preset; one of the user's own takes the place of a shipped one of that name.

    Raises:
        UsageError: if there is none, or with everything that is wrong in its file.
    """
    if (path := own_files().get(name)) is not None:
        return read_preset(path)
    if name not in PRESETS:
        raise UsageError(f"--preset {name} is not a known cluster{did_you_mean(name, preset_names())}")
    return PRESETS[name]


def all_presets() -> dict[str, Preset]:
    """Return all presets by name; a file with errors is a warning in the log."""
    found = {}
    for name in preset_names():
        try:
            found[name] = find_preset(name)
        except UsageError as error:
            _log.warning("%s", error)
    return found


def read_preset(path: Path) -> Preset:
    """Read a file; raises UsageError with everything that is wrong in it."""
    try:
        table = _PresetTable.model_validate(tomllib.loads(read_text(path, _MOST_BYTES)))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
        raise UsageError("\n  ".join([f"{path}: {count}", *problems])) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    return Preset(
        name=path.stem,
        title=table.title or path.stem,
        cores=table.cores,
        memory_gb=table.memory_gb,
        seconds=_as_int(table.time),
        partitions={name: Partition(_as_int(one.time), dict(one.gpus)) for name, one in table.partitions.items()},
        modules=tuple(table.modules),
        account=table.account,
    )


def _as_int(seconds: object) -> int | None:
    assert seconds is None or isinstance(seconds, int)
    return seconds
