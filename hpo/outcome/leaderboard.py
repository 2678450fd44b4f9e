"""Evaluate a confirmation: means over repeats, paired differences, and the winner by the study file's rule."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from hpo.errors import StudyNotFoundError
from hpo.outcome.candidate_results import CandidateResults, Influences
from hpo.outcome.candidates import complete_since
from hpo.outcome.families import FamilyComparison, compare_families, losses_of
from hpo.outcome.influences import read_influences
from hpo.search.queries.starting import tried_on_samples
from hpo.search.queries.status import read_status
from hpo.search.strategy.racing import Results, read_results
from hpo.search.study import Study, open_study
from hpo.statistics.intervals import Comparison
from hpo.statistics.selection import Optimism, Selection
from hpo.study.plan import Plan
from hpo.study.spec import StudySpec
from hpo.study.stored import JSON_KEY
from hpo.text import counted


class Verdict(StrEnum):
    """Verdict of the interval of a difference; the values are those of `--json`, `text` is for people."""

    BETTER = "better"
    WORSE = "worse"
    INDISTINGUISHABLE = "cannot be told apart"

    @property
    def text(self) -> str:
        """Return the word for tables and sentences."""
        return self.name.lower()


@dataclass(frozen=True)
class Difference:
    """A candidate minus another over the repeats that both finished.

    Attributes:
        low, high: 95 % interval, None without spread; how it was selected is accounted for, see `Confirmation`.
        detectable: smallest true difference that would have been found four times in five; None if there is none.
    """

    to: str
    repeats: int
    difference: float
    low: float | None
    high: float | None
    verdict: Verdict
    detectable: float | None = None


@dataclass(frozen=True)
class LeaderboardRow:
    """A candidate with its results over repeats.

    Attributes:
        search_auc, search_error: of its trial in the search.
        mean, standard_error, low, high: over its complete repeats, with a 95 % interval.
        optimism: of the search, search_auc minus mean.
        rank: by mean among candidates that can win; None for the others.
        note: why it cannot win.
    """

    rank: int | None
    candidate: str
    is_reference: bool
    trial: int | None
    search_auc: float | None
    search_error: float | None
    repeats: int
    mean: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    optimism: float | None = field(metadata={JSON_KEY: "flattered"})
    differences: list[Difference]
    note: str

    def difference_to(self, candidate: str) -> Difference | None:
        """Return how it compares with another candidate; None where they share no repeat that both finished."""
        return next((one for one in self.differences if one.to == candidate), None)


LEADERBOARD_COLUMNS = (
    *("rank", "candidate", "is_reference", "trial", "search_auc", "search_error"),
    *("repeats", "mean", "standard_error", "low", "high", "optimism", "note"),
)
"""What of a `LeaderboardRow` is a column of a table; differences, of which a row has several, are left out."""


@dataclass(frozen=True)
class Confirmation:
    """The state and the results of a confirmation.

    Attributes:
        repeats: planned.
        whole: repeats that every candidate still in the race has ended; only these count.
        winner: None until all is done, and if no candidate finished every repeat.
        leader: the winner if the confirmation ended now.
        leaderboard: ordered by mean; candidates that cannot win come last.
        epochs: of every trial.
        tried: configurations of the search, among which the candidates were selected, and of those of the same samples
            that it started from; None for an ablation, and if the search is no longer in the database.
        families: the best tuned AUCM against the best tuned cross-entropy; None for an ablation.
        remaining: optimism that this selection leaves in the mean of the leader; None without spread, and for an
            ablation.
    """

    name: str
    search: str
    dataset: str
    rows: str
    rule: str
    repeats: int
    whole: int
    done: bool
    winner: str | None
    leader: str | None
    leaderboard: list[LeaderboardRow] = field(metadata={JSON_KEY: "standings"})
    notes: list[str]
    epochs: int = 0
    tried: int | None = None
    remaining: Optimism | None = None
    families: FamilyComparison | None = None


def changes_of(found: Confirmation) -> list[tuple[LeaderboardRow, Difference]]:
    """Return each change of an ablation with its difference from the winner, best mean first.

    One that shares no repeat with the winner, as where that failed, has none: it is compared with other changes only.
    """
    winner = next(row.candidate for row in found.leaderboard if row.is_reference)
    rows = [(row, row.difference_to(winner)) for row in found.leaderboard if not row.is_reference]
    return [(row, made) for row, made in rows if made is not None]


def leaderboard_rows(found: Confirmation) -> list[dict[str, object]]:
    """Return a row for each candidate, by `LEADERBOARD_COLUMNS`."""
    return [{name: getattr(row, name) for name in LEADERBOARD_COLUMNS} for row in found.leaderboard]


def read_confirmation(study: Study) -> Confirmation:
    """Read the results of a confirmation and compare its candidates."""
    plan = study.spec.plan
    assert plan is not None, study.name
    results = study.database.read(lambda connection: read_results(connection, study))
    status = read_status(study)
    found = judge(
        study.name,
        study.spec,
        plan,
        results,
        done=status.is_done,
        tried=_read_tried(study, plan),
        influences=read_influences(study, plan),
        first=plan.repeats_of(study.first_trials),
    )
    later = _finished_later(study, plan) if plan.role == "confirmation" else 0
    if not later:
        return found
    note = (
        f"The search went on after this confirmation had begun: its candidates were not chosen from {later} of the "
        "complete trials that there are now."
    )
    return replace(found, notes=[*found.notes, note])


def judge(
    name: str,
    spec: StudySpec,
    plan: Plan,
    results: Results,
    *,
    done: bool,
    tried: int | None = None,
    influences: Influences | None = None,
    first: int | None = None,
) -> Confirmation:
    """Compare the candidates.

    Args:
        done: whether every planned trial has ended.
        tried: configurations of the search; None if unknown, then only the selection among the candidates counts.
        influences: from out-of-fold scores; without them, the corrected resampled t-test takes the place of
            `repeated_difference`, with longer intervals.
        first: repeats that were planned at first, see `CandidateResults.looks`.
    """
    table = CandidateResults(spec, plan, results, _selection(plan, spec, tried), influences or {}, first)
    order = table.order
    leader = plan.candidates[order[0]].name if order else None
    ranked = [*order, *(number for number in range(len(plan.candidates)) if number not in order)]
    return Confirmation(
        name=name,
        search=plan.search,
        dataset=spec.dataset,
        rows=spec.scoring.rows,
        rule=spec.confirm.rule,
        repeats=table.repeats,
        whole=table.whole,
        done=done,
        winner=leader if done else None,
        leader=leader,
        leaderboard=[_row(table, plan, number) for number in ranked],
        notes=_notes(spec, table, tried),
        epochs=spec.budget.epochs,
        tried=tried,
        remaining=table.remaining,
        families=_families(table, plan) if table.selection is not None else None,
    )


def _read_tried(study: Study, plan: Plan) -> int | None:
    """Count the configurations that the candidates were selected from; None if the search is not there any more."""
    try:
        search = open_study(study.database, plan.search)
    except StudyNotFoundError:
        return None
    return tried_on_samples(search, study.spec) or None


def _finished_later(study: Study, plan: Plan) -> int:
    """Count the complete trials of a search from which its confirmation did not choose."""
    try:
        search = open_study(study.database, plan.search)
    except StudyNotFoundError:
        return 0
    return len(complete_since(search, study))


def _selection(plan: Plan, spec: StudySpec, tried: int | None) -> Selection | None:
    """Return how the candidates were selected; None for an ablation, whose candidates come from no trial."""
    confirmed = [one for one in plan.candidates if not one.is_reference]
    if not any(one.trial is not None for one in confirmed):
        return None
    baselines = max(len(plan.candidates) - len(confirmed), 1)
    repeats = max(spec.budget.trials // len(plan.candidates), 1)
    return Selection(max(tried or 0, len(confirmed)), len(confirmed), baselines, repeats)


def _families(table: CandidateResults, plan: Plan) -> FamilyComparison:
    numbers = {candidate.name: number for number, candidate in enumerate(plan.candidates)}
    tuned = losses_of(plan.candidates[number] for number in table.order)
    return compare_families(tuned, lambda first, second: table.difference(numbers[first], numbers[second]))


def _row(table: CandidateResults, plan: Plan, number: int) -> LeaderboardRow:
    """Return a candidate's mean and its differences from each baseline and from the leader, or the runner-up."""
    candidate, repeats = plan.candidates[number], table.finished(number)
    mean = table.mean(number, repeats) if repeats else None
    estimate = table.estimate(number)
    return LeaderboardRow(
        rank=table.order.index(number) + 1 if number in table.order else None,
        candidate=candidate.name,
        is_reference=candidate.is_reference,
        trial=candidate.trial,
        search_auc=candidate.auc,
        search_error=candidate.standard_error,
        repeats=len(repeats),
        mean=mean,
        standard_error=estimate.error if estimate is not None else None,
        low=estimate.low if estimate is not None else None,
        high=estimate.high if estimate is not None else None,
        optimism=candidate.auc - mean if candidate.auc is not None and mean is not None else None,
        differences=[
            _difference(table, plan, number, other) for other in table.opponents(number) if table.common(number, other)
        ],
        note=table.note(number),
    )


