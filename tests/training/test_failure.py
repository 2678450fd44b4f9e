"""What a training that cannot continue tells, also out of a process of a pool."""

from __future__ import annotations

import pickle

from hpo.training.machine.failure import TrainingFailure


def test_a_failure_keeps_its_reason_and_detail_on_its_way_out_of_a_process() -> None:
    failure = pickle.loads(pickle.dumps(TrainingFailure("out of memory", "a batch of 1,024")))
    assert (failure.reason, failure.detail) == ("out of memory", "a batch of 1,024")
    assert str(failure) == str(TrainingFailure("out of memory", "a batch of 1,024"))
