"""Plan the study that measures methods: a good recipe of each loss family, with and without each method."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from hpo.errors import StudyConflictError, StudyNotFoundError, UsageError
from hpo.outcome.candidates import EVERY
from hpo.outcome.families import best_of_families, losses_of
from hpo.outcome.leaderboard import read_confirmation
from hpo.outcome.preparation import confirmation_name, mismatch, more_repeats, planned_spec
from hpo.search.database.database import Database
from hpo.search.queries.trials import read_best
from hpo.search.study import Study, open_study
from hpo.study.choices import AUCM, CROSS_ENTROPY, loss_family
from hpo.study.config import SettingValue, TrainConfig
from hpo.study.consistency import problems_with
from hpo.study.files import default_spec
from hpo.study.method import Method
from hpo.study.methods import METHODS, find_methods, is_change
from hpo.study.plan import Candidate, Plan
from hpo.study.ranges import EPOCHS, FOLDS, REPEATS
from hpo.study.record import stored_config
from hpo.study.spec import StudySpec, differences

DEFAULT_SEEDS = 3


@dataclass(frozen=True)
class Source:
    """Where recipes come from.

    Attributes:
        name: of the study, or of the data set of the study file.
        study: None for a study file.
    """

    name: str
    spec: StudySpec
    study: Study | None = None


@dataclass(frozen=True)
class MethodWishes:
    """What is asked of the study of methods.

    Attributes:
        methods: as for `find_methods`; empty for all that apply, or for those that a stored study has.
        seeds: repeats; None for DEFAULT_SEEDS, or for those that a stored study has.
        epochs, folds: None for those of the source.
        overrides: whether the source's study file was changed by `--set`.

    Raises:
        UsageError: for a number that a study cannot have.
    """

    methods: tuple[str, ...] = ()
    seeds: int | None = None
    epochs: int | None = None
    folds: int | None = None
    overrides: bool = False

    def __post_init__(self) -> None:
        REPEATS.check("--seeds", self.seeds)
        EPOCHS.check("--epochs", self.epochs)
        FOLDS.check("--folds", self.folds)


@dataclass(frozen=True)
class MethodPlan:
    """The spec of a study of methods.

    Attributes:
        stored: the study, if there is one; its plan may have fewer candidates than `spec`.
        notes: sentences for the user.
    """

    spec: StudySpec
    stored: Study | None
    notes: list[str] = field(default_factory=list)


def methods_name(source: str) -> str:
    """Return the default name of the study that measures methods in the recipes of a study or data set."""
    return f"{source}-methods"


def prepare_methods(database: Database, source: Source, name: str, wishes: MethodWishes) -> MethodPlan:
    """Return the spec of the study of methods `name`: the stored one, perhaps with more of both, else a new one.

    Writes nothing to the database.

    Raises:
        UsageError: for an unknown method, one that applies to no recipe, or a source without a recipe.
        StudyConflictError: if `name` is another study, has the recipes of one, or was created with other options.
    """
    if source.spec.plan is not None:
        of = source.spec.plan.search or source.spec.data.source
        raise UsageError(f"study {source.name} was itself made from {of}; run the command on {of}")
    methods = find_methods(wishes.methods)
    asked = _asked_spec(source.spec, wishes)
    try:
        stored = open_study(database, name)
    except StudyNotFoundError:
        return _new(source, asked, name, methods, wishes)
    if stored.spec.dataset != source.spec.dataset:
        raise StudyConflictError(
            f"study {name} is of {stored.spec.dataset}, not of {source.spec.dataset}; give another --name"
        )
    notes = _other_recipes(source, stored)
    continued = _continued(stored, asked, methods, wishes)
    return replace(continued, notes=[*notes, *continued.notes])


def candidates_with(recipe: Candidate, methods: Iterable[Method], spec: StudySpec) -> tuple[Candidate, ...]:
    """Return a recipe with each method that it has not, and without each that it has.

    Methods that make no difference to it, or that cannot be trained on the data and folds of the study, are left out.
    """
    found = []
    for method in methods:
        if not method.is_meant_for(recipe.config, spec.data):
            continue
        config = method.switched(recipe.config)
        if problems_with(config, spec):
            continue
        removes = method.is_on(recipe.config)
        name = f"{recipe.name} {'without' if removes else 'with'} {method.name}"
        found.append(Candidate(name=name, config=config, base=recipe.name, method=method.name, removes=removes))
    return tuple(found)


def recipes_of(source: Source) -> tuple[list[Candidate], list[str]]:
    """Return a good recipe of AUCM and of cross-entropy, and where each comes from, a sentence each.

    Of a study the best of each family by its confirmation; of a family that it has none of, by the trials of the
    search; a family of which there is none has its start point, as every family of a study file has.
    """
    found: dict[str, Candidate] = {}
    notes = []
    if source.study is not None:
        for family, (one, origin) in (_best_trials(source.study) | _best_confirmed(source.study)).items():
            found[family] = one
            notes.append(f"{one.name}: {origin}, selected on the same samples")
    for start in source.spec.start:
        config = source.spec.config(start.values)
        family = loss_family(config.loss)
        if family not in found:
            found[family] = Candidate(name=start.name, config=config)
            notes.append(f"{start.name}: start point of the study file")
    return [found[family] for family in (AUCM, CROSS_ENTROPY) if family in found], notes


def command_of(spec: StudySpec, plan: Plan, name: str) -> str:
    """Return the command that measures what the study `name` measures, in a database that has no such study."""
    measured = dict.fromkeys(one.method for one in plan.candidates if one.method is not None)
    recipes = [one for one in plan.candidates if one.base is None]
    possible = {one.method for recipe in recipes for one in candidates_with(recipe, find_methods(()), spec)}
    words = [plan.command(spec.data.source, name)]
    if measured.keys() != possible:
        listed = [one.name for one in METHODS if one.name in measured]
        words += [shlex.quote(name) for name in (*listed, *filter(is_change, measured))]
    words += ["--seeds", str(spec.budget.trials // len(plan.candidates)), "--epochs", str(spec.budget.epochs)]
    words += ["--folds", str(spec.scoring.folds)] if spec.scoring.rows == "kfold" else []
    if not plan.search:
        words += [word for key, value in _set_apart(spec) for word in ("--set", shlex.quote(f"{key}={value}"))]
    return " ".join(words)


def _set_apart(spec: StudySpec) -> list[tuple[str, str]]:
    """Return keys and values of folds and fixed settings that are not those of the shipped study file."""
    shipped = default_spec(spec.data)
    own, known = _entries(spec), _entries(shipped)
    return [(key, json.dumps(value).strip('"')) for key, value in own.items() if known.get(key) != value]


def _entries(spec: StudySpec) -> dict[str, SettingValue]:
    """Return what `--set` calls the entries of folds and fixed settings, but for what has options of its own."""
    scoring = spec.scoring.model_dump(exclude={"folds", "repeats"})
    return {f"scoring.{key}": value for key, value in scoring.items()} | {
        f"fixed.{key}": value for key, value in spec.fixed.items()
    }


def _best_confirmed(study: Study) -> dict[str, tuple[Candidate, str]]:
    """Return the best configuration of each loss family by a finished confirmation, and how it was found."""
    try:
        confirmation = open_study(study.database, confirmation_name(study.name))
    except StudyNotFoundError:
        return {}
    plan = confirmation.spec.plan
    if plan is None or mismatch(study, confirmation):
        return {}
    result = read_confirmation(confirmation)
    if not result.done:
        return {}
    by_name = {one.name: one for one in plan.candidates}
    best = best_of_families(losses_of(by_name[row.candidate] for row in result.leaderboard if row.rank is not None))
    how = f"the best of its loss family in {confirmation.name}"
    return {family: (Candidate(name=name, config=by_name[name].config), how) for family, name in best.items()}


def _best_trials(study: Study) -> dict[str, tuple[Candidate, str]]:
    """Return the best complete trial of each loss family, and how it was found."""
    found: dict[str, tuple[Candidate, str]] = {}
    for trial in read_best(study, EVERY).trials:
        family = loss_family(str(trial.config.get("loss", TrainConfig().loss)))
        if trial.value.reference is None and family not in found:
            config = stored_config(trial.config, study.trial_name(trial.value.number))
            candidate = Candidate(name=f"trial {trial.value.number}", config=config)
            found[family] = candidate, f"the best complete trial of its loss family in {study.name}"
    return found


def _asked_spec(spec: StudySpec, wishes: MethodWishes) -> StudySpec:
    if wishes.epochs is not None:
        spec = spec.model_copy(update={"budget": spec.budget.model_copy(update={"epochs": wishes.epochs})})
    if wishes.folds is not None:
        if spec.scoring.rows != "kfold":
            raise UsageError(f"--folds {wishes.folds}: the study has no folds ([scoring] rows = {spec.scoring.rows})")
        spec = spec.model_copy(update={"scoring": spec.scoring.model_copy(update={"folds": wishes.folds})})
    return spec


def _new(source: Source, spec: StudySpec, name: str, methods: Sequence[Method], wishes: MethodWishes) -> MethodPlan:
    recipes, notes = recipes_of(source)
    if not recipes:
        raise UsageError(
            f"{source.name} has no recipe: neither a complete trial of AUCM or cross-entropy, nor a [[start]] point"
        )
    more = [one for recipe in recipes for one in candidates_with(recipe, methods, spec)]
    _check_used(methods if wishes.methods else (), more, recipes)
    plan = Plan(
        search="" if source.study is None else source.name,
        candidates=(*recipes, *more),
        top=len(recipes) + len(more),
        racing_level=0.0,
    )
    seeds = DEFAULT_SEEDS if wishes.seeds is None else wishes.seeds
    return MethodPlan(planned_spec(spec, name, plan, seeds), None, notes)


def _continued(stored: Study, asked: StudySpec, methods: Sequence[Method], wishes: MethodWishes) -> MethodPlan:
    spec, plan = stored.spec, stored.spec.plan
    if plan is None or not plan.is_of_methods:
        raise StudyConflictError(f"study {stored.name} does not measure methods; give another --name")
    if wishes.overrides or wishes.epochs is not None or wishes.folds is not None:
        _check_same(stored, asked)
    repeats = spec.budget.trials // len(plan.candidates)
    if wishes.seeds is not None and wishes.seeds < repeats:
        raise StudyConflictError(
            f"study {stored.name} has {repeats} seeds; a larger --seeds adds seeds, but none can be removed"
        )
    if wishes.methods:
        recipes = [one for one in plan.candidates if one.base is None]
        known = {(one.base, one.method) for one in plan.candidates}
        wanted = [one for recipe in recipes for one in candidates_with(recipe, methods, spec)]
        _check_used(methods, wanted, recipes)
        if more := tuple(one for one in wanted if (one.base, one.method) not in known):
            plan = plan.with_more(more, repeats)
    trials = (repeats if wishes.seeds is None else wishes.seeds) * len(plan.candidates)
    budget = spec.budget.model_copy(update={"trials": trials})
    notes = more_repeats(stored, repeats, wishes.seeds)
    return MethodPlan(spec.model_copy(update={"plan": plan, "budget": budget}), stored, notes)


def _other_recipes(source: Source, stored: Study) -> list[str]:
    """Say that a stored study has the start points of a study file as its recipes, not the best of the source.

    Raises:
        StudyConflictError: if its recipes are those of another study.
    """
    search = "" if stored.spec.plan is None else stored.spec.plan.search
    asked = "" if source.study is None else source.study.name
    if search == asked:
        return []
    if search:
        of = f"of study {asked}" if asked else "of the study file"
        raise StudyConflictError(
            f"study {stored.name} measures methods in the recipes of study {search}, not in those {of}; give another "
            "--name"
        )
    # A data set has the name of the study that is launched for it later.
    return [
        f"study {stored.name} goes on with the recipes that it began with, start points of the study file; for those "
        f"of study {asked} give another --name"
    ]


def _check_used(methods: Iterable[Method], candidates: Iterable[Candidate], recipes: Iterable[Candidate]) -> None:
    used = {one.method for one in candidates}
    if unused := [method.name for method in methods if method.name not in used]:
        raise UsageError(
            f"{', '.join(unused)}: makes no difference to {' or '.join(one.name for one in recipes)} on this data set, "
            "or cannot be trained on it; leave it out"
        )


def _check_same(stored: Study, asked: StudySpec) -> None:
    """Check that a stored study was planned from the same folds, epochs and fixed settings."""
    plan = stored.spec.plan
    assert plan is not None, stored.name
    again = planned_spec(asked.like(stored.spec), stored.name, plan, 1)
    kept = {"search": stored.spec.search, "space": stored.spec.space, "confirm": stored.spec.confirm}
    if lines := differences(stored.spec.canonical(), again.model_copy(update=kept).canonical()):
        raise StudyConflictError(
            "\n  ".join([f"study {stored.name} was created with other options:", *lines]) + "\nGive another --name."
        )
