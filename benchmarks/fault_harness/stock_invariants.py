"""The same questions asked of a study that stock Optuna ran, as far as they apply to it."""

from __future__ import annotations

from collections import Counter

import optuna

from benchmarks.fault_harness.journal import Entry
from benchmarks.fault_harness.stock_worker import FINISHED, open_storage


def broken(address: str, name: str, journal: list[Entry], budget: int, lease: float) -> dict[str, list[str]]:
    """What breaks each invariant. A trial and its retries are one piece of work, named by the first one's number."""
    storage = open_storage(address, lease)
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    storage.engine.dispose()
    finished = [trial for trial in trials if trial.state in FINISHED]
    root = {trial.number: trial.system_attrs.get("failed_trial", trial.number) for trial in trials}
    roots = Counter(root[trial.number] for trial in finished)
    retried = {number for trial in trials for number in trial.system_attrs.get("retry_history", ())}
    trained = Counter(root[entry.fields["trial"]] for entry in journal if entry.event == "trained")
    begun = Counter(entry.fields["trial"] for entry in journal if entry.event == "begin")
    recorded = {trial.number for trial in finished}
    told = {entry.fields["trial"] for entry in journal if entry.event == "finish"}
    failed = [t.number for t in trials if t.state.name == "FAIL" and t.number not in retried]
    gaps = [t.number for t in finished if set(t.intermediate_values) != set(range(1, (t.last_step or 0) + 1))]
    return {
        "finished is the budget": [] if len(finished) == budget else [f"{len(finished)} finished, budget {budget}"],
        "no trial finished twice": [f"trial {number}" for number, times in roots.items() if times > 1],
        "no trial lost": [f"trial {number}: failed, not retried" for number in failed],
        "no trial left running": [f"trial {t.number}: {t.state.name}" for t in trials if not t.state.is_finished()],
        "no finish forgotten": [f"trial {number}" for number in sorted(told - recorded)],
        "curves complete": [f"trial {number}" for number in gaps],
        "trained to the end once": [f"trial {number}: {times} times" for number, times in trained.items() if times > 1],
        "given to one worker": [f"trial {number}: {times} times" for number, times in begun.items() if times > 1],
    }
