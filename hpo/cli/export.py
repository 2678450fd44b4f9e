"""Implement `hpo export`: write the networks of a final result as a self-contained folder."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.common import UserPath, results_option, storage_option, study_argument
from hpo.cli.looking import look_at_study
from hpo.cli.next_steps import predicting
from hpo.cli.streams import say, show
from hpo.errors import DataError, StorageError
from hpo.outcome.export import export as write_export
from hpo.outcome.final import results_folder
from hpo.text import counted


@click.command()
@study_argument
@click.option("--out", metavar="DIR", type=UserPath(), help="Output folder.  [default: RESULTS/export]")
@results_option
@storage_option
def export(study_name: str, out: Path | None, results: Path | None, storage: str | None) -> None:
    """Write the networks of STUDY's winner to a self-contained folder.

    It holds weights, configuration, a model card and a check script. The database is read only to find the folder of
    the result, where the study was renamed.
    """
    folder = results or _results_of(study_name, storage)
    made = out or folder / "export"
    paths = write_export(folder, made)
    for path in paths:
        show(path)
    say(f"{made}: {counted(len(paths), 'network')}, the model card README.md, and check.py")
    say(predicting(made))


def _results_of(name: str, storage: str | None) -> Path:
    """Return the folder of a study's result: that of its name, or else of a former one that the database knows.

    Raises:
        DataError: if there is none, and no database.
        StudyNotFoundError: if there is none, and the database has no such study.
        StorageError: if the database that `--storage` names cannot be read.
    """
    folder = results_folder(name)
    if folder.exists():
        return folder
    try:
        study = look_at_study(name, storage)
    except StorageError:
        if storage is not None:
            raise
        raise DataError(
            f"{folder} does not exist; run `hpo finalize` first, or, if {name} was renamed, give its database with "
            "--storage or the folder of its result with --results"
        ) from None
    return results_folder(name, None, study.former_names)
