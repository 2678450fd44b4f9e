"""Ask whoever is there before something long begins."""

from __future__ import annotations

import sys

import click

from hpo.text import duration


def agrees(hours: float) -> bool:
    """Ask whether a study that is estimated to take so long should start; True where nobody is there to answer."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        return True
    try:
        return click.confirm(f"this takes about {duration(3600 * hours)}; start?", default=False, err=True)
    except click.Abort:
        return False
