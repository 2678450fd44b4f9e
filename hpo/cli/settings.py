"""`hpo settings`: every setting of a training run, as a study file may fix or search it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hpo.cli.options import json_option, print_json

if TYPE_CHECKING:
    from hpo.study.config import Setting


@click.command("settings")
@click.option("--markdown", is_flag=True, help="Print the page docs/settings.md.")
@json_option
def settings_(markdown: bool, as_json: bool) -> None:
    """List every setting of a training run: domain, default, when it means something, source."""
    from hpo.study.config import settings

    rows = list(settings().values())
    if as_json:
        print_json([{**vars(row), "kind": row.kind.__name__, "domain": vars(row.domain)} for row in rows])
    elif markdown:
        print(_page(rows), end="")
    else:
        _print_table(rows)


def domain(setting: Setting) -> str:
    """Its legal values in words, with the unit."""
    if setting.choices is not None:
        return ", ".join(map(str, setting.choices)).replace("True", "true").replace("False", "false")
    whole = "whole numbers " if setting.kind is int else ""
    return f"{whole}{setting.domain.low:g} to {setting.domain.high:g} {setting.domain.unit}".strip()


def condition(setting: Setting) -> str:
    """Under which other settings it means something."""
    return " and ".join(f"{other} in {', '.join(map(str, legal))}" for other, legal in setting.domain.when)


def _page(rows: list[Setting]) -> str:
    lines = [
        "# Settings of a training run",
        "",
        "Made by `hpo settings --markdown`. A study file fixes a setting in `[fixed]` or searches it in",
        "`[space.SETTING]` by `low`, `high`, `log` or `choices`. A setting means something only under its condition;",
        "elsewhere it is neither suggested nor used. Defaults are LibAUC as it comes.",
        "",
        "| setting | domain | default | only with | meaning and source |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        default = str(row.default).lower() if row.kind is bool else row.default
        cells = (f"`{row.name}`", domain(row), default, condition(row), row.description)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def _print_table(rows: list[Setting]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("setting", "domain", "default", "only with", "meaning")
    for row in rows:
        table.add_row(row.name, domain(row), str(row.default), condition(row), row.description)
    Console().print(table)
