"""What a worker says of a trial, in its log and to reporters."""

from __future__ import annotations

from hpo.search.queue.lease import Claim
from hpo.search.queue.reporting import Outcome
from hpo.search.worker.reporter import ReportedTrial
from hpo.study.baselines import shown_name
from hpo.study.planned import epochs_at, planned_trial, start_at
from hpo.study.record import TrialRecord
from hpo.training.report import EpochReport, NetworkEpoch


def reported(held: Claim, record: TrialRecord, worker: str) -> ReportedTrial:
    """Return what reporters are told of a trial that begins."""
    spec = held.study.spec
    return ReportedTrial(
        study=held.study.name,
        dataset=spec.dataset,
        number=held.number,
        label=_label(held),
        params=record.params,
        config=record.train_config(held.study.trial_name(held.number)).active(),
        epochs=epochs_at(spec, held.slot),
        attempt=held.fence,
        worker=worker,
    )


def describe_start(held: Claim) -> str:
    """Return the line of the log with which a trial begins."""
    text, label = f"trial {held.number}: " + ("starts" if held.fence == 1 else "resumes"), _label(held)
    return f"{text} ({label})" if label else text


def _label(held: Claim) -> str:
    """Return the name of the baseline, start point or candidate that a trial is of; "" if it is none."""
    planned = planned_trial(held.study.spec, held.slot)
    if planned is None:
        start = start_at(held.study.spec, held.slot)
        return "" if start is None else f"start {start.name}"
    name = f"baseline {shown_name(planned.name)}" if planned.is_baseline else planned.name
    if planned.is_network:
        return f"{name}, network {planned.repeat}"
    return name if planned.repeat is None else f"{name}, repeat {planned.repeat + 1}"


def describe_end(held: Claim, outcome: Outcome, last: EpochReport | NetworkEpoch | None, reason: str) -> str:
    """Return the line of the log with which it ends, why included."""
    text = f"trial {held.number}: {outcome}"
    if isinstance(last, NetworkEpoch):
        text += f" after {last.epoch} of {last.epochs} epochs"
    elif last is not None:
        spec = held.study.spec
        folds = f" of {len(last.fold_aucs)} of {spec.scoring.fold_count} folds" if spec.scoring.fold_count > 1 else ""
        text += f" after {last.epoch} of {spec.budget.epochs} epochs{folds}, AUC {last.auc:.4f}"
    return text + (f" ({reason})" if reason else "")
