"""From the winner back to each reference, one change at a time: as a study with a plan."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.errors import StudyNotFoundError, UsageError
from hpo.outcome.candidates import meaning
from hpo.outcome.networks import Entry
from hpo.outcome.preparation import planned_spec
from hpo.search.study import Study, open_study
from hpo.study.catalogue import Dataset
from hpo.study.config import TrainConfig, applies, settings
from hpo.study.plan import Candidate, Plan
from hpo.study.spec import StudySpec
from hpo.text import setting


def ablation_name(search: str) -> str:
    """What the ablation of a search is called."""
    return f"{search}-ablation"


def prepare_ablation(search: Study, entries: Sequence[Entry], seeds: int) -> StudySpec:
    """The spec of the ablation: the winner, the references, and the winner with each setting as in a reference.

    entries: the winner first, then references. All other candidates are compared with the winner. Writes nothing.
    Raises UsageError if the winner is not the one that the ablation was begun with, or differs in nothing.
    """
    name, winner = ablation_name(search.name), entries[0]
    candidates = _candidates(entries, search.spec.data)
    if len(candidates) == 1:
        raise UsageError(f"{winner.name} differs from no reference in any setting: there is nothing to take away")
    plan = Plan(search=search.name, candidates=candidates, top=len(candidates) - 1, racing_level=0.0)
    spec = planned_spec(search, name, plan, seeds)
    try:
        stored = open_study(search.database, name)
    except StudyNotFoundError:
        return spec
    if stored.spec.plan is None or stored.spec.plan.candidates != candidates:
        raise UsageError(
            f"study {name} was begun for another winner than {winner.name}; delete it with Optuna's command, or keep it"
        )
    before = stored.spec.budget.trials // len(candidates)
    return planned_spec(search, name, plan, max(seeds, before))


def one_change_each(winner: TrainConfig, reference: TrainConfig, dataset: Dataset) -> dict[str, TrainConfig]:
    """The winner with one setting as in the reference, by `setting = value`; what changes nothing is left out."""
    found: dict[str, TrainConfig] = {}
    values = reference.model_dump()
    for name in settings():
        if not applies(name, values):
            continue
        changed = winner.model_copy(update={name: values[name]})
        if meaning(changed, dataset) != meaning(winner, dataset):
            found[f"{name} = {setting(values[name])}"] = changed
    return found


def _candidates(entries: Sequence[Entry], dataset: Dataset) -> tuple[Candidate, ...]:
    winner, references = entries[0], entries[1:]
    found = [Candidate(name=winner.name, config=winner.config, is_reference=True)]
    seen = [meaning(winner.config, dataset)]
    changes = {
        name: config
        for one in references
        for name, config in one_change_each(winner.config, one.config, dataset).items()
    }
    for name, config in {**{one.name: one.config for one in references}, **changes}.items():
        if meaning(config, dataset) not in seen:
            seen.append(meaning(config, dataset))
            found.append(Candidate(name=name, config=config))
    return tuple(found)
