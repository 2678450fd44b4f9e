"""Choose what is trained for the final result: the winner, the best of each other loss family, and the baselines."""

from __future__ import annotations

from hpo.errors import StudyNotFoundError, UsageError
from hpo.outcome.candidates import EVERY
from hpo.outcome.families import best_of_families, losses_of
from hpo.outcome.leaderboard import read_confirmation
from hpo.outcome.networks import Entry
from hpo.outcome.preparation import confirm_command, confirmation_name, mismatch
from hpo.search.queries.trials import read_best
from hpo.search.study import Study, open_study
from hpo.study.baselines import OWN_EPOCHS, baselines
from hpo.study.choices import loss_family
from hpo.study.config import TrainConfig
from hpo.study.meaning import meaning
from hpo.study.record import stored_config
from hpo.text import counted, shell


def choose_entries(search: Study, *, trial: int | None = None, confirmation: str | None = None) -> list[Entry]:
    """Return the winner, then others, see below: by trial number, else by the confirmation of that name.

    Raises:
        UsageError, StudyNotFoundError: see `entries_from_trial` and `confirmed`.
    """
    return entries_from_trial(search, trial) if trial is not None else confirmed(search, confirmation)


def confirmed(search: Study, name: str | None = None) -> list[Entry]:
    """Return the winner of a finished confirmation, the best of each other loss family, and the baselines of its plan.

    If the winner is a baseline, the best of its own family is there as well, so that families are compared as tuned.

    Raises:
        UsageError: if the confirmation is of another search, is not done, or has no winner.
        StudyNotFoundError: if there is no confirmation.
    """
    _require_search(search)
    name = name or confirmation_name(search.name)
    try:
        study = open_study(search.database, name)
    except StudyNotFoundError as error:
        if name != confirmation_name(search.name):
            raise
        raise StudyNotFoundError(
            f"study {search.name} has not been confirmed; run `{confirm_command(search.name, name)}`"
        ) from error
    plan, fault = study.spec.plan, mismatch(search, study)
    if fault is not None or plan is None:
        raise UsageError(f"{fault}; give --confirmation with one of {search.name}")
    found = read_confirmation(study)
    if not found.done:
        raise UsageError(
            f"study {name} is not done ({found.whole} of {found.repeats} repeats are complete): run "
            f"`{confirm_command(search.name, name)}`"
        )
    if found.winner is None:
        raise UsageError(
            f"study {name} has no winner: no candidate finished every repeat; see `hpo trials {shell(name)}`"
        )
    how = f"by {found.rule} over {counted(found.whole, 'repeat')} of {name}, a rule fixed before the search"
    by_name = {candidate.name: candidate for candidate in plan.candidates}
    winner = by_name[found.winner]
    others = [candidate for candidate in plan.candidates if candidate.is_reference and candidate is not winner]
    families = best_of_families(losses_of(by_name[row.candidate] for row in found.leaderboard if row.rank is not None))
    are_compared = bool(families.keys() - {loss_family(winner.config.loss)})
    tuned = [(family, name) for family, name in families.items() if name != winner.name and are_compared]
    return [
        _entry(winner.name, winner.config, how, is_baseline=winner.is_reference),
        *(
            _entry(name, by_name[name].config, f"as the best of loss family {family} in {study.name}")
            for family, name in tuned
        ),
        *(_entry(other.name, other.config, "as a baseline", is_baseline=True) for other in others),
    ]


def entries_from_trial(search: Study, number: int) -> list[Entry]:
    """Return a complete trial of the search, chosen without a confirmation, then the baselines.

    Raises:
        UsageError: if the trial is not complete.
        StorageError.
    """
    _require_search(search)
    found = next((one for one in read_best(search, EVERY).trials if one.value.number == number), None)
    if found is None:
        raise UsageError(
            f"trial {number} of {search.name} is not complete; give --trial one of `hpo best {shell(search.name)}`"
        )
    config = stored_config(found.config, search.trial_name(number))
    name = found.value.reference or f"trial {number}"
    how = f"manually, from the search alone ({search.name}), without a confirmation"
    data = search.spec.data
    others = [
        _entry(other, known, "as a baseline", is_baseline=True)
        for other, known in baselines(search.spec).items()
        if meaning(known, data) != meaning(config, data)
    ]
    return [_entry(name, config, how, is_baseline=found.value.reference is not None), *others]


def _entry(name: str, config: TrainConfig, chosen: str, *, is_baseline: bool = False) -> Entry:
    """Return an entry; a baseline is trained for as many epochs as its authors train it, whatever the study's are."""
    return Entry(name, config, is_baseline, chosen, OWN_EPOCHS.get(name) if is_baseline else None)


def _require_search(search: Study) -> None:
    if search.spec.plan is not None:
        if search.spec.plan.is_of_methods:
            raise UsageError(f"study {search.name} measures methods and has no winner; run the command on a search")
        role, of = search.spec.plan.role, search.spec.plan.search
        raise UsageError(f"study {search.name} is the {role} of {of}; run the command on {of}")
