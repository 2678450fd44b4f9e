"""Name the command that comes next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpo.text import counted, shell

if TYPE_CHECKING:
    from hpo.search.queries.status import StudyStatus


def predicting(models: Path) -> str:
    """Say how images are scored by the networks in a folder."""
    return f"next: hpo predict {shell(str(models))} photos (photos: pictures, folders of them, or a FILE.npz)"


def after_result(study: str, results: Path, option: Path | None) -> str | None:
    """Say what a result is used for; None where there is none.

    Args:
        results: the folder of the result.
        option: that folder as it was given, None for the default.
    """
    # Imported late: scipy takes a while, which commands that only read a study need not wait for.
    from hpo.outcome.final import RESULT
    from hpo.outcome.untested import UNTESTED

    if not any((results / name).exists() for name in (RESULT, UNTESTED)):
        return None
    exported = results / "export"
    return predicting(exported) if exported.is_dir() else f"next: {exporting(study, results, option)}"


def exporting(study: str, results: Path, option: Path | None) -> str:
    """Return the command that exports a result; arguments as for `after_result`.

    It is told the folder of a result that has a former name of the study, for which it would have to read the database.
    """
    from hpo.outcome.final import results_folder

    has_former_name = option is None and results != results_folder(study)
    return f"hpo export {shell(study)}{with_results(results if has_former_name else option)}"


def with_results(option: Path | None) -> str:
    """Return `--results` as it was given, to be appended to a command."""
    return "" if option is None else f" --results {shell(str(option))}"


def going_on(status: StudyStatus) -> str | None:
    """Say how a study that has been left goes on; None if it is at work or done."""
    if status.is_done or status.running:
        return None
    waiting = f"{counted(status.free, 'trial')} to be resumed from the last checkpoint; " if status.free else ""
    return f"{waiting}next: the command that began it, or hpo worker {shell(status.name)}"
