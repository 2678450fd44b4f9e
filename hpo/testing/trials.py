"""Steps of a trial without a worker: claim, report, finish, let the lease run out."""

from __future__ import annotations

import sqlalchemy as sa

from hpo.search.database import schema
from hpo.search.queries.trials import read_record
from hpo.search.queue.claiming import claim, store_record
from hpo.search.queue.lease import Claim
from hpo.search.queue.reporting import Outcome, finish, record_report
from hpo.search.strategy.sampler import suggest
from hpo.search.study import Study
from hpo.study.record import TrialRecord
from hpo.testing.trainer import make_record, make_report


def claimed(study: Study, worker: str = "w") -> Claim:
    """Claim a trial for a worker; fails the test if there is none."""
    held = claim(study, worker)
    assert isinstance(held, Claim)
    return held


def ended(held: Claim, outcome: Outcome = "complete", auc: float = 0.8, reason: str = "") -> bool:
    """Finish a trial; False if the claim had lost its lease."""
    return finish(held, outcome, make_report(1, auc), reason=reason)


def expire(study: Study) -> None:
    """Let every lease of a study run out at once, as if no worker had sent a heartbeat for long."""
    change = sa.update(schema.trials).where(
        schema.trials.c.study_id == study.study_id, schema.trials.c.state == "claimed"
    )
    with study.database.engine.begin() as connection:
        connection.execute(change.values(lease_until=0.0))


def recorded(study: Study, number: int) -> TrialRecord:
    """Read the record of a trial; fails the test if there is none."""
    record = read_record(study, number)
    assert record is not None
    return record


def trained(study: Study, aucs: tuple[float, ...] = (0.7, 0.9, 0.8)) -> None:
    """Finish one trial with two reports for each AUC, with parameters drawn by the sampler."""
    for auc in aucs:
        held = claimed(study)
        params: dict[str, bool | int | float | str] = {}
        if not held.baseline:
            suggestion = suggest(study, held.number)
            params = suggestion.values
            record = make_record(study.spec.config(params).model_dump(), params)
            assert store_record(held, record, drawn=suggestion.drawn)
        for epoch in (1, 2):
            record_report(held, make_report(epoch, auc - 0.1 / epoch))
        record = make_record(study.spec.config(params).model_dump(), params)
        assert finish(held, "complete", make_report(2, auc), record)
