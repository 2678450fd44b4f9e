"""What a training costs over its attempts."""

from __future__ import annotations

from hpo.study.record import ResourceUsage
from hpo.training.machine.usage import UsageMeter


def test_an_attempt_adds_to_those_before_it_and_the_peak_is_the_highest() -> None:
    joules = iter([50.0, 57.0, 60.0])
    peaks = iter([900, 1100])
    before = ResourceUsage(seconds=1000.0, energy_joules=5.0, peak_memory=1000)
    meter = UsageMeter(before, lambda: next(joules), lambda: next(peaks))
    first, second = meter.read(), meter.read()
    assert (first.energy_joules, first.peak_memory) == (12.0, 1000)
    assert (second.energy_joules, second.peak_memory) == (15.0, 1100)
    assert first.seconds is not None
    assert second.seconds is not None
    assert 1000.0 < first.seconds <= second.seconds


def test_what_a_device_does_not_know_stays_unknown() -> None:
    usage = UsageMeter(ResourceUsage(), lambda: None, lambda: None).read()
    assert (usage.energy_joules, usage.peak_memory) == (None, None)
    assert usage.seconds is not None


def test_what_an_earlier_attempt_knew_is_kept_where_this_device_does_not_know_it() -> None:
    before = ResourceUsage(seconds=1.0, energy_joules=5.0, peak_memory=1000)
    usage = UsageMeter(before, lambda: None, lambda: None).read()
    assert (usage.energy_joules, usage.peak_memory) == (5.0, 1000)
