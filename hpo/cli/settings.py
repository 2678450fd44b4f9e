"""Implement `hpo settings`: list every setting of a training run that a study file may fix or search."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo
from rich.table import Table

from hpo.cli.common import json_option, print_json
from hpo.cli.render.page import page
from hpo.cli.streams import show
from hpo.study.config import Setting
from hpo.study.config import settings as all_settings
from hpo.study.sections import SECTIONS


@click.command()
@click.option("--markdown", is_flag=True, help="Print the page docs/settings.md.")
@json_option
def settings(markdown: bool, as_json: bool) -> None:
    """List every setting of a training run with its domain and default."""
    rows = list(all_settings().values())
    if as_json:
        print_json([_plain(row) for row in rows])
    elif markdown:
        show(_page(rows), end="")
    else:
        _print_table(rows)


def _plain(setting: Setting) -> dict[str, object]:
    bounds = {"low": setting.domain.low, "high": setting.domain.high, "unit": setting.domain.unit}
    return {
        "name": setting.name,
        "kind": setting.kind.__name__,
        "domain": {**bounds, "when": [(other, list(legal)) for other, legal in setting.when]},
        "default": setting.default,
        "choices": setting.choices,
        "description": setting.description,
    }


def domain(setting: Setting) -> str:
    """Return a setting's legal values in words, with the unit."""
    if setting.choices is not None:
        return ", ".join(map(str, setting.choices)).replace("True", "true").replace("False", "false")
    whole = "whole numbers " if setting.kind is int else ""
    return f"{whole}{setting.domain.low:g} to {setting.domain.high:g} {setting.domain.unit}".strip()


def condition(setting: Setting) -> str:
    """Return the settings under which it has an effect."""
    return " and ".join(f"{other} in {', '.join(map(str, legal))}" for other, legal in setting.when)


def _page(rows: list[Setting]) -> str:
    lines = [
        "# Settings of a training run",
        "",
        "Made by `hpo settings --markdown`. A study file fixes a setting in `[fixed]` or searches it in",
        "`[space.SETTING]` by `low`, `high`, `log` or `choices`. A setting means something only under its condition;",
        "elsewhere it is neither suggested nor used. Defaults are LibAUC's.",
        "",
        "| setting | domain | default | only with | meaning and source |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        default = str(row.default).lower() if row.kind is bool else row.default
        cells = (f"`{row.name}`", domain(row), default, condition(row), row.description)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += _sections()
    return "\n".join(lines) + "\n"


def _sections() -> list[str]:
    lines = ["", "# Sections of a study file"]
    for section, model in SECTIONS.items():
        about = " ".join((model.__doc__ or "").split())
        lines += ["", f"## `[{section}]`", "", about, "", "| key | legal | default | meaning |", "|---|---|---|---|"]
        for name, field in model.model_fields.items():
            default = str(field.default).lower() if isinstance(field.default, bool) else field.default
            cells = (f"`{name}`", _legal(field), default, " ".join((field.description or "").split()))
            lines.append(f"| {' | '.join(map(str, cells))} |")
    about = "Values of searched settings, and perhaps a `name`, for one of the first trials after the baselines;"
    return [*lines, "", "## `[[start]]`", "", about, "may be repeated: [start points](study-files.md#start-points)."]


def _legal(field: FieldInfo) -> str:
    """Return the choices of a key, or its bounds."""
    from hpo.study.choices import OneOf

    if field.annotation is bool:
        return "true, false"
    if get_origin(field.annotation) is Literal:
        return ", ".join(get_args(field.annotation))
    for registered in field.metadata:
        if isinstance(registered, OneOf):
            return ", ".join(registered.registry.names())
    names = ("ge", "gt", "le", "lt")
    bounds = {name: getattr(bound, name) for bound in field.metadata for name in names if hasattr(bound, name)}
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if low is None:
        return ", ".join(_form(part) for part in get_args(field.annotation))
    return f"{'above ' if 'gt' in bounds else ''}{low} to {'below ' if 'lt' in bounds else ''}{high}"


def _form(part: Any) -> str:
    """Return one of several forms that a key may have: its choices, or that it is a list."""
    bare = get_args(part)[0] if get_origin(part) is Annotated else part
    return ", ".join(get_args(bare)) if get_origin(bare) is Literal else "a list"


def _print_table(rows: list[Setting]) -> None:
    table = Table("setting", "domain", "default", "only with", "meaning")
    for row in rows:
        table.add_row(row.name, domain(row), str(row.default), condition(row), row.description)
    page().print(table)
