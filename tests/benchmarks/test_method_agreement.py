"""How far tables of methods agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.method_agreement import agreement, read_effects, recipes_of


def test_differences_of_two_files_agree_where_both_have_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def written(name: str, sign: int) -> Path:
        effects = [
            {"method": method, "difference": difference, "in_recipe": method == "had"}
            for method, difference in (("a", 0.1 * sign), ("b", 0.0), ("c", -0.3 * sign), ("had", 9.0), ("open", None))
        ]
        recipes = [{"recipe": recipe, "mean": 0.8, "effects": effects} for recipe in ("one", "two")]
        (tmp_path / name).write_text(json.dumps({"recipes": recipes}))
        return tmp_path / name

    first, second = (read_effects(written(name, sign)) for name, sign in (("first", 1), ("second", -1)))
    assert agreement(first, second) == (6, pytest.approx(-1))
    assert recipes_of(first) == ["one", "two"]
    assert "4 methods, median difference +0.050" in capsys.readouterr().out
