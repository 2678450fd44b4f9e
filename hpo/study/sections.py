"""The sections of a study file, and its text as a table."""

from __future__ import annotations

import tomllib

from pydantic import BaseModel

from hpo.study.space import TomlTable
from hpo.study.spec import Budget, Confirm, Scoring, Search

SECTIONS: dict[str, type[BaseModel]] = {"scoring": Scoring, "search": Search, "budget": Budget, "confirm": Confirm}
"""Sections of a study file in addition to those of settings, [fixed] and [space.SETTING]."""

TOP_LEVEL = ("dataset", *SECTIONS, "fixed", "space", "start")
"""Everything at the top level of a study file."""


def parse_toml(text: str) -> TomlTable:
    """Parse TOML. Raises ValueError also for what tomllib has no error of its own for."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("its values are nested too deep") from None
