"""Start points of a new study from the best trials of another."""

from __future__ import annotations

from hpo.errors import UsageError
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_best
from hpo.search.study import Study
from hpo.study.config import ConfigValues, applies, settings
from hpo.study.spec import StudySpec
from hpo.study.starts import Start, fitted
from hpo.text import shell

MOST_TRIALS = 1_000_000
"""Largest number of trials that a study has."""


def best_as_starts(source: Study, spec: StudySpec, count: int) -> tuple[list[Start], list[str]]:
    """Return the best complete trials of a study, without baselines, as start points of another.

    Args:
        source: a search, of any dataset and space; its records may be those of an earlier hpo.
        spec: of the new study, into whose space they are fitted.
        count: how many at most; trials that are the same there are one.

    Returns:
        The start points, best first, and what no longer fits, a sentence each.

    Raises:
        UsageError: if it is a confirmation, or has no complete trial besides the baselines that fits.
        StorageError: if a record cannot be read.
    """
    if source.spec.plan is not None:
        if not source.spec.plan.search:
            raise UsageError(f"study {source.name} measures methods; --from takes the best of a search")
        search = shell(source.spec.plan.search)
        raise UsageError(f"study {source.name} was made from the search {search}; take the best of it: --from {search}")
    found = [best for best in read_best(source, MOST_TRIALS).trials if best.value.reference is None and best.config]
    starts: list[Start] = []
    notes: list[str] = []
    for best in found:
        whole = Start(name=f"{source.name} trial {best.value.number}", values=_active(best.config))
        start, said = fitted(whole, spec.fixed, spec.space)
        if start is not None and start.values in [other.values for other in starts]:
            continue
        notes += said
        starts += [start] if start is not None else []
        if len(starts) == count:
            break
    if not starts:
        raise UsageError(
            f"study {source.name} has no complete trial besides the baselines with values that are searched here"
        )
    return starts, notes


def tried_on_samples(source: Study, spec: StudySpec) -> int:
    """Count the configurations that a search, and those it started from, tried on the samples of another spec.

    Raises:
        StorageError: if the study cannot be read.
    """
    if not spec.has_samples_of(source.spec):
        return 0
    status = read_status(source)
    return max(status.complete + status.pruned - len(status.references), 0) + source.spec.earlier


def _active(stored: ConfigValues) -> ConfigValues:
    """Return the settings that had an effect; those that came after the record was stored had their defaults."""
    values = {name: setting.default for name, setting in settings().items()} | stored
    return {name: value for name, value in values.items() if applies(name, values)}
