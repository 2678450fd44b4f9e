"""Train a recorded trial again and compare the reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hpo.errors import StudyNotFoundError
from hpo.search.queries.trials import read_curve, read_record
from hpo.search.study import Study
from hpo.search.worker.trainer import Task, Trainer
from hpo.study.record import Provenance


@dataclass(frozen=True)
class ReplayedEpoch:
    """One epoch of both runs.

    Attributes:
        then: recorded AUC.
        now: AUC of the replay.
        difference: now minus then; None if the epoch was not recorded.
    """

    epoch: int
    then: float | None
    now: float
    difference: float | None


@dataclass(frozen=True)
class Replay:
    """Comparison of a trial with its replay.

    Attributes:
        bit_equal: whether every fold AUC of every recorded epoch is identical to the last bit.
        changed: differences in data, code, packages or device, a line each.
    """

    number: int
    epochs: list[ReplayedEpoch]
    max_difference: float
    bit_equal: bool
    changed: list[str]


def replay(
    study: Study, number: int, train: Trainer, on_epoch: Callable[[ReplayedEpoch], None] = lambda _: None
) -> Replay:
    """Train a trial's configuration again with its seed, for as many epochs as recorded; store nothing.

    Raises:
        StudyNotFoundError: if there is no such trial, or it has no reports.
        StorageError: if this version of hpo cannot train its configuration.
        Exception: whatever training raises.
    """
    record, curve = read_record(study, number), read_curve(study, number)
    if record is None or not curve:
        raise StudyNotFoundError(f"trial {number} of study {study.name} has no reports to compare with")
    epochs: list[ReplayedEpoch] = []
    bit_equal = True
    config = record.train_config(study.trial_name(number))
    reports = train(Task(config, record.seeds.trial_seed, number, scoring_seed=record.seeds.scoring_seed))
    for then, now in zip(curve, reports, strict=False):
        bit_equal &= then.auc == now.auc and then.fold_aucs == now.fold_aucs
        epochs.append(ReplayedEpoch(now.epoch, then.auc, now.auc, now.auc - then.auc))
        on_epoch(epochs[-1])
    bit_equal &= len(epochs) == len(curve)
    largest = max((abs(epoch.difference or 0.0) for epoch in epochs), default=0.0)
    return Replay(number, epochs, largest, bit_equal, changes(record.provenance, train.provenance))


def changes(recorded: Provenance, current: Provenance) -> list[str]:
    """List the differences in provenance since a trial was recorded: `torch: then 2.11.0, now 2.12.0`.

    Not the number of cores, which changes only the time.
    """
    then, now = _named(recorded), _named(current)
    return [
        f"{name}: then {then.get(name, 'nothing')}, now {now.get(name, 'nothing')}"
        for name in [*now, *(then.keys() - now.keys())]
        if then.get(name) != now.get(name)
    ]


def _named(of: Provenance) -> dict[str, str]:
    code = f"{of.code_version}{' with changes' if of.dirty else ''}"
    environment = {name: value for name, value in of.environment.items() if name != "device cores"}
    return {"data MD5": of.data_md5, "code": code, **environment}
