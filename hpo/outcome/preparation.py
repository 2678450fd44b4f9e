"""Prepare the study that confirms a search: create its spec once, later resume or extend it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hpo.errors import StudyConflictError, StudyNotFoundError, UsageError
from hpo.outcome.candidates import choose_candidates, complete_since, family_of, warnings
from hpo.search.queries.status import StudyStatus, read_status
from hpo.search.queries.trials import read_record
from hpo.search.strategy.seeds import trial_seed
from hpo.search.study import Study, open_study
from hpo.study.choices import loss_family
from hpo.study.plan import Candidate, Plan
from hpo.study.ranges import PER_FAMILY, REPEATS, TOP
from hpo.study.space import reachable_values
from hpo.study.spec import StudySpec
from hpo.text import counted, shell


@dataclass(frozen=True)
class Wishes:
    """The command-line options of a confirmation. None: the study file's value, or the stored confirmation's.

    Attributes:
        racing: False trains every repeat of every candidate, whatever the study file says.

    Raises:
        UsageError: for a number that the study file could not have.
    """

    top: int | None = None
    seeds: int | None = None
    racing: bool = True
    per_family: int | None = None

    def __post_init__(self) -> None:
        TOP.check("--top", self.top)
        REPEATS.check("--seeds", self.seeds)
        PER_FAMILY.check("--per-family", self.per_family)


@dataclass(frozen=True)
class Preparation:
    """The spec of a confirmation, and notes for the user, one sentence each."""

    spec: StudySpec
    notes: list[str] = field(default_factory=list)


def confirmation_name(search: str) -> str:
    """Return the default study name of a search's confirmation."""
    return f"{search}-confirm"


def mismatch(search: Study, stored: Study, role: Literal["confirmation", "ablation"] = "confirmation") -> str | None:
    """Return in words why a study is not the confirmation, or the ablation, of a search; None if it is."""
    plan = stored.spec.plan
    if plan is None or plan.final is not None:
        return f"study {stored.name} is not a confirmation"
    if plan.is_of_methods:
        return f"study {stored.name} measures methods"
    if plan.role != role:
        # The change with the best mean is not what a rule that was fixed before the search chose.
        return f"study {stored.name} is the {plan.role} of {plan.search}"
    if plan.search != search.name:
        return f"study {stored.name} confirms {plan.search}, not {search.name}"
    if not all(_comes_from(search, candidate) for candidate in plan.candidates):
        return f"study {stored.name} confirms an earlier search called {search.name}"
    return None


def confirm_command(search: str, name: str) -> str:
    """Return the command line that goes on with the confirmation `name` of a search."""
    return f"hpo confirm {shell(search)}" + ("" if name == confirmation_name(search) else f" --name {shell(name)}")


def prepare_confirmation(search: Study, name: str, wishes: Wishes) -> Preparation:
    """Return the spec of the confirmation `name`: the stored one, with more seeds if requested, else a new one.

    Writes nothing to the database.

    Raises:
        UsageError: if the search is itself a confirmation, still runs, or has nothing to confirm.
        StudyConflictError: if `name` is another study, or was created with other options.
    """
    if search.spec.plan is not None:
        if search.spec.plan.is_of_methods:
            raise UsageError(f"study {search.name} measures methods and has no winner; run the command on a search")
        role, of = search.spec.plan.role, search.spec.plan.search
        raise UsageError(f"study {search.name} is itself the {role} of {of}; run `hpo confirm {shell(of)}`")
    try:
        stored = open_study(search.database, name)
    except StudyNotFoundError:
        return _made(search, name, wishes)
    return _taken_up(search, stored, wishes)


def _made(search: Study, name: str, wishes: Wishes) -> Preparation:
    status, rules = read_status(search), search.spec.confirm
    if status.running:
        running = counted(len(status.running), "trial")
        raise UsageError(
            f"study {search.name} is still running ({running}); wait until it ends, or stop it with "
            f"`hpo stop {shell(search.name)}`"
        )
    top = rules.top if wishes.top is None else wishes.top
    per_family = rules.per_family if wishes.per_family is None else wishes.per_family
    candidates = choose_candidates(search, top, per_family)
    found = sum(not candidate.is_reference for candidate in candidates)
    if not found:
        raise UsageError(f"study {search.name} has nothing to confirm: {_why_nothing(search, status)}")
    seeds = rules.seeds if wishes.seeds is None else wishes.seeds
    plan = Plan(
        search=search.name,
        candidates=candidates,
        top=top,
        per_family=per_family,
        racing_level=rules.racing_level if wishes.racing else 0.0,
    )
    notes = [*_notes(search, status, wishes, top, found), *_family_notes(search, plan), *warnings(search, candidates)]
    return Preparation(planned_spec(search.spec, name, plan, seeds), notes)


def _why_nothing(search: Study, status: StudyStatus) -> str:
    """Say why a search has no configuration to confirm, and how it comes to one."""
    name = shell(search.name)
    counts = f"of {status.finished} finished trials {status.pruned} were pruned and {status.failed} failed"
    if status.complete:
        counts += f", and the {status.complete} that are complete are baselines, or equal to one"
    if not status.is_done:
        left = status.budget - status.finished
        return f"{counts}; train the {left} that are left by `hpo worker {name}`, or by the launch of this study again"
    return (
        f"{counts}; `hpo trials {name}` has the reasons, and a launch with more --trials than {status.budget} goes on"
    )


