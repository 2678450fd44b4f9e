"""Report cost and provenance of each stage."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hpo.outcome.final import Final
from hpo.outcome.report.document import Block, Listing, Section, Table, Text, code
from hpo.outcome.report.search.evidence import SearchEvidence
from hpo.study.record import NetworkRecord, Provenance, TrialRecord
from hpo.text import counted, duration, memory, shell

_KILOWATT_HOUR = 3.6e6


@dataclass(frozen=True)
class Work:
    """The training done in one stage: the record of each trial or network."""

    stage: str
    records: tuple[TrialRecord | NetworkRecord, ...]

    def known(self, name: Literal["seconds", "energy_joules", "peak_memory"]) -> list[float]:
        """Return the values of one kind of cost from the records that have it."""
        return [float(value) for record in self.records if (value := getattr(record.usage, name))]


def work_of_search(search: SearchEvidence) -> Work:
    """Return the trials of the search itself."""
    return Work("search", tuple(trial.record for trial in search.trials if trial.record is not None))


def work_of_final(final: Final) -> Work:
    """Return the final networks; for networks without a record only the code version is known."""
    code = NetworkRecord(provenance=Provenance(code_version=final.result.code_version))
    networks = (network for entry in final.result.entries for network in entry.networks)
    return Work("final networks", tuple(network.record or code for network in networks))


def cost(search: SearchEvidence, later: Sequence[Work] = ()) -> Section:
    """Report hours, energy and memory of each stage, and the savings by pruning."""
    work = work_of_search(search)
    if not work.known("seconds"):
        none = "No finished trial has a record of its time." if search.trials else "No trial has finished yet."
        return Section("Cost", (Text(none),))
    # An epoch of some of the folds is a part of one.
    of_folds = sum(len(report.fold_aucs) for trial in search.trials for report in trial.curve)
    epochs = round(of_folds / search.spec.scoring.fold_count)
    whole = len(search.trials) * search.spec.budget.epochs
    notes = [f"The search trained {counted(epochs, 'epoch')}, {epochs / whole:.0%} of the {whole:,} without pruning."]
    attempts = sum((trial.record.attempts or 1) - 1 for trial in search.trials if trial.record is not None)
    if attempts:
        notes.append(f"Interrupted trials were resumed {counted(attempts, 'time')}.")
    stages = [work, *later]
    if not any(stage.known("energy_joules") for stage in stages):
        notes.append("Energy: the devices used have no readable energy counter.")
    blocks: list[Block] = [stages_table(stages), Listing(tuple(notes))]
    return Section("Cost", tuple(blocks))


def stages_table(stages: Sequence[Work]) -> Table:
    """Tabulate hours, energy and memory of each stage."""
    header = ("stage", "trained", "time, summed", "median of one", "energy by the device", "peak memory", "device")
    return Table(header, tuple(_line(stage) for stage in stages))


def provenance(search: SearchEvidence, later: Sequence[Work] = ()) -> Section:
    """Report code, packages, devices and data of every stage."""
    lead = (
        f"Study {code(search.name)}, fingerprint `{search.spec.fingerprint()}`, study seed {search.spec.search.seed}. "
        "Every trial is stored with its configuration, seeds and the versions below; reproduce one with "
        f"{code(f'hpo replay {shell(search.name)} N')}."
    )
    stages = [stage for stage in (work_of_search(search), *later) if stage.records]
    found = [_provenance(stage) for stage in stages]
    names = dict.fromkeys(name for fields in found for name in fields)
    rows = tuple((name, *(_counted(fields.get(name, Counter())) for fields in found)) for name in names)
    table = Table(("what", *(stage.stage for stage in stages)), rows)
    return Section("Provenance", (Text(lead), *([table] if rows else [])))


def _line(stage: Work) -> tuple[str, ...]:
    seconds, joules, peaks = stage.known("seconds"), stage.known("energy_joules"), stage.known("peak_memory")
    devices = Counter(name for one in stage.records if (name := one.provenance.environment.get("device name")))
    return (
        stage.stage,
        str(len(stage.records)),
        duration(sum(seconds)) if seconds else "-",
        duration(statistics.median(seconds)) if seconds else "-",
        _energy(joules, len(stage.records)),
        memory(max(peaks)) if peaks else "-",
        _counted(devices),
    )


def _energy(joules: Sequence[float], of: int) -> str:
    """Format a sum of energies; where not all devices have a counter, with the number of trials that it is of."""
    if not joules:
        return "-"
    part = f" ({len(joules)} of {of})" if len(joules) < of else ""
    return f"{sum(joules) / _KILOWATT_HOUR:.2f} kWh{part}"


def _provenance(stage: Work) -> dict[str, Counter[str]]:
    fields: dict[str, Counter[str]] = {}
    for record in stage.records:
        of = record.provenance
        dirty = " (with uncommitted changes)" if of.dirty else ""
        values = {"code": f"{of.code_version[:12]}{dirty}", "data MD5": of.data_md5, **of.environment}
        for name, value in values.items():
            fields.setdefault(name, Counter())[str(value)] += 1
    return fields


def _counted(values: Counter[str]) -> str:
    """List the values, with their counts if there are several."""
    if len(values) <= 1:
        return next(iter(values), "-") or "-"
    return ", ".join(f"{value or '-'} ({count})" for value, count in values.most_common())
