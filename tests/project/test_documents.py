"""Documents name only what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")]
PATHS = re.compile(r"`((?:hpo|studies|tests|benchmarks|docs)/[\w./-]+)`")
COMMANDS = re.compile(r"^\s*(?:\$ )?hpo ([a-z]+)", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_in_documents_exist(document: Path) -> None:
    missing = [name for name in PATHS.findall(document.read_text()) if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(document: Path) -> None:
    from hpo.cli.main import cli

    unknown = [name for name in COMMANDS.findall(document.read_text()) if name not in cli.commands]
    assert unknown == []


def test_every_room_of_the_package_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = [path.name for path in (ROOT / "hpo").iterdir() if (path / "__init__.py").exists()]
    assert [room for room in rooms if f"hpo/{room}/" not in text] == []


def test_every_setting_is_in_the_reference_of_settings() -> None:
    from hpo.study.config import settings

    text = (ROOT / "docs" / "settings.md").read_text()
    assert [name for name in settings() if f"`{name}`" not in text] == []


def test_the_results_in_the_readme_are_those_of_the_committed_final_results() -> None:
    from hpo.outcome.report.document import to_markdown
    from hpo.outcome.report.overview import gather_rows, overview

    made = to_markdown(overview(gather_rows(ROOT / "docs" / "results")))
    table = made[made.index("| dataset") :].split("\n\n")[0]
    assert table in (ROOT / "README.md").read_text()
    assert made == (ROOT / "docs" / "results" / "report.md").read_text()
