"""Implement `hpo data verify`: check files against their MD5 and format."""

from __future__ import annotations

import click

from hpo.cli.common import data_dir_option, datasets_argument, json_option, print_json
from hpo.cli.data.named import named
from hpo.cli.streams import say, show
from hpo.data.files import file_state
from hpo.data.folder import data_folder
from hpo.errors import DataError


@click.command()
@datasets_argument
@data_dir_option
@json_option
def verify(datasets: tuple[str, ...], data_dir: str | None, as_json: bool) -> int:
    """Check MD5 and form of the files of datasets. Exit code 4 if one is wrong."""
    folder = data_folder(data_dir)
    states = [file_state(dataset, folder) for dataset in named(datasets)]
    if as_json:
        print_json([{**vars(state), "path": str(state.path)} for state in states])
    for state in states:
        if state.detail:
            say(f"hpo: {state.detail}")
        elif not as_json:
            show(f"{state.dataset}: ok")
    return DataError.exit_code if any(state.detail for state in states) else 0
