"""Build the ablation study: the winner with one setting at a time set as in a baseline."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.errors import StudyNotFoundError, UsageError
from hpo.outcome.networks import Entry
from hpo.outcome.preparation import planned_spec
from hpo.search.study import Study, open_study
from hpo.study.catalogue import Dataset
from hpo.study.config import TrainConfig, applies, settings
from hpo.study.meaning import meaning
from hpo.study.plan import Candidate, Plan
from hpo.study.ranges import REPEATS
from hpo.study.spec import StudySpec
from hpo.text import setting


def ablation_name(search: str) -> str:
    """Return the study name of a search's ablation."""
    return f"{search}-ablation"


def prepare_ablation(search: Study, entries: Sequence[Entry], seeds: int) -> StudySpec:
    """Build the spec of the ablation: the winner, the baselines, and the winner with each setting as in a baseline.

    Writes nothing to the database.

    Args:
        entries: the winner first, then the baselines. Every other candidate is compared with the winner.

    Raises:
        UsageError: if the stored ablation is of another winner, the winner differs from no baseline, or `seeds` is out
            of range.
    """
    REPEATS.check("--seeds", seeds)
    name, winner = ablation_name(search.name), entries[0]
    candidates = _candidates(entries, search.spec.data)
    if len(candidates) == 1:
        raise UsageError(f"{winner.name} has the same settings as every baseline: there is nothing to ablate")
    try:
        stored = open_study(search.database, name)
    except StudyNotFoundError:
        plan = Plan(search=search.name, candidates=candidates, top=len(candidates) - 1, racing_level=0.0)
        return planned_spec(search.spec, name, plan, seeds)
    if stored.spec.plan is None or stored.spec.plan.candidates != candidates:
        raise UsageError(
            f"study {name} was created for another winner than {winner.name}; delete or rename it, or keep it"
        )
    # Its own seed stays: it is derived from the name that it had when it was created.
    trials = max(seeds * len(candidates), stored.spec.budget.trials)
    return stored.spec.model_copy(update={"budget": stored.spec.budget.model_copy(update={"trials": trials})})


def one_change_each(winner: TrainConfig, baseline: TrainConfig, dataset: Dataset) -> dict[str, TrainConfig]:
    """Map `setting = value` to the winner with that setting as in the baseline; omit changes without effect."""
    found: dict[str, TrainConfig] = {}
    values = baseline.model_dump()
    for name in settings():
        if not applies(name, values):
            continue
        changed = winner.model_copy(update={name: values[name]})
        if meaning(changed, dataset) != meaning(winner, dataset):
            found[f"{name} = {setting(values[name])}"] = changed
    return found


def _candidates(entries: Sequence[Entry], dataset: Dataset) -> tuple[Candidate, ...]:
    winner, baselines = entries[0], entries[1:]
    found = [Candidate(name=winner.name, config=winner.config, is_reference=True)]
    seen = [meaning(winner.config, dataset)]
    changes = {
        name: config
        for one in baselines
        for name, config in one_change_each(winner.config, one.config, dataset).items()
    }
    for name, config in {**{one.name: one.config for one in baselines}, **changes}.items():
        if meaning(config, dataset) not in seen:
            seen.append(meaning(config, dataset))
            found.append(Candidate(name=name, config=config))
    return tuple(found)
