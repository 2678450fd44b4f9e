"""Measure what methods do: each recipe with and without each method, paired over folds and repeats, with its cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from hpo.outcome.candidate_results import LEAST_REPEATS, CandidateResults, Influences
from hpo.outcome.influences import read_influences
from hpo.outcome.leaderboard import Verdict, added_repeats, verdict
from hpo.outcome.method_costs import Costs, compare_costs, read_costs
from hpo.outcome.method_plan import command_of
from hpo.outcome.method_table import MethodEffect, MethodTable, RecipeEffects
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_records
from hpo.search.strategy.racing import Results, read_results
from hpo.search.study import Study
from hpo.statistics.intervals import Comparison, simultaneous_confidence, simultaneous_p
from hpo.statistics.t_intervals import t_comparison
from hpo.study.choices import loss_family
from hpo.study.config import settings
from hpo.study.plan import Candidate, Plan
from hpo.study.spec import StudySpec
from hpo.text import setting

Value = TypeVar("Value")


def read_methods(study: Study) -> MethodTable:
    """Read what a study of methods has measured.

    Raises:
        StorageError: if it cannot be read.
    """
    plan = study.spec.plan
    assert plan is not None, study.name
    results = study.database.read(lambda connection: read_results(connection, study))
    records = read_records(study).values()
    commits = {record.provenance.code_version[:12] + "+" * record.provenance.dirty for record in records}
    devices = {record.provenance.environment.get("device name", "") for record in records}
    return judge_methods(
        study.name,
        study.spec,
        plan,
        results,
        done=read_status(study).is_done,
        costs=read_costs(study, plan),
        influences=read_influences(study, plan),
        first=plan.repeats_of(study.first_trials),
        commits=tuple(sorted(commits)),
        devices=tuple(sorted(devices - {""})),
    )


def judge_methods(
    name: str,
    spec: StudySpec,
    plan: Plan,
    results: Results,
    *,
    done: bool,
    costs: Costs | None = None,
    influences: Influences | None = None,
    first: int | None = None,
    commits: tuple[str, ...] = (),
    devices: tuple[str, ...] = (),
) -> MethodTable:
    """Compare each recipe with and without each method.

    Args:
        done: whether every planned trial has ended.
        influences: from out-of-fold scores; without them, the corrected resampled t-test takes the place of
            `repeated_difference`, with longer intervals.
        first: repeats that were planned at first, see `CandidateResults.looks`.
    """
    recipes = [number for number, one in enumerate(plan.candidates) if one.base is None]
    measured = _Measured(spec, plan, results, costs or {}, influences or {}, first)
    found = [_of_recipe(number, measured) for number in recipes]
    return MethodTable(
        name=name,
        search=plan.search,
        dataset=spec.dataset,
        rows=spec.scoring.rows,
        epochs=spec.budget.epochs,
        folds=spec.scoring.fold_count,
        repeats=spec.budget.trials // len(plan.candidates),
        done=done,
        recipes=[effects for effects, _ in found],
        command=command_of(spec, plan, name),
        commits=commits,
        devices=devices,
        notes=_notes(spec, plan, [table for _, table in found]),
    )


@dataclass(frozen=True)
class _Measured:
    """What a study of methods has measured, as `judge_methods` takes it."""

    spec: StudySpec
    plan: Plan
    results: Results
    costs: Costs
    influences: Influences
    first: int | None


def _of_recipe(base: int, measured: _Measured) -> tuple[RecipeEffects, CandidateResults]:
    """Compare the candidates of one recipe, as a plan of their own: variances are moderated among these.

    A method that has ended fewer repeats than the recipe, since the next one is under way or the method was added
    later, does not hold the others up: it is compared over the repeats that it has.
    """
    plan = measured.plan
    recipe = plan.candidates[base]
    numbers = [base, *(number for number, one in enumerate(plan.candidates) if one.base == recipe.name)]
    repeats = measured.spec.budget.trials // len(plan.candidates)
    ended = {number: _ended(number, repeats, measured.results) for number in numbers}
    most = max(ended[base], 1)
    level = {number: min(ended[number], most) for number in numbers}
    parts = {
        least: _Part(
            [number for number in numbers if number == base or level[number] >= least],
            repeats if least == most else least,
            measured,
        )
        for least in {*level.values(), most} - {0}
    }
    whole = parts[most]
    effects = [
        parts[level[number]].effect(number, len(numbers) - 1, whole)
        if level[number]
        else _unmeasured(recipe, plan.candidates[number])
        for number in numbers[1:]
    ]
    effects.sort(key=lambda one: -math.inf if one.difference is None else one.difference, reverse=True)
    table = whole.table
    mean = table.estimate(0)
    alone = table.mean(0, table.finished(0)) if table.finished(0) else None
    return RecipeEffects(
        recipe=recipe.name,
        family=loss_family(recipe.config.loss),
        settings=_settings_of(recipe),
        mean=alone,
        standard_error=None if mean is None else mean.error,
        effects=effects,
    ), table


class _Part:
    """A recipe, and those of its methods that have ended some repeats, over these.

    Args:
        numbers: of the candidates, the recipe first.
    """

    def __init__(self, numbers: Sequence[int], repeats: int, measured: _Measured) -> None:
        spec, plan = measured.spec, measured.plan
        self._plan, self._own = plan, {number: place for place, number in enumerate(numbers)}
        self._costs = self._of(measured.costs, repeats)
        self.table = CandidateResults(
            spec.model_copy(update={"budget": spec.budget.model_copy(update={"trials": repeats * len(numbers)})}),
            plan.model_copy(update={"candidates": tuple(plan.candidates[number] for number in numbers), "added": ()}),
            self._of(measured.results, repeats),
            None,
            self._of(measured.influences, repeats),
            measured.first,
        )

    def effect(self, number: int, count: int, whole: _Part) -> MethodEffect:
        """Compare a method, one of `count`, with the recipe; note if it has fewer repeats than the whole table."""
        recipe = self._plan.candidates[next(iter(self._own))]
        found = _effect(self.table, self._own[number], recipe, self._plan.candidates[number], count, self._costs)
        if self is whole or found.difference is None:
            return found
        behind = f"{found.repeats} of {whole.table.whole} repeats so far"
        return replace(found, note=f"{found.note}; {behind}" if found.note else behind)

    def _of(self, values: Mapping[tuple[int, int], Value], repeats: int) -> dict[tuple[int, int], Value]:
        return {
            (self._own[number], repeat): value
            for (number, repeat), value in values.items()
            if number in self._own and repeat < repeats
        }


def _ended(number: int, repeats: int, results: Results) -> int:
    """Count the first repeats that a candidate has ended, one after the other."""
    return next((repeat for repeat in range(repeats) if (number, repeat) not in results), repeats)


def _unmeasured(recipe: Candidate, candidate: Candidate, note: str = "") -> MethodEffect:
    changes, note = _changes(recipe, candidate), note or "not measured yet"
    return MethodEffect(candidate.method or "", candidate.name, candidate.removes, changes, repeats=0, note=note)


def _effect(
    table: CandidateResults,
    place: int,
    recipe: Candidate,
    candidate: Candidate,
    count: int,
    costs: Costs,
) -> MethodEffect:
    """Compare one candidate with its recipe, whose place is 0; `count` methods of the recipe are compared."""
    common = table.common(place, 0)
    if not common:
        return _unmeasured(recipe, candidate, table.note(place))
    first, second = (0, place) if candidate.removes else (place, 0)
    found = table.difference(first, second)
    together = None if found is None else _together(found, count * table.looks)
    cost = compare_costs(costs, first, second, common)
    means = table.mean(first, common), table.mean(second, common)
    return MethodEffect(
        method=candidate.method or "",
        candidate=candidate.name,
        in_recipe=candidate.removes,
        changes=_changes(recipe, candidate),
        repeats=len(common),
        with_it=means[0],
        without=means[1],
        difference=means[0] - means[1],
        low=None if together is None else together.low,
        high=None if together is None else together.high,
        p=None if together is None or math.isnan(together.p) else together.p,
        detectable=None if together is None else together.possibly_detectable,
        verdict=Verdict.INDISTINGUISHABLE if together is None else verdict(together),
        cost=cost,
        note=table.note(place),
    )


def _together(found: Comparison, count: int) -> Comparison:
    """Widen one of `count` comparisons with the same recipe so that their intervals hold together."""
    confidence = simultaneous_confidence(count)
    wide = t_comparison(found.difference, found.error, confidence, found.degrees, degenerate_half_width=1.0)
    p = wide.p if math.isnan(wide.p) else simultaneous_p(wide.p, count)
    return Comparison(wide.difference, wide.error, wide.low, wide.high, p, confidence, wide.degrees)


def _changes(recipe: Candidate, candidate: Candidate) -> tuple[str, ...]:
    before, after = recipe.config.model_dump(), candidate.config.active()
    return tuple(
        f"{name} = {setting(value)} ({setting(before[name])})" for name, value in after.items() if value != before[name]
    )


def _settings_of(recipe: Candidate) -> tuple[str, ...]:
    known = settings()
    active = recipe.config.active()
    return tuple(f"{name} = {setting(value)}" for name, value in active.items() if value != known[name].default)


def _notes(spec: StudySpec, plan: Plan, tables: list[CandidateResults]) -> list[str]:
    how = "the corrected resampled t-test"
    if all(table.knows_samples for table in tables):
        how = "the spread over repeats and the out-of-fold scores (Obuchowski and Rockette 1995)"
    is_moderated = any(table.prior is not None for table in tables)
    if is_moderated:
        how += ", variances moderated among the candidates of a recipe (Smyth 2004)"
    notes = [
        "Differences are paired: both sides of each have the same folds and seeds. Intervals and p-values are by "
        f"{how}, and hold at 95 % for all methods of one recipe together (Sidak 1967); methods of two recipes are not "
        "adjusted for each other.",
        "A method that a recipe has was taken out of it, any other put into it, with the settings that are shown and "
        "without tuning anything else: a method that needs another learning rate is measured below its worth.",
        "Times and memory are of whole trials, scoring included, the median of pairs that ran the same code on the "
        "same kind of device; what else the device did at the time is in them.",
        "Training AUC is of the batches of the last epoch as they were trained on, augmented and without averages of "
        "weights: of methods that change batches it says nothing.",
    ]
    if is_moderated:
        # Measured in benchmarks/methods_coverage.py.
        notes.append(
            "Moderation takes the trainings of all candidates of a recipe for about equally noisy. Of a method whose "
            "trainings vary much more, as where some learn and others do not, the interval is too short."
        )
    if spec.budget.trials < LEAST_REPEATS * len(plan.candidates):
        notes.append(
            f"With fewer than {LEAST_REPEATS} repeats the spread is that of few folds, which may agree by chance: the "
            "smallest detectable differences are themselves uncertain."
        )
    if more := [table for table in tables if table.looks > 1]:
        notes.append(added_repeats(more[0]))
    if plan.search:
        notes.append(
            f"The recipes were selected by {plan.search} on these samples, with the methods that they have: that "
            "favours what they have over what they have not."
        )
    if spec.scoring.rows == "official":
        notes.append(
            "Every repeat was scored on the same official validation set: the intervals cover seeds, not samples."
        )
    return notes
