"""Studies that are deleted, renamed and annotated while workers hold their trials, beside one that is left alone."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.fault_harness import invariants
from benchmarks.fault_harness.campaign import STUDY, Plan, first_orders, make_spec, make_study, surroundings
from benchmarks.fault_harness.crew import ERROR, Crew
from benchmarks.fault_harness.forks import Forks
from benchmarks.fault_harness.group import Group
from benchmarks.fault_harness.journal import read_journals
from benchmarks.fault_harness.leftovers import accesses, leftovers
from benchmarks.fault_harness.orders import Orders
from benchmarks.fault_harness.pages import Pages, dashboard
from benchmarks.fault_harness.schedule import draw
from hpo.errors import StudyNotFoundError, UsageError
from hpo.search.admin.studies import delete_study, rename_study
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.database.optuna_mirror import optuna_tables
from hpo.search.queries.ledger import StudyLedger
from hpo.search.queries.status import read_status
from hpo.search.study import Study

PATIENCE = 60.0
"""Seconds after which a request that has to wait for a moment without a held trial is given up."""

INVARIANTS = (
    "workers end with code 6 and a sentence",
    "no row of a deleted study is left",
    "test-set access log stays",
    "a new study of the name is left alone",
    "a renamed study keeps its trials and gets its budget",
    "the dashboard refuses what would end held trials",
    "notes are stored",
)


class Rounds:
    """One study after another; each is started with workers, then struck."""

    def __init__(self, database: Database, pages: Pages, forks: Forks, orders: Orders, plan: Plan) -> None:
        self._database, self._pages, self._forks, self._orders, self._plan = database, pages, forks, orders, plan
        self.counts: Counter[str] = Counter()
        self.broken: dict[str, list[str]] = {name: [] for name in INVARIANTS}
        self.ways: dict[str, Callable[[str], None]] = {
            "hpo delete --force": self._delete,
            "deleted, and made again under its name": self._delete_and_make_again,
            "deleted in the dashboard": self._delete_in_dashboard,
            "renamed": self._rename,
            "renamed in the dashboard": self._rename_in_dashboard,
        }

    def run(self, way: str) -> None:
        """Run one round."""
        self.ways[way](f"doomed {sum(self.counts[name] for name in self.ways)}")
        self.counts[way] += 1

    def _check(self, invariant: str, true: object, tell: object) -> None:
        if not true:
            self.broken[invariant].append(str(tell))

    def _begin(self, name: str, workers: int) -> tuple[Study, Group]:
        """Make a study and start workers of it; return when one holds a trial, notes are written, and it was opened."""
        study = create_or_open(self._database, name, make_spec(replace(self._plan, trials=30)))
        StudyLedger(self._database).write(name, {}, "faults", "")
        word = name.replace(" ", "-")
        orders = replace(self._orders, study=name)
        group = Group(self._forks, orders, [f"{word}-w{number}" for number in range(workers)])
        end = time.monotonic() + PATIENCE
        while not read_status(study).running and time.monotonic() < end:
            time.sleep(0.02)
        self._write_notes(study)
        return study, group

    def _write_notes(self, study: Study) -> None:
        here = f"/api/studies/{study.study_id}"
        trial = self._trial_shown(study)
        for place in (here, f"{here}/{trial}"):
            status, answer = self._pages.ask("PUT", f"{place}/note", {"version": 2, "body": f"mine {place}"})
            self._check("notes are stored", status == 204, f"{status}: {answer}")
            self.counts["notes written"] += 1
        detail = self._pages.ask("GET", here)[1]
        bodies = detail["note"]["body"], detail["trials"][0]["note"]["body"]
        self._check("notes are stored", bodies == (f"mine {here}", f"mine {here}/{trial}"), bodies)

    def _trial_shown(self, study: Study) -> int:
        """The id of the first trial; optuna-dashboard shows those of a deleted study with the same id for 2 s."""
        trials = optuna_tables()["trials"].c
        query = sa.select(trials.trial_id).where(trials.study_id == study.study_id, trials.number == 0)
        first = self._database.read(lambda connection: connection.scalar(query))
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            # An error while the page still has trials of the deleted study in its cache.
            shown = self._pages.ask("GET", f"/api/studies/{study.study_id}")[1].get("trials", [])
            if shown and shown[0]["trial_id"] == first:
                break
            time.sleep(0.2)
        return int(first or 0)

    def _ended(self, study: Study, group: Group) -> None:
        for worker, code in group.wait(PATIENCE).items():
            lines = group.log_of(worker).splitlines()
            is_told = bool(lines) and study.name in lines[-1]
            ok = code == StudyNotFoundError.exit_code and is_told and not any("Traceback" in line for line in lines)
            self._check("workers end with code 6 and a sentence", ok, f"{worker}: {code}, {lines[-1:]}")
            self.counts["workers of a study that went"] += 1

    def _gone(self, study: Study) -> None:
        left = leftovers(self._database, study)
        self._check("no row of a deleted study is left", not left, f"{study.name}: {left}")
        found = accesses(self._database, study.name)
        self._check("test-set access log stays", found == 1, f"{study.name}: {found} entries")

    def _delete(self, name: str) -> None:
        study, group = self._begin(name, 3)
        delete_study(self._database, name, force=True)
        self._ended(study, group)
        self._gone(study)

    def _delete_and_make_again(self, name: str) -> None:
        study, group = self._begin(name, 3)
        delete_study(self._database, name, force=True)
        new = create_or_open(self._database, name, make_spec(replace(self._plan, trials=7)))
        self._ended(study, group)
        status = read_status(new)
        ok = (status.finished, len(status.running), status.free) == (0, 0, 0)
        self._check("a new study of the name is left alone", ok, status)
        delete_study(self._database, name, force=True)
        self._gone(study)

    def _delete_in_dashboard(self, name: str) -> None:
        study, group = self._begin(name, 1)
        self._until_done(lambda: self._asked("DELETE", f"/api/studies/{study.study_id}", None, 204))
        self._ended(study, group)
        self._gone(study)

    def _rename(self, name: str) -> None:
        study, group = self._begin(name, 1)

        def renamed() -> bool:
            try:
                rename_study(self._database, name, f"{name} renamed")
            except UsageError:
                return False
            return True

        self._until_done(renamed)
        self._ended(study, group)
        self._goes_on(f"{name} renamed")

    def _rename_in_dashboard(self, name: str) -> None:
        study, group = self._begin(name, 1)
        path, body = f"/api/studies/{study.study_id}/rename", {"study_name": f"{name} renamed"}
        self._until_done(lambda: self._asked("POST", path, body, 201))
        self._ended(study, group)
        self._goes_on(f"{name} renamed")

    def _goes_on(self, name: str) -> None:
        """Finish a renamed study with new workers."""
        word = name.replace(" ", "-")
        codes = Group(self._forks, replace(self._orders, study=name), [f"{word}-w{n}" for n in range(3)]).wait(PATIENCE)
        facts = invariants.read_facts(self._orders.address, name)
        journal = [
            entry for entry in read_journals(Path(self._orders.journals)) if entry.worker.startswith(_stem(word) + "-")
        ]
        broken = {key: cases for key, cases in invariants.broken(facts, journal, 30).items() if cases}
        self._check(
            "a renamed study keeps its trials and gets its budget",
            not broken and not any(codes.values()),
            broken or codes,
        )
        delete_study(self._database, name, force=True)

    def _asked(self, method: str, path: str, body: object, done: int) -> bool:
        status, answer = self._pages.ask(method, path, body)
        if status != done:
            self.counts["refused by the dashboard"] += 1
            ok = status == 400 and bool(answer.get("reason"))
            self._check("the dashboard refuses what would end held trials", ok, f"{status}: {answer}")
        return status == done

    def _until_done(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > end:
                raise RuntimeError("the workers held a trial at each of many requests")


def _stem(word: str) -> str:
    """The name of a study before it was renamed, in the names of its workers."""
    return re.sub("-renamed$", "", word)


def run(plan: Plan, keep: Path | None = None) -> dict[str, Any]:
    """Let studies come and go beside one under the usual faults; return counts, and what broke."""
    began = time.monotonic()
    with surroundings(plan, keep and keep / "studies") as (server, disk, folder):
        address = server.address("studies")
        make_study("hpo", address, plan)
        orders = first_orders("hpo", plan, address, folder, disk.folder / "checkpoints")
        doomed = replace(orders, checkpoints=str(folder / "doomed"), journals=str(folder / "doomed"))
        Path(doomed.checkpoints).mkdir()
        kinds = ("kill", "freeze", "cut") if server.cuttable else ("kill", "freeze")
        crew, forks = Crew(orders, plan.workers, server, disk, folder / "logs"), Forks(folder / "logs")
        ended: list[bool] = []
        faults = draw(plan.seed, plan.seconds, plan.workers, plan.lease, kinds)
        usual = threading.Thread(target=lambda: ended.append(crew.run(plan.trials, faults, plan.limit)))
        database = open_database(resolve_address(address), create=False)
        try:
            with dashboard(database) as pages:
                usual.start()
                rounds = Rounds(database, pages, forks, doomed, plan)
                for way in rounds.ways:
                    rounds.run(way)
                while usual.is_alive() and time.monotonic() < began + plan.seconds:
                    for way in rounds.ways:
                        rounds.run(way)
                usual.join()
        finally:
            usual.join()
            crew.close()
            forks.close()
            database.close()
        kept = invariants.broken(invariants.read_facts(address, STUDY), read_journals(folder / "journals"), plan.trials)
    phase = {
        "seconds": round(time.monotonic() - began, 1),
        "hung": ended != [True],
        "broken": rounds.broken | {f"the other study: {name}": cases for name, cases in kept.items()},
    }
    counts = dict(crew.counts + rounds.counts) | {ERROR: crew.counts[ERROR]}
    return {"system": "hpo", "backend": plan.backend, "counts": counts, "phases": {"studies come and go": phase}}
