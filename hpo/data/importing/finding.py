"""Find the files that a table names, also where its names are not quite relative to the folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Literal

from hpo.data.importing.reading import ENDINGS, files_below, find_file
from hpo.text import composed

Naming = Literal["relative", "with the folder", "bare"]
"""How a table names files: relative to the folder; beginning with the folder; by bare names of files in sub-folders."""


@dataclass(frozen=True)
class Located:
    """The files of a table.

    Attributes:
        files: that of each name; None where there is none.
        repeated: bare names that fit several files.
    """

    files: list[Path | None]
    naming: Naming = "relative"
    repeated: frozenset[str] = frozenset()


def locate(folder: Path, names: Sequence[str]) -> Located:
    """Find files by their names; the names are taken in another way only if no file is there as written."""
    relative = Located([find_file(folder, name) for name in names])
    if any(relative.files):
        return relative
    without = Located([_without_folder(folder, name) for name in names], "with the folder")
    if any(without.files):
        return without
    bare = _by_bare_names(folder, names)
    if any(bare.files) or bare.repeated:
        return bare
    if os.sep == "/" and any("\\" in name for name in names):
        # The table is from Windows.
        written = locate(folder, [PureWindowsPath(name).as_posix() for name in names])
        return written if any(written.files) or written.repeated else relative
    return relative


def _without_folder(folder: Path, name: str) -> Path | None:
    """Return the file of a name that begins with the last parts of the folder's path, or has its name in the middle.

    The second is the path of a file on another computer.
    """
    parents, parts = folder.absolute().parts, Path(name).parts
    for count in range(1, len(parts)):
        if parents[-count:] == parts[:count]:
            return find_file(folder, str(Path(*parts[count:])))
    rests = (parts[place + 1 :] for place, part in enumerate(parts[:-1]) if part == parents[-1])
    return next((path for rest in rests if (path := find_file(folder, str(Path(*rest)))) is not None), None)


def _by_bare_names(folder: Path, names: Sequence[str]) -> Located:
    found: dict[str, Path] = {}
    repeated: set[str] = set()
    for path in files_below(folder):
        for name in _bare_names(path):
            if found.setdefault(name, path) is not path:
                repeated.add(name)
    files = [None if composed(name) in repeated else found.get(composed(name)) for name in names]
    return Located(files, "bare", frozenset(name for name in names if composed(name) in repeated))


def _bare_names(path: Path) -> set[str]:
    """Return the name of a picture with and without its ending; none of another file."""
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)
    name = composed(path.name)
    return set() if ending is None else {name, name[: -len(ending)]}
