"""Text that others stored is shown as text, whatever it is: on a terminal, in pictures, in JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hpo.cli.render.page import PlainConsole
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.testing.trainer import make_spec
from hpo.testing.trials import trained
from tests.cli.run import hpo_here

TEXTS = ("[/b]", "[red]x", "\\[/]", "\x1b]0;title\x07", "\x1b[2J", "\x9b31m", "\u202etxt", ":smile:", "a\rb", "<b>")
OBEYED = {"\x1b", "\x07", "\x9b", "\u202e", "\r"}


@pytest.mark.parametrize("text", TEXTS)
def test_a_console_shows_any_text(text: str) -> None:
    file = io.StringIO()
    console = PlainConsole(file=file, width=60)
    table = Table("a", title=text)
    table.add_row(text)
    for what in (text, Text(text), table, Panel(text, title=Text(text)), Text.assemble((text, "bold"))):
        console.print(what)
    assert not OBEYED & set(file.getvalue())
    if text.isprintable():
        assert file.getvalue().count(text) == 7


@pytest.mark.slow
def test_every_command_shows_what_was_stored(tmp_path: Path) -> None:
    """Each text is in two trials, an even one in its row and an odd one in its record, and a worker."""
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    numbers = range(2 * len(TEXTS))
    trained(create_or_open(database, "study", make_spec(len(numbers) + 1)), aucs=(0.7,) * len(numbers))
    with database.engine.begin() as connection:
        for place, text in enumerate(TEXTS):
            change = sa.update(schema.trials).where(schema.trials.c.place == 2 * place)
            connection.execute(change.values(dict.fromkeys(("reason", "worker", "checkpoint", "reference"), text[:60])))
            here = schema.trials.c.place == 2 * place + 1
            record = connection.scalar(sa.select(schema.trials.c.record).where(here)) or "{}"
            stored = json.loads(record) | {"code_version": text, "environment": {"device": text, text: text}}
            connection.execute(sa.update(schema.trials).where(here).values(record=json.dumps(stored)))
            worker = dict.fromkeys(("host", "device", "job", "message"), text) | {
                "process": 1,
                "life": "",
                "finished": 0,
            }
            times = {"started": 1.0, "seen": schema.database_now(), "ended": 2.0}
            connection.execute(sa.insert(schema.workers).values(study_id=1, worker=text, **worker, **times))
    database.close()
    for words in (
        *(["status", "study"], ["trials", "study"], ["best", "study", "--count", "20"]),
        *(["trials", "study", str(number)] for number in numbers),
        *(["trials", "study", str(number), "--json"] for number in numbers),
        *(["status", "study", "--json"], ["trials", "study", "--json"], ["best", "study", "--json"]),
        ["status", "study", "--picture", "picture.svg"],
    ):
        run = hpo_here(*words, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        assert not OBEYED & set(run.stdout + run.stderr)
        if "--json" in words:
            json.loads(run.stdout)
    assert not OBEYED & set((tmp_path / "picture.svg").read_text())


@pytest.mark.parametrize(
    "name", ["[/b]", "[red]x", "two words", "a'b", "$(id)", "é ü", "<b>", "`x`", "../x", ":smile:"]
)
def test_a_name_of_any_letters_works_in_every_command(name: str, tmp_path: Path) -> None:
    for words in (
        *(["launch", "--dataset", "digits", "--on", "none", "--name", name], ["status", name], ["trials", name]),
        *(
            ["best", name],
            ["status", name, "--json"],
            ["stop", name],
            ["db", "copy", name, "--to", "sqlite:///other.db"],
        ),
    ):
        run = hpo_here(*words, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
    assert name in hpo_here("status", name, cwd=tmp_path).stdout


def test_a_folder_with_markup_in_its_name_is_listed(tmp_path: Path) -> None:
    run = hpo_here("data", "list", "--data-dir", "[/x]", cwd=tmp_path)
    assert (run.returncode, "[/x]" in run.stdout) == (0, True)
