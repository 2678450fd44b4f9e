"""Confirm the best configurations of a search, or ablate its winner, and return its leaderboard."""

from __future__ import annotations

import logging
from collections.abc import Callable

from hpo.errors import StudyNotFoundError
from hpo.outcome.ablation import ablation_name, prepare_ablation
from hpo.outcome.leaderboard import Confirmation, read_confirmation
from hpo.outcome.preparation import Wishes, confirmation_name, prepare_confirmation
from hpo.outcome.winner import choose_entries
from hpo.search.database.database import Database
from hpo.search.queries.status import read_status
from hpo.search.study import Study, open_study
from hpo.study.spec import StudySpec

_log = logging.getLogger(__name__)

Train = Callable[[StudySpec, str], object]
"""Trains the remaining trials of a planned study, given its spec and name, as `hpo.launch.session.launch` does."""


def confirm(
    search: Study,
    *,
    train: Train,
    name: str | None = None,
    top: int | None = None,
    seeds: int | None = None,
    racing: bool = True,
    per_family: int | None = None,
) -> Confirmation:
    """Retrain the best configurations and baselines of a search, unpruned and paired, with new seeds and folds.

    A repeated call resumes; a larger `seeds` adds repeats.

    Args:
        train: called once, if trials are left to train.
        name: of the confirmation; None for NAME-confirm.
        top: number of configurations besides the baselines; None for the study file's value.
        seeds: repeats of each; None for the stored confirmation's value, else the study file's.
        per_family: number of best configurations of each loss family that are among them; None for the study file's.
        racing: whether candidates that are clearly worse are dropped, where the study file allows it.

    Returns:
        The leaderboard; not `done` if `train` returns before everything is trained.

    Raises:
        UsageError, StudyConflictError, StorageError: see `prepare_confirmation`; and what `train` raises.
    """
    name = name or confirmation_name(search.name)
    prepared = prepare_confirmation(search, name, Wishes(top, seeds, racing=racing, per_family=per_family))
    for note in prepared.notes:
        _log.info(note)
    return _carry_out(search.database, prepared.spec, name, train)


def ablate(
    search: Study, *, train: Train, seeds: int = 3, trial: int | None = None, confirmation: str | None = None
) -> Confirmation:
    """Train the winner of a search with one setting at a time as in each baseline, in the study NAME-ablation.

    Args:
        train: called once, if trials are left to train.
        seeds: repeats of each.
        trial: number of the trial to take as the winner; None for the winner of the confirmation.
        confirmation: name of the confirmation; None for NAME-confirm.

    Raises:
        UsageError, StudyNotFoundError, StorageError: see `choose_entries`, `prepare_ablation`; and what `train` raises.
    """
    winner, *others = choose_entries(search, trial=trial, confirmation=confirmation)
    spec = prepare_ablation(search, [winner, *(other for other in others if other.is_reference)], seeds)
    return _carry_out(search.database, spec, ablation_name(search.name), train)


def _carry_out(database: Database, spec: StudySpec, name: str, train: Train) -> Confirmation:
    """Train what is left of a plan, then read the leaderboard."""
    if not _is_done(database, name, spec):
        train(spec, name)
    return read_confirmation(open_study(database, name))


def _is_done(database: Database, name: str, spec: StudySpec) -> bool:
    try:
        return read_status(open_study(database, name)).finished >= spec.budget.trials
    except StudyNotFoundError:
        return False
