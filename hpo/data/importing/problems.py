"""Collect what is wrong with a folder of images, so that all of it is told at once."""

from __future__ import annotations

from pathlib import Path

from hpo.errors import DataError

MOST_SHOWN = 10
"""Largest number of problems of one kind that are told one by one."""


class Problems:
    """Problems by kind, in the order in which they were found."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, kind: str, where: str = "") -> None:
        """Add a problem.

        Args:
            kind: a sentence without a full stop, the same for all of a kind.
            where: file and line; empty for a problem of the whole table.
        """
        self._found.setdefault(kind, []).append(where)

    def refuse(self, table: Path) -> None:
        """Raise DataError with all problems, if there are any."""
        if not self._found:
            return
        count = sum(map(len, self._found.values()))
        lines = [f"{table}: {count:,} problem{'s' if count > 1 else ''}; nothing was written"]
        for kind, places in self._found.items():
            named = [place for place in places if place]
            lines.append(f"  {kind}:" if named else f"  {kind}")
            lines += [f"    {place}" for place in named[:MOST_SHOWN]]
            if len(named) > MOST_SHOWN:
                lines.append(f"    and {len(named) - MOST_SHOWN:,} more")
        raise DataError("\n".join(lines))
