"""What must hold of a study whatever befell its workers: the database against the journals of the workers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import sqlalchemy as sa

from benchmarks.fault_harness.journal import Entry
from benchmarks.fault_harness.orders import stand_in_auc
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.study import open_study
from hpo.study.record import TrialRecord

INVARIANTS = (
    "finished is the budget",
    "no trial finished twice",
    "no trial lost",
    "no trial left running",
    "no finish forgotten",
    "no report forgotten",
    "no write without a lease",
    "curves complete",
    "curves true",
)


@dataclass(frozen=True)
class TrialFacts:
    """A trial as the database has it. curve: AUC by epoch, in hpo's table; optuna_steps: epochs in Optuna's."""

    number: int
    state: str
    outcome: str | None
    fence: int
    epoch: int | None
    seed: int | None
    curve: dict[int, float] = field(default_factory=dict)
    optuna_state: str = ""
    optuna_steps: frozenset[int] = frozenset()
    optuna_value: float | None = None


def read_facts(address: str, name: str) -> list[TrialFacts]:
    """The trials of a study of hpo."""
    database = open_database(resolve_address(address), create=False)
    study = open_study(database, name)
    curves: dict[int, dict[int, float]] = defaultdict(dict)
    there = sa.select(schema.reports).where(schema.reports.c.study_id == study.study_id)
    own = sa.select(schema.trials).where(schema.trials.c.study_id == study.study_id)
    for report in database.read(lambda connection: connection.execute(there).all()):
        curves[report.trial_number][report.epoch] = report.auc
    rows = database.read(lambda connection: connection.execute(own.order_by(schema.trials.c.trial_number)).all())
    trials = database.patient_optuna().get_all_trials(study.study_id, deepcopy=False)
    shown = {trial.number: trial for trial in trials}
    database.close()
    facts = []
    for row in rows:
        record = TrialRecord.from_json(row.record, f"trial {row.trial_number}") if row.record else None
        theirs = shown.pop(row.trial_number, None)
        facts.append(
            TrialFacts(
                number=row.trial_number,
                state=row.state,
                outcome=row.outcome,
                fence=row.fence,
                epoch=row.epoch,
                seed=None if record is None else record.seeds.trial_seed,
                curve=curves[row.trial_number],
                optuna_state=theirs.state.name if theirs else "missing",
                optuna_steps=frozenset(theirs.intermediate_values) if theirs else frozenset(),
                optuna_value=theirs.value if theirs else None,
            )
        )
    strangers = [TrialFacts(number, "missing", None, 0, None, None, {}, "stranger") for number in shown]
    return facts + strangers


def broken(trials: Iterable[TrialFacts], journal: Iterable[Entry], budget: int) -> dict[str, list[str]]:
    """What breaks each invariant, a sentence part each; empty lists where all is well."""
    facts, entries = {trial.number: trial for trial in trials}, list(journal)
    finished = [trial for trial in facts.values() if trial.state == "finished"]
    found: dict[str, list[str]] = {name: [] for name in INVARIANTS}
    if len(finished) != budget:
        found["finished is the budget"].append(f"{len(finished)} finished, budget {budget}")
    ends = Counter(entry.fields["trial"] for entry in entries if entry.event == "finish")
    found["no trial finished twice"] = [f"trial {number}: {times} times" for number, times in ends.items() if times > 1]
    lost = set(range(budget)) - {trial.number for trial in finished}
    lost |= {trial.number for trial in facts.values() if trial.optuna_state in ("missing", "stranger")}
    found["no trial lost"] = [f"trial {number}" for number in sorted(lost)]
    for trial in facts.values():
        if trial.state != "finished" or trial.optuna_state in ("RUNNING", "WAITING"):
            found["no trial left running"].append(f"trial {trial.number}: {trial.state}, {trial.optuna_state}")
        if trial.state == "finished" and (fault := _fault_of_curve(trial)):
            found["curves complete"].append(f"trial {trial.number}: {fault}")
        if trial.seed is not None and any(
            abs(auc - stand_in_auc(trial.seed, epoch)) > 1e-12 for epoch, auc in trial.curve.items()
        ):
            found["curves true"].append(f"trial {trial.number}")
    found["no finish forgotten"], found["no report forgotten"] = _forgotten(facts, entries)
    found["no write without a lease"] = _without_lease(entries)
    return found


def _fault_of_curve(trial: TrialFacts) -> str | None:
    last = trial.epoch or 0
    wanted = set(range(1, last + 1))
    for where, epochs in (("hpo", set(trial.curve)), ("Optuna", set(trial.optuna_steps))):
        if epochs != wanted:
            return f"last epoch {last}, {where} has {sorted(epochs)}"
    if trial.outcome != "failed" and (not last or trial.optuna_value != trial.curve[last]):
        return f"ends with {trial.curve.get(last)}, Optuna has {trial.optuna_value}"
    return None


def _forgotten(facts: dict[int, TrialFacts], entries: list[Entry]) -> tuple[list[str], list[str]]:
    finishes, reports = [], []
    for entry in entries:
        trial = facts.get(entry.fields.get("trial", -1))
        if entry.event == "finish":
            told = (entry.fields["fence"], entry.fields["outcome"])
            if trial is None or trial.state != "finished" or (trial.fence, trial.outcome) != told:
                finishes.append(f"trial {entry.fields['trial']} of {entry.worker}")
        elif entry.event == "report" and (trial is None or entry.fields["epoch"] not in trial.curve):
            reports.append(f"trial {entry.fields['trial']} epoch {entry.fields['epoch']} of {entry.worker}")
    return finishes, reports


def _without_lease(entries: list[Entry]) -> list[str]:
    """Writes that began after a claim with a higher fencing number had been answered."""
    claims: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.event == "claim":
            claims[entry.fields["trial"]].append(entry)
    stale = []
    for entry in entries:
        number, fence = entry.fields.get("trial"), entry.fields.get("fence", 0)
        if entry.event != "claim" and any(
            other.fields["fence"] > fence and other.ended < entry.began for other in claims.get(number or 0, ())
        ):
            stale.append(f"{entry.event} of trial {number} by {entry.worker} with fence {fence}")
    return stale
