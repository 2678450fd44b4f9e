"""Whether Deep AUC Maximization beats cross-entropy, both tuned: what is compared, and what is answered."""

from __future__ import annotations

import dataclasses

import pytest

from hpo.outcome.families import Answer, FamilyComparison, answer_sentences, best_of_families, compare_families
from hpo.outcome.final import Final
from hpo.outcome.judgement import judge_final
from hpo.outcome.leaderboard import judge
from hpo.outcome.report.build import Evidence, build
from hpo.outcome.report.document import Notice
from hpo.statistics.intervals import Comparison
from hpo.study.plan import Plan
from tests.mention import unmentioned
from tests.outcome import simulated
from tests.outcome.pages import blocks
from tests.search.planned import make_confirmation, make_plan
from tests.search.planned import simulated as results_of

BETTER = Comparison(0.031, 0.01, 0.011, 0.051, 0.002, 0.95)
WORSE = Comparison(-0.031, 0.01, -0.051, -0.011, 0.002, 0.95)
UNCLEAR = Comparison(0.004, 0.01, -0.016, 0.024, 0.7, 0.95)


def of(difference: Comparison | None) -> FamilyComparison:
    return FamilyComparison("trial 3", "trial 8", difference)


def with_losses(plan: Plan, *losses: str) -> Plan:
    """The plan with these losses of its candidates."""
    changed = [
        one.model_copy(update={"config": one.config.model_copy(update={"loss": loss})})
        for one, loss in zip(plan.candidates, losses, strict=True)
    ]
    return plan.model_copy(update={"candidates": tuple(changed)})


def test_the_first_of_each_family_is_its_best() -> None:
    tuned = [("aucm_v2", "trial 1"), ("cross_entropy", "trial 2"), ("aucm_v1", "trial 3"), ("mine", "trial 4")]
    assert best_of_families(tuned) == {"aucm": "trial 1", "cross_entropy": "trial 2", "mine": "trial 4"}
    asked: list[tuple[str, str]] = []

    def difference(first: str, second: str) -> Comparison:
        asked.append((first, second))
        return BETTER

    assert compare_families(tuned, difference).difference is BETTER
    assert asked == [("trial 1", "trial 2")]


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (of(BETTER), Answer.YES),
        (of(WORSE), Answer.NO),
        (of(UNCLEAR), Answer.INDISTINGUISHABLE),
        (of(None), Answer.INDISTINGUISHABLE),
        (FamilyComparison("trial 3", None, None), Answer.OPEN),
    ],
)
def test_the_interval_of_the_difference_answers(found: FamilyComparison, answer: Answer) -> None:
    assert found.answer is answer


def test_an_answer_has_the_difference_its_interval_and_what_could_have_been_found() -> None:
    for made in (BETTER, WORSE, UNCLEAR):
        numbers = [f"{value:+.3f}" for value in (made.difference, made.low, made.high)]
        assert unmentioned(answer_sentences(of(made), None), "trial 3", "trial 8", *numbers) == []
    detectable = f"{UNCLEAR.detectable:.3f}"
    assert unmentioned(answer_sentences(of(UNCLEAR), None), detectable) == []
    assert unmentioned(answer_sentences(of(BETTER), None), f"{BETTER.detectable:.3f}") != []
    texts = [answer_sentences(of(made), None) for made in (BETTER, WORSE, UNCLEAR, None)]
    assert len({text.split(" trial ")[0] for text in texts}) >= 3


def test_the_test_set_answers_before_the_confirmation_and_that_before_nobody() -> None:
    one_family = FamilyComparison("trial 3", None, None)
    assert answer_sentences(of(BETTER), of(WORSE)) == answer_sentences(of(BETTER), None)
    assert answer_sentences(one_family, of(WORSE)) == answer_sentences(None, of(WORSE))
    assert answer_sentences(of(WORSE), None) != answer_sentences(None, of(WORSE))
    assert unmentioned(answer_sentences(one_family, None), "cross-entropy") == []
    assert answer_sentences(None, one_family) not in (answer_sentences(one_family, None), answer_sentences(None, None))


def test_the_confirmation_compares_the_best_of_both_families_whatever_their_baselines_do() -> None:
    made = make_plan(1, 3, racing_level=0.0)
    plan = with_losses(made, "cross_entropy", "aucm_v1", "cross_entropy", "cross_entropy")
    results = results_of([0.95, 0.90, 0.80, 0.70], repeats=5)
    found = judge("c", make_confirmation(plan, 5), plan, results, done=True).families
    assert found is not None
    assert found.difference is not None
    assert (found.aucm, found.cross_entropy, found.answer) == ("trial 0", "trial 1", Answer.YES)
    assert found.difference.difference == pytest.approx(0.1, abs=0.03)


def test_changes_of_an_ablation_are_no_tuned_configurations() -> None:
    plan = make_plan(1, 2)
    changes = tuple(one.model_copy(update={"trial": None, "auc": None}) for one in plan.candidates)
    plan = plan.model_copy(update={"candidates": changes})
    assert judge("c", make_confirmation(plan, 3), plan, results_of([0.9] * 3, 3), done=True).families is None


@pytest.mark.parametrize(("gain", "answer"), [(4.0, Answer.NO), (0.0, Answer.YES)])
def test_a_final_result_compares_tuned_entries_on_the_test_set(gain: float, answer: Answer) -> None:
    final = simulated.with_another_family(simulated.final(gain=2.0), gain=gain)
    found = judge_final(final, draws=200).families
    assert found is not None
    assert found.difference is not None
    assert (found.aucm, found.cross_entropy, found.answer) == ("trial 7", "trial 9", answer)
    assert judge_final(final, draws=200).against[0].reference == "medmnist-cross-entropy"


def first_words(final: Final | None) -> str:
    return blocks(build(Evidence(simulated.search(6), final=final)).sections[0], Notice)[0].text


def test_the_report_begins_with_the_answer() -> None:
    final = simulated.with_another_family(simulated.final(gain=2.0), gain=0.0)
    assert first_words(final) == answer_sentences(judge_final(final).families, None)
    alone = simulated.final()
    assert first_words(alone) == answer_sentences(FamilyComparison("trial 7", None, None), None)
    assert first_words(None) == answer_sentences(None, None)
    assert dataclasses.asdict(FamilyComparison("a", None, None))["cross_entropy"] is None
