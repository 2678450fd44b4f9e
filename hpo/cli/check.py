"""Implement `hpo check`: report all errors of study files at once."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.common import UserPath, json_option, print_json, set_option
from hpo.cli.streams import say, show
from hpo.errors import HpoError
from hpo.study.files import load_spec
from hpo.text import counted


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=UserPath())
@set_option
@json_option
def check(files: tuple[Path, ...], overrides: tuple[str, ...], as_json: bool) -> int:
    """Check study files, and report all errors of all files at once."""
    good, faults = {}, []
    for file in files:
        try:
            good[str(file)] = load_spec(file, overrides)
        except HpoError as error:
            faults.append(error)
    if as_json:
        specs = {path: spec.model_dump(mode="json") for path, spec in good.items()}
        print_json({"ok": specs, "faults": [str(fault) for fault in faults]})
    else:
        for path, spec in good.items():
            searched = (
                f"{counted(len(spec.space), 'setting')} searched, {counted(spec.budget.trials, 'trial')} of "
                f"{counted(spec.budget.epochs, 'epoch')}"
            )
            show(f"{path}: ok; {spec.dataset}, {searched}, fingerprint {spec.fingerprint()}")
    for fault in faults:
        say(f"hpo: {fault}")
    return faults[0].exit_code if faults else 0