def planned_spec(spec: StudySpec, name: str, plan: Plan, seeds: int) -> StudySpec:
    """Return a search's spec without pruning, under another seed, with one split into folds for each repeat."""
    return spec.model_copy(
        update={
            "scoring": spec.scoring.model_copy(update={"repeats": 1}),
            "search": spec.search.model_copy(
                update={
                    "pruner": "none",
                    "seed": trial_seed(spec.search.seed, 0, f"confirmation {name}"),
                    "max_failed_share": 1.0,
                }
            ),
            "budget": spec.budget.model_copy(update={"trials": seeds * len(plan.candidates)}),
            "start": (),
            "plan": plan,
        }
    )


def _notes(search: Study, status: StudyStatus, wishes: Wishes, top: int, found: int) -> list[str]:
    rules, notes = search.spec.confirm, []
    for option, given, written in (
        ("top", wishes.top, rules.top),
        ("per-family", wishes.per_family, rules.per_family),
        ("seeds", wishes.seeds, rules.seeds),
    ):
        if given is not None and given != written:
            notes.append(f"--{option} {given} overrides {written} from the study file")
    if not wishes.racing and rules.racing_level > 0:
        notes.append("--no-racing: every candidate is trained in every repeat; overrides the study file")
    if found < top:
        notes.append(f"only {found} distinct configurations are complete, not {top}; all of these are confirmed")
    if status.finished < status.budget:
        notes.append(
            f"the search stopped after {status.finished} of {status.budget} trials; candidates are chosen from these"
        )
    if search.spec.scoring.rows == "official":
        notes.append("the validation set is the official one and cannot be redrawn: only the seeds are new")
    return notes


def _family_notes(search: Study, plan: Plan) -> list[str]:
    """Say which loss families are compared, which candidates are there for their sake, and which family has none."""
    if not plan.per_family:
        return []
    tuned = [candidate for candidate in plan.candidates if not candidate.is_reference]
    by_family: dict[str, list[str]] = {}
    for candidate in tuned:
        by_family.setdefault(family_of(candidate.config), []).append(candidate.name)
    possible = reachable_values("loss", search.spec.fixed, search.spec.space) or ()
    families = dict.fromkeys(loss_family(str(loss)) for loss in possible)
    notes = [
        f"loss family {family}: no trial is complete, so this family is not compared with the others"
        for family in families
        if family not in by_family
    ]
    if len(by_family) > 1:
        counted = ", ".join(f"{family} {len(names)}" for family, names in by_family.items())
        notes.append(f"loss families are compared at equal budget; candidates of each: {counted}")
    if more := [candidate.name for candidate in tuned[plan.top :]]:
        notes.append(
            f"beyond the best {plan.top} over all, {', '.join(more)} {'is' if len(more) == 1 else 'are'} confirmed as "
            f"one of the best {plan.per_family} of a loss family"
        )
    return notes


def _taken_up(search: Study, stored: Study, wishes: Wishes) -> Preparation:
    plan, spec = stored.spec.plan, stored.spec
    fault = mismatch(search, stored)
    if fault is not None or plan is None:
        raise StudyConflictError(f"{fault}; give another --name")
    seeds = spec.budget.trials // len(plan.candidates)
    if wishes.top is not None and wishes.top != plan.top:
        raise StudyConflictError(
            f"study {stored.name} was created with --top {plan.top}; for another number give another --name"
        )
    if wishes.per_family is not None and wishes.per_family != plan.per_family:
        raise StudyConflictError(
            f"study {stored.name} was created with --per-family {plan.per_family}; for another number give another "
            "--name"
        )
    if not wishes.racing and plan.racing_level > 0:
        raise StudyConflictError(
            f"study {stored.name} was created with racing; to confirm without racing give another --name"
        )
    if wishes.seeds is not None and wishes.seeds < seeds:
        raise StudyConflictError(
            f"study {stored.name} has {seeds} seeds; a larger --seeds adds seeds, but none can be removed"
        )
    trials = (seeds if wishes.seeds is None else wishes.seeds) * len(plan.candidates)
    spec = spec.model_copy(update={"budget": spec.budget.model_copy(update={"trials": trials})})
    return Preparation(spec, [*_newer_candidates(search, stored, plan), *more_repeats(stored, seeds, wishes.seeds)])


def _newer_candidates(search: Study, stored: Study, plan: Plan) -> list[str]:
    """Say which trials that a search has finished since its confirmation began are among the best by now."""
    later = complete_since(search, stored)
    if not later:
        return []
    best = choose_candidates(search, plan.top, plan.per_family)
    newer = [one.name for one in best if not one.is_reference and one.trial in later]
    if not newer:
        return []
    return [
        f"the search has gone on since: {', '.join(newer)} would be candidates now; this confirmation keeps those that "
        "it began with, and another --name confirms these"
    ]


def more_repeats(stored: Study, planned: int, wished: int | None) -> list[str]:
    """Return what is told when repeats are added to those that were planned; nothing before a trial has ended."""
    if wished is None or wished <= planned or not read_status(stored).finished:
        return []
    return [
        f"{wished} repeats in place of {planned}: intervals count that as a second look at the results, so they are a "
        f"little longer than if {wished} had been planned"
    ]


def _comes_from(search: Study, candidate: Candidate) -> bool:
    """Return whether the search still has the candidate's trial: a study may have been deleted and created again."""
    if candidate.is_reference or candidate.trial is None:
        return True
    try:
        record = read_record(search, candidate.trial)
    except StudyNotFoundError:
        return False
    if record is None:
        return False
    return record.train_config(search.trial_name(candidate.trial)) == candidate.config
