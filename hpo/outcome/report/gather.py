"""The evidence of a study: its search, its confirmation, its final result, the ledger."""

from __future__ import annotations

from pathlib import Path

from hpo.errors import StudyNotFoundError, UsageError
from hpo.outcome.ablation import ablation_name
from hpo.outcome.final import load
from hpo.outcome.preparation import confirmation_name
from hpo.outcome.report.build import Evidence
from hpo.outcome.report.evidence import gather_search
from hpo.outcome.standings import Confirmation, read_confirmation
from hpo.search.ledger import read_openings
from hpo.search.study import Study, open_study


def gather(study: Study, result: Path, confirmation: str | None = None) -> Evidence:
    """Everything that is there. result: folder of the final result. confirmation: name of that study, if not the usual.

    Raises UsageError if `study` is itself a confirmation, StudyNotFoundError if a named confirmation is not there.
    """
    if study.spec.plan is not None:
        of = study.spec.plan.search
        raise UsageError(f"study {study.name} is the confirmation of {of}; run the command on {of}")
    final = load(result)
    ours = final if final is not None and final.about["study"] == study.name else None
    openings = tuple(read_openings(study.database, study.spec.dataset))
    confirmed, ablated = read_if_there(study, confirmation), read_if_there(study, ablation_name(study.name), False)
    return Evidence(gather_search(study), confirmed, ablated, ours, openings)


def read_if_there(study: Study, name: str | None = None, required: bool = True) -> Confirmation | None:
    """The standing of a plan that was made for a search, by the usual name or this one; None if it has none.

    Raises StudyNotFoundError for a name that is not there, if it is required.
    """
    try:
        found = open_study(study.database, name or confirmation_name(study.name))
    except StudyNotFoundError:
        if name is not None and required:
            raise
        return None
    return read_confirmation(found) if found.spec.plan is not None else None
