"""Implement `hpo export`: write the networks of a final result as a self-contained folder."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.common import UserPath, results_option, study_argument
from hpo.cli.next_steps import predicting
from hpo.cli.streams import say, show
from hpo.outcome.export import export as write_export
from hpo.outcome.final import results_folder
from hpo.text import counted


@click.command()
@study_argument
@click.option("--out", metavar="DIR", type=UserPath(), help="Output folder.  [default: RESULTS/export]")
@results_option
def export(study_name: str, out: Path | None, results: Path | None) -> None:
    """Write the networks of STUDY's winner to a self-contained folder.

    It holds weights, configuration, a model card and a check script.
    """
    folder = results_folder(study_name, results)
    made = out or folder / "export"
    paths = write_export(folder, made)
    for path in paths:
        show(path)
    say(f"{made}: {counted(len(paths), 'network')}, the model card README.md, and check.py")
    say(predicting(made))
