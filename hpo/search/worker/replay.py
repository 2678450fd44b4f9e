"""A recorded trial, trained again and compared report by report."""

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
    """One epoch of both runs. difference: of the AUC, now minus then; None if the record does not reach it."""

    epoch: int
    then: float | None
    now: float
    difference: float | None


@dataclass(frozen=True)
class Replay:
    """A trial and its repetition. bit_equal: every fold of every recorded epoch has the same AUC to the last bit.

    changed: what is not as it was, a line each: data, code, packages, device.
    """

    number: int
    epochs: list[ReplayedEpoch]
    max_difference: float
    bit_equal: bool
    changed: list[str]


def replay(
    study: Study, number: int, train: Trainer, on_epoch: Callable[[ReplayedEpoch], None] = lambda _: None
) -> Replay:
    """Trains a trial's configuration with its seed again, for as many epochs as it made; stores nothing.

    Raises StudyNotFoundError if there is no such trial or it never began, StorageError if this hpo cannot train its
    configuration; what training raises passes through.
    """
    record, curve = read_record(study, number), read_curve(study, number)
    if record is None or not curve:
        raise StudyNotFoundError(f"trial {number} of study {study.name} has reported nothing that could be compared")
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
    """List what has changed since a trial was recorded, a line each: `torch: then 2.11.0, now 2.12.0`."""
    then, now = _named(recorded), _named(current)
    return [
        f"{name}: then {then.get(name, 'nothing')}, now {now.get(name, 'nothing')}"
        for name in [*now, *(then.keys() - now.keys())]
        if then.get(name) != now.get(name)
    ]


def _named(of: Provenance) -> dict[str, str]:
    code = f"{of.code_version}{' with changes' if of.dirty else ''}"
    return {"data MD5": of.data_md5, "code": code, **of.environment}
