"""Implement `hpo init`: write a first study file for a dataset."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.common import UserPath, data_dir_option, device_option
from hpo.cli.completers import complete_datasets
from hpo.cli.streams import say, show
from hpo.errors import OutputError
from hpo.files import atomic_write, require_new
from hpo.study.catalogue import find_dataset
from hpo.text import shell


@click.command()
@click.argument("name", metavar="FILE.npz", shell_complete=complete_datasets)
@click.option("--out", metavar="FILE.toml", type=UserPath(), help="The study file.  [default: NAME.toml]")
@click.option(
    "--hours",
    metavar="H",
    type=click.FloatRange(min=0, min_open=True, max=10_000),
    default=8.0,
    show_default=True,
    help="How long the search may take on this machine, by estimate.",
)
@click.option("--force", is_flag=True, help="Replace the study file if it exists.")
@device_option
@data_dir_option
def init(name: str, out: Path | None, hours: float, force: bool, device: str, data_dir: str | None) -> None:
    """Write a study file for a data file of your own, or a dataset.

    Folds follow from the number of samples, trials and epochs from the speed of this machine, which is measured.
    """
    dataset = find_dataset(name)
    path = out or Path(f"{dataset.study_name}.toml")
    require_new(path, force)

    # Imported late: data and packages that are needed once the command line is right.
    from hpo.data.development import load_development
    from hpo.data.folder import data_folder
    from hpo.launch.initial import initial_study
    from hpo.training.machine.limits import usable_cores

    development = load_development(dataset, data_folder(data_dir))
    made = initial_study(development, hours, device, usable_cores())
    try:
        with atomic_write(path) as part:
            part.write_text(made.text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}; give --out with another file") from None
    for reason in made.reasons:
        say(reason)
    option = "" if str(path).endswith(".toml") else "--study-file "
    say(f"next: hpo launch {option}{shell(str(path))}")
    show(path)
