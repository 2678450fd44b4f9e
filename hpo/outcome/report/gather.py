"""Gather the evidence of a study: search, confirmation, final result, test-set access log."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hpo.data.folder import data_folder
from hpo.errors import StudyNotFoundError, UsageError
from hpo.outcome.ablation import ablation_name
from hpo.outcome.access_log import accesses_elsewhere
from hpo.outcome.final import load, results_root
from hpo.outcome.leaderboard import read_confirmation
from hpo.outcome.method_effects import read_methods
from hpo.outcome.method_plan import methods_name
from hpo.outcome.ownership import is_of
from hpo.outcome.preparation import confirmation_name, mismatch
from hpo.outcome.report.build import Evidence
from hpo.outcome.report.search.evidence import gather_search
from hpo.outcome.report.work import Work
from hpo.outcome.selection import read_scores
from hpo.outcome.untested import UntestedResult, load_untested
from hpo.search.queries.ledger import read_openings
from hpo.search.queries.trials import read_records
from hpo.search.study import Study, open_study


def gather(study: Study, result: Path, confirmation: str | None = None) -> Evidence:
    """Gather everything that exists.

    Args:
        result: folder of the final result.
        confirmation: name of the confirmation, if not the default.

    Raises:
        UsageError: if `study` is itself a confirmation, or the named confirmation is of another search.
        StudyNotFoundError: if the named confirmation does not exist.
    """
    if study.spec.plan is not None:
        role, of = study.spec.plan.role, study.spec.plan.search
        raise UsageError(f"study {study.name} is the {role} of {of}; run the command on {of}")
    final = load(result)
    ours = final if final is not None and is_of(final.result, study) else None
    openings = tuple(read_openings(study.database, study.spec.dataset))
    confirmed = _plan_of(study, confirmation or confirmation_name(study.name), confirmation is not None)
    ablated = _plan_of(study, ablation_name(study.name), role="ablation")
    measured = _methods_of(study)
    # One of before its creation was for an earlier study of its name.
    own = [one for one in openings if one.study in (study.name, *study.former_names)]
    opening = next((one for one in reversed(own) if one.seconds >= study.created_at), None)
    root = results_root(result, (study.name, *study.former_names))
    return Evidence(
        gather_search(study),
        read_confirmation(confirmed) if confirmed is not None else None,
        read_confirmation(ablated) if ablated is not None else None,
        ours,
        openings,
        tuple(accesses_elsewhere(study.database, study.spec.dataset, data_folder(None), root)),
        tuple(
            Work(stage, tuple(read_records(plan).values()))
            for stage, plan in (("confirmation", confirmed), ("ablation", ablated), ("methods", measured))
            if plan is not None
        ),
        read_scores(study),
        read_methods(measured) if measured is not None else None,
        opening,
        _untested_of(study, result),
    )


def _untested_of(study: Study, folder: Path) -> UntestedResult | None:
    """Return the result of the study if its data have no test set."""
    found = None if study.spec.data.has_test else load_untested(folder)
    return found if found is not None and is_of(found, study) else None


def _methods_of(study: Study) -> Study | None:
    """Return the study that measures methods in the best of `study`."""
    try:
        found = open_study(study.database, methods_name(study.name))
    except StudyNotFoundError:
        return None
    plan = found.spec.plan
    return found if plan is not None and plan.is_of_methods and plan.search == study.name else None


def _plan_of(
    study: Study, name: str, required: bool = False, role: Literal["confirmation", "ablation"] = "confirmation"
) -> Study | None:
    """Return the study of that name if it confirms `study`, or ablates it.

    Raises:
        StudyNotFoundError: if `required`, and there is none.
        UsageError: if `required`, and it is of another search.
    """
    try:
        found = open_study(study.database, name)
    except StudyNotFoundError:
        if required:
            raise
        return None
    fault = mismatch(study, found, role)
    if fault is not None and required:
        raise UsageError(f"{fault}; give --confirmation with one of {study.name}")
    return found if fault is None else None
