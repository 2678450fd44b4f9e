"""A stop has one reason, set once, whoever asks."""

from __future__ import annotations

import threading
import time

from hpo.control import Stop, StopReason, StopWatch


def test_the_first_reason_counts_and_later_ones_are_known() -> None:
    stop = Stop()
    assert (stop.requested, stop.reason) == (False, None)
    stop.request(StopReason.MEMORY)
    stop.request(StopReason.SIGNAL)
    assert (stop.requested, stop.reason) == (True, StopReason.MEMORY)
    assert StopReason.SIGNAL in stop
    assert StopReason.DRAIN not in stop


def test_waiting_ends_at_a_request_from_another_thread() -> None:
    stop = Stop()
    threading.Timer(0.05, stop.request, [StopReason.PARENT]).start()
    began = time.monotonic()
    assert stop.wait(600)
    assert time.monotonic() - began < 300


def test_waiting_ends_without_a_request() -> None:
    assert not Stop().wait(0.01)


def test_a_watch_requests_a_stop_when_its_condition_comes_true() -> None:
    stop, gone = Stop(), threading.Event()
    with StopWatch(stop, {StopReason.DEADLINE: lambda: False, StopReason.PARENT: gone.is_set}, seconds=0.001):
        assert not stop.requested
        gone.set()
        assert stop.wait(600)
    assert stop.reason is StopReason.PARENT


def test_a_condition_that_holds_already_is_seen_before_any_work() -> None:
    stop = Stop()
    with StopWatch(stop, {StopReason.DEADLINE: lambda: True}, seconds=600):
        assert stop.reason is StopReason.DEADLINE
