"""Choose the configurations of a search that are confirmed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hpo.search.queries.trial_rows import BestTrial
from hpo.search.queries.trials import read_best, read_trials
from hpo.search.study import Study
from hpo.study.baselines import baselines, shown_name
from hpo.study.choices import loss_family
from hpo.study.config import TrainConfig
from hpo.study.meaning import meaning
from hpo.study.plan import Candidate
from hpo.study.record import stored_config

EVERY = 1_000_000_000


def choose_candidates(search: Study, top: int, per_family: int = 0) -> tuple[Candidate, ...]:
    """Return the baselines of a search, then its `top` best distinct configurations, or fewer if there are no more.

    Where the search has complete trials of several loss families, the `per_family` best of each are among them, so that
    tuned AUCM is compared with tuned cross-entropy whatever is best over all.

    Only complete trials count: a pruned trial's value is from an earlier epoch. Of equivalent configurations only the
    best trial is kept; one that is equivalent to a baseline is represented by the baseline.

    Raises:
        StorageError: if this version of hpo cannot train one of them.
    """
    ranked = read_best(search, count=EVERY).trials
    chosen = _baselines(search, ranked)
    seen = [meaning(candidate.config, search.spec.data) for candidate in chosen]
    sampled = [trial for trial in ranked if trial.value.reference is None]
    if len({_family(trial) for trial in sampled}) < 2:
        per_family = 0
    places: Counter[str] = Counter()
    for trial in sampled:
        # Configurations that cannot be chosen are not parsed: an old one might not be trainable any more.
        if places.total() >= top and places[_family(trial)] >= per_family:
            continue
        config = stored_config(trial.config, search.trial_name(trial.value.number))
        mean = meaning(config, search.spec.data)
        if mean not in seen:
            seen.append(mean)
            places[_family(trial)] += 1
            chosen.append(_candidate(f"trial {trial.value.number}", config, trial))
    return tuple(chosen)


def complete_since(search: Study, confirmation: Study) -> set[int]:
    """Return the numbers of the complete trials of a search that ended after a confirmation began, without them."""
    ends = {row.number: row.ended for row in read_trials(search) if row.state == "complete"}
    return {number for number, ended in ends.items() if ended is not None and ended > confirmation.created_at}


def family_of(config: TrainConfig) -> str:
    """Return the loss family of a configuration."""
    return loss_family(config.loss)


def warnings(search: Study, candidates: Sequence[Candidate]) -> list[str]:
    """Return a warning for each candidate whose trial learned nothing; it is confirmed all the same, by the rule."""
    trials = {trial.value.number: trial for trial in read_best(search, count=EVERY).trials}
    found = [(one.name, trials[one.trial].warning) for one in candidates if one.trial in trials]
    return [f"{shown_name(name)} {warning}" for name, warning in found if warning]


def _family(trial: BestTrial) -> str:
    return loss_family(str(trial.config.get("loss", TrainConfig().loss)))


def _baselines(search: Study, ranked: list[BestTrial]) -> list[Candidate]:
    trials = {trial.value.reference: trial for trial in ranked}
    return [
        _candidate(name, config, trials.get(name), is_reference=True) for name, config in baselines(search.spec).items()
    ]


def _candidate(name: str, config: TrainConfig, trial: BestTrial | None, *, is_reference: bool = False) -> Candidate:
    if trial is None:
        return Candidate(name=name, config=config, is_reference=is_reference)
    value = trial.value
    return Candidate(
        name=name,
        config=config,
        is_reference=is_reference,
        trial=value.number,
        auc=value.auc,
        standard_error=value.standard_error,
    )