def _difference(table: CandidateResults, plan: Plan, number: int, other: int) -> Difference:
    name, common = plan.candidates[other].name, table.common(number, other)
    found = table.difference(number, other)
    if found is None:
        alone = table.mean(number, common) - table.mean(other, common)
        return Difference(name, len(common), alone, None, None, Verdict.INDISTINGUISHABLE)
    detectable = found.possibly_detectable
    return Difference(name, len(common), found.difference, found.low, found.high, verdict(found), detectable)


def verdict(found: Comparison) -> Verdict:
    """Return the verdict of an interval."""
    if not found.is_distinguishable:
        return Verdict.INDISTINGUISHABLE
    return Verdict.BETTER if found.difference > 0 else Verdict.WORSE


def _notes(spec: StudySpec, table: CandidateResults, tried: int | None) -> list[str]:
    how = "the corrected resampled t-test"
    if table.knows_samples:
        how = "the spread over repeats and the out-of-fold scores (Obuchowski and Rockette 1995)"
    if table.prior is not None:
        how += ", each variance moderated by those of all pairs (Smyth 2004)"
    selection = table.selection
    if selection is None:
        notes = [
            f"Intervals are 95 % each, by {how}, not adjusted for multiple comparisons.",
            "A winner that was selected on these samples owes part of its lead to them, on new folds, too. That counts "
            "against every change: in simulations up to one in five that had no effect was called worse.",
        ]
    else:
        of = "the search" + (f", {spec.earlier} of them of searches that it started from," if spec.earlier else "")
        among = f"the {tried} configurations of {of}" if tried else f"the {selection.confirmed} candidates"
        notes = [
            f"Intervals of differences are 95 % for all candidates against the baselines together, by {how}; they "
            f"account for the selection among {among} on the same samples (Dunnett 1955, by simulation). Two "
            "baselines were not selected; their difference has a 95 % interval by itself. Differences to the leader do "
            "not hold together: the highest mean is so by luck, too."
        ]
        if not tried:
            notes.append("The search is not in this database: its selection is not accounted for.")
    if table.remaining is not None:
        notes.append(
            "New folds of the same samples leave optimism in the highest mean: if all configurations were equally "
            f"good, {table.remaining.expected:.3f} on average and up to {table.remaining.most:.3f}; less if the winner "
            "stands out. Only the test set, read once, is free of it."
        )
    if table.looks > 1:
        notes.append(added_repeats(table))
    if spec.scoring.rows == "official":
        notes.append(
            "Every repeat was scored on the same official validation set: the intervals cover seeds, not samples."
        )
    return notes


def added_repeats(table: CandidateResults) -> str:
    """Say how intervals account for repeats that were added to those planned at first."""
    first = counted(table.first or 0, "repeat")
    return (
        f"Planned at first: {first}. More were added: whoever goes on because these left a "
        f"question open has two chances of a false answer. So each interval is one of {table.looks} that hold at 95 % "
        "together (Sidak 1967): right for one look before, and still a little short after two."
    )
