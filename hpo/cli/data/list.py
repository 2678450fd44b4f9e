"""Implement `hpo data list`: show every dataset and the state of its file."""

from __future__ import annotations

import click
from rich.table import Table

from hpo.cli.common import data_dir_option, json_option, print_json
from hpo.cli.render.page import page
from hpo.data.files import file_state
from hpo.data.folder import data_folder
from hpo.study.catalogue import DATASETS


@click.command("list")
@data_dir_option
@json_option
def list_(data_dir: str | None, as_json: bool) -> None:
    """Show every dataset with its size and the state of its file."""
    folder = data_folder(data_dir)
    states = [file_state(dataset, folder) for dataset in DATASETS]
    if as_json:
        print_json([{**vars(state), "path": str(state.path)} for state in states])
        return
    table = Table(
        "dataset", "dims", "labels", "train / val / test samples", "published AUC", "state", title=str(folder)
    )
    for dataset, state in zip(DATASETS, states, strict=True):
        published = f"{dataset.published_auc:.3f}" if dataset.published_auc else "-"
        rows = " / ".join(map(str, dataset.rows))
        table.add_row(dataset.name, str(dataset.dimensions), str(dataset.labels), rows, published, state.state)
    page().print(table)
