"""The study of the final networks of a search: a slot of its budget is a network, which any worker can train."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hpo.errors import HpoError, OutputError, StudyConflictError, StudyNotFoundError
from hpo.files import make_folder
from hpo.outcome.network_training import shared_folder
from hpo.outcome.networks import Entry, Protocol, WantedNetwork
from hpo.revision import code_version
from hpo.search.admin.studies import delete_study
from hpo.search.creation import create_or_open
from hpo.search.queries.slots import SlotEnd, read_ends
from hpo.search.queue.reopening import reopen
from hpo.search.study import Study, open_study
from hpo.study.plan import Candidate, FinalTraining, Plan
from hpo.study.spec import Scoring, StudySpec
from hpo.text import shell

_log = logging.getLogger(__name__)


def network_study_name(search: str) -> str:
    """Return the default name of the study of a search's final networks."""
    return f"{search}-final"


def network_spec(search: Study, entries: Sequence[Entry], protocol: Protocol, folder: Path) -> StudySpec:
    """Return the spec of a study of final networks, with one slot of the budget for each.

    Args:
        folder: of the results.
    """
    spec = search.spec
    candidates = tuple(
        Candidate(name=entry.name, config=protocol.config(entry), is_reference=entry.is_reference) for entry in entries
    )
    epochs = tuple(protocol.epochs_of(entry) for entry in entries)
    final = FinalTraining(folder=str(folder.absolute()), rows=protocol.rows, epochs=epochs)
    plan = Plan(search=search.name, candidates=candidates, top=len(entries), racing_level=0.0, final=final)
    return spec.model_copy(
        update={
            "scoring": _one_fold(spec.scoring),
            "search": spec.search.model_copy(update={"pruner": "none", "max_failed_share": 1.0}),
            "budget": spec.budget.model_copy(update={"trials": protocol.seeds * len(entries)}),
            "start": (),
            "plan": plan,
        }
    )


def _one_fold(scoring: Scoring) -> Scoring:
    """Return the scoring with a single fold of the same size.

    Nothing is scored on it: a worker trains one network at a time, and as a trial of one fold its memory and time are
    measured.
    """
    if scoring.rows != "kfold":
        return scoring
    return Scoring(rows="holdout", share=1 / scoring.folds, seed=scoring.seed, groups=scoring.groups)


def prepare_study(
    search: Study, name: str, spec: StudySpec, missing: Mapping[int, WantedNetwork], folder: Path
) -> Study:
    """Create the study `name` of final networks or continue it, so that workers can train the missing ones.

    A study of other networks of the same search, or of another results folder, gives way: what it has trained is in
    files, each of which says what network it is.

    Args:
        missing: by slot, each network that the results folder did not have, whatever the database says of it.
        folder: of the results.

    Raises:
        StudyConflictError: if `name` is a study of something else.
        UsageError: if it has to give way, and workers still train its networks.
        OutputError: if the results folder cannot be written.
    """
    left_by: tuple[str, ...] = ()
    try:
        stored = open_study(search.database, name)
    except StudyNotFoundError:
        pass
    else:
        _check_ours(search, stored)
        if stored.spec.canonical() != spec.canonical():
            delete_study(search.database, name, alone=True)
            _log.info(f"study {name} is made again: it trained other networks, or into another folder")
            left_by = (stored.folder,)
    study = create_or_open(search.database, name, spec, budget="keep", code_version=code_version()[0])
    _make_folder(study, left_by)
    ends = read_ends(study)
    # A worker writes the file before it says so: what has come since the folder was looked at is there by now.
    if again := [slot for slot, one in missing.items() if slot in ends and not one.is_trained(folder)]:
        for slot in again:
            _log.info(f"network {missing[slot].name} is trained again: {_why(ends[slot])}")
        reopen(study, again)
        ends = read_ends(study)
    # Networks beyond those that are wanted now have ended too, if more were wanted before.
    beyond = sum(slot >= spec.budget.trials for slot in ends)
    budget = spec.budget.model_copy(update={"trials": spec.budget.trials + beyond})
    return create_or_open(search.database, name, spec.model_copy(update={"budget": budget}), budget="set")


def folder_of_trained(search: Study, name: str, spec: StudySpec) -> str | None:
    """Return the folder name of the study `name` if it trains the networks of a spec, all of which are there.

    Returns:
        None if there is no such study, it cannot be read, or more networks were asked of it, which its workers may be
        training.
    """
    try:
        stored = open_study(search.database, name)
    except HpoError:
        # All networks are there: what is wrong with the study that trained them must not hold up their result.
        return None
    if stored.spec.canonical() != spec.canonical():
        return None
    ends, wanted = read_ends(stored), spec.budget.trials
    is_done = all(slot in ends for slot in range(wanted, stored.spec.budget.trials))
    return stored.folder if is_done else None


def failures(study: Study, wanted: Sequence[WantedNetwork]) -> list[str]:
    """Return why networks could not be trained, a sentence for each."""
    ends = read_ends(study)
    return [
        f"{one.name}: {ends[slot].reason}"
        for slot, one in enumerate(wanted)
        if slot in ends and ends[slot].outcome == "failed"
    ]


def _check_ours(search: Study, stored: Study) -> None:
    plan = stored.spec.plan
    if plan is None or plan.final is None or plan.search != search.name:
        raise StudyConflictError(
            f"study {stored.name} is not the final training of {search.name}; give another --name, or rename it with "
            f"`hpo rename {shell(stored.name)} NEW`"
        )


def _make_folder(study: Study, left_by: Sequence[str]) -> None:
    """Make the folder that shows workers that they reach the results, with checkpoints of earlier training."""
    from hpo.training.loop.checkpoint import move_checkpoints

    assert study.spec.plan is not None
    assert study.spec.plan.final is not None
    folder = shared_folder(study, study.spec.plan.final)
    try:
        make_folder(folder)
        for former in (folder.parent, *(folder.parent / name for name in left_by)):
            move_checkpoints(former, folder)
            with suppress(OSError):
                # Networks that are not in their places yet stay.
                former.rmdir()
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); give another --results") from None


def _why(end: SlotEnd) -> str:
    return f"it failed ({end.reason})" if end.outcome == "failed" else "its file is gone"
