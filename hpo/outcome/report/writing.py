"""Write the report of one study, or of all datasets that have a final result."""

from __future__ import annotations

from pathlib import Path

from hpo.errors import OutputError, UsageError
from hpo.files import atomic_write
from hpo.outcome.final import DEFAULT_RESULTS, Final, load, results_folder
from hpo.outcome.judgement import judge_final
from hpo.outcome.method_effects import read_methods
from hpo.outcome.ownership import is_of
from hpo.outcome.report.build import build, build_methods
from hpo.outcome.report.document import write
from hpo.outcome.report.gather import gather
from hpo.outcome.report.overview import gather_rows, overview
from hpo.outcome.report.result import latex
from hpo.outcome.report.work import Work
from hpo.search.queries.trials import read_records
from hpo.search.study import Study
from hpo.text import shell


def report(
    study: Study, *, results: Path | None = None, out: Path | None = None, confirmation: str | None = None
) -> tuple[Path, ...]:
    """Write the technical report of a study as it stands: report.html, and report.md with figures/.

    That of a study of methods has its tables.

    Args:
        results: folder of the final result; None for hpo-results/NAME. There need not be one.
        out: folder of the report; None for `results`.
        confirmation: name of the confirmation; None for NAME-confirm.

    Returns:
        Paths of the pages.

    Raises:
        UsageError: if `study` is itself a confirmation.
        StudyNotFoundError: if the named confirmation does not exist.
        DataError, OutputError, StorageError.
    """
    folder = results_folder(study.name, results, study.former_names)
    if study.spec.plan is not None and study.spec.plan.is_of_methods:
        work = Work("methods", tuple(read_records(study).values()))
        return write(build_methods(study.spec.data, read_methods(study), work), out or folder)
    return write(build(gather(study, folder, confirmation)), out or folder)


def final_of(study: Study, results: Path | None = None) -> Final:
    """Load the final result of a study.

    Args:
        results: its folder; None for hpo-results/NAME.

    Raises:
        UsageError: if the study has none yet, is no search, or its data have no test set.
        DataError: if it cannot be read.
    """
    if (plan := study.spec.plan) is not None:
        of = f"; that of {plan.search} is written by the same command with {shell(plan.search)}" if plan.search else ""
        raise UsageError(f"study {study.name} is no search and has no final result of its own{of}")
    if not study.spec.data.has_test:
        raise UsageError(
            f"{study.spec.data.official_name} has no test set, so there is no table of test results; "
            f"`hpo confirm {shell(study.name)} --csv FILE` writes what the confirmation found"
        )
    folder = results_folder(study.name, results, study.former_names)
    final = load(folder)
    if final is None or not is_of(final.result, study):
        raise UsageError(
            f"there is no final result of {study.name} in {folder}; run `hpo finalize {shell(study.name)}`"
        )
    return final


def write_latex(study: Study, file: Path, *, results: Path | None = None) -> Path:
    """Write the final result of a study as a LaTeX table.

    Args:
        file: replaced whole.
        results: folder of the final result; None for hpo-results/NAME.

    Returns:
        The file.

    Raises:
        UsageError: if the study has no final result yet.
        DataError, OutputError.
    """
    final = final_of(study, results)
    text = latex.table(study.spec.data, judge_final(final), final)
    try:
        with atomic_write(file) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{file} cannot be written ({error.strerror}); give another file to --latex") from None
    return file


def report_all(*, results: Path | None = None, out: Path | None = None) -> tuple[Path, ...]:
    """Write one report over all datasets, from the final results in the folders below `results`.

    Args:
        results: parent folder of the results; None for hpo-results.
        out: folder of the report; None for `results`.

    Returns:
        Paths of the pages.

    Raises:
        DataError: if there is no final result, or one that cannot be read.
        OutputError.
    """
    folder = results or DEFAULT_RESULTS
    return write(overview(gather_rows(folder)), out or folder)
