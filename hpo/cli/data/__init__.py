"""Group the commands on the MedMNIST files: `hpo data`."""

from __future__ import annotations

import click

from hpo.cli.lazy import Lazy, LazyGroup

_COMMANDS = {
    "fetch": Lazy("hpo.cli.data.fetch:fetch", "Download datasets, all seven if none is named"),
    "verify": Lazy("hpo.cli.data.verify:verify", "Check MD5 and form of the files of datasets"),
    "duplicates": Lazy("hpo.cli.data.duplicates:duplicates", "Find near-duplicate samples of DATASET, with pictures"),
    "import": Lazy("hpo.cli.data.import_:import_", "Make a dataset of FOLDER's images and a table of labels"),
    "describe": Lazy("hpo.cli.data.describe:describe", "Describe a dataset or file: classes, pixels, groups, warnings"),
    "list": Lazy("hpo.cli.data.list:list_", "Show every dataset with its size and the state of its file"),
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def data() -> None:
    """Fetch and check MedMNIST files; import your own images."""
