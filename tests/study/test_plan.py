"""Which candidate and repeat each slot of a plan trains, also after candidates were added."""

from __future__ import annotations

from typing import Any

from hpo.study.config import TrainConfig
from hpo.study.plan import Candidate, Plan
from hpo.study.spec import StudySpec
from hpo.testing.trainer import make_spec


def candidates(*names: str) -> tuple[Candidate, ...]:
    """Candidates that are compared with `base`, but for `base` itself."""
    return tuple(
        Candidate(name=name, config=TrainConfig(), base=None if name == "base" else "base", method=name)
        for name in names
    )


def plan(*names: str) -> Plan:
    """A plan of methods."""
    return Plan(search="", candidates=candidates(*names), top=1, racing_level=0.0)


def slots(made: Plan, count: int) -> list[tuple[int, int]]:
    """What the first slots train."""
    return [made.at(slot) for slot in range(count)]


def test_a_plan_goes_repeat_by_repeat() -> None:
    assert slots(plan("base", "ema"), 5) == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)]


def test_added_candidates_catch_up_and_then_all_go_on_together() -> None:
    grown = plan("base", "ema").with_more(candidates("swa"), repeats=2)
    assert slots(grown, 4) == slots(plan("base", "ema"), 4)
    assert slots(grown, 10)[4:] == [(2, 0), (2, 1), (0, 2), (1, 2), (2, 2), (0, 3)]


def test_however_often_candidates_are_added_each_repeat_of_each_has_one_slot() -> None:
    grown = [plan("base", "a")]
    for repeats, more in ((2, ("b", "c")), (2, ("d",)), (5, ("e", "f"))):
        grown.append(grown[-1].with_more(candidates(*more), repeats))
    for before, after, planned in zip(grown, grown[1:], (2, 2, 5), strict=False):
        count = planned * len(before.candidates)
        assert slots(after, count) == slots(before, count), "no slot changes its meaning"
    assert sorted(slots(grown[-1], 7 * 7)) == [(number, repeat) for number in range(7) for repeat in range(7)]


def test_a_plan_without_methods_is_identified_as_before_there_were_any() -> None:
    confirmation = Plan(
        search="s", candidates=(Candidate(name="trial 1", config=TrainConfig()),), top=1, racing_level=0
    )
    spec = make_spec(4).model_copy(update={"plan": confirmation})
    stored: Any = spec.canonical()["plan"]
    assert stored.keys() == {"search", "candidates", "top", "racing_level"}
    (candidate,) = confirmation.model_dump()["candidates"]
    assert candidate.keys() - stored["candidates"][0].keys() == {"base", "method", "removes"}


def test_a_stored_plan_of_methods_is_read_as_it_was_written() -> None:
    grown = plan("base", "ema").with_more(candidates("swa"), repeats=2)
    spec = make_spec(9).model_copy(update={"plan": grown})
    assert StudySpec.from_json(spec.model_dump_json()).plan == grown
    assert spec.fingerprint() != make_spec(9).model_copy(update={"plan": plan("base", "ema", "swa")}).fingerprint()


def test_the_repeats_at_first_are_those_of_the_candidates_at_first() -> None:
    one = plan("a", "b")
    assert one.repeats_of(6) == 3
    assert one.with_more(candidates("c", "d"), 4).repeats_of(6) == 3
