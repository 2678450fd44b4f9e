"""The same configurations in the search, its confirmation, and on the test set."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from hpo.outcome.judgement import judge_final
from hpo.outcome.leaderboard import Confirmation, judge
from hpo.outcome.report.build import Evidence, build
from hpo.outcome.report.document import Listing, Notice, Picture, Table
from hpo.outcome.report.result import figures
from hpo.outcome.report.result.confirmation import confirmation as section_of
from hpo.outcome.report.result.stages import STAGES, Stage, drawn_stages, follow, optimism
from tests.mention import numbers_in, unmentioned
from tests.outcome import simulated
from tests.outcome.pages import blocks, pictures, section_with
from tests.search import planned

BASELINE, SHOWN = "medmnist-cross-entropy", "MedMNIST recipe"


def confirmation(winner: float = 0.82, reference: float = 0.80) -> Confirmation:
    """Trial 3 and the cross-entropy reference, confirmed at these means."""
    plan = planned.make_plan(references=1, others=1)
    first, second = plan.candidates
    named = (
        first.model_copy(update={"name": BASELINE}),
        second.model_copy(update={"name": "trial 3", "trial": 3}),
    )
    plan = plan.model_copy(update={"candidates": named})
    results = planned.simulated([reference, winner], repeats=3)
    return judge("breast-confirm", planned.make_confirmation(plan, 3), plan, results, done=True)


def test_a_configuration_is_followed_by_its_name_through_all_stages() -> None:
    search = simulated.search()
    trial = next(one for one in search.complete if one.label == "trial 3")
    judgement = judge_final(simulated.final(gain=1.5, winner="trial 3"))
    winner, reference = follow(search, confirmation(), judgement)
    assert (winner.name, reference.name) == ("trial 3", BASELINE)
    searched, confirmed, tested = winner.stages
    assert trial.row.auc is not None
    reach = 1.959964 * 0.02
    assert searched is not None
    assert (searched.low, searched.high) == pytest.approx((trial.row.auc - reach, trial.row.auc + reach))
    assert confirmed is not None
    assert confirmed.auc == pytest.approx(confirmation().leaderboard[0].mean)
    assert tested == Stage(judgement.entries[0].mean, judgement.entries[0].interval.low,
                           judgement.entries[0].interval.high)  # fmt: skip


def test_what_the_winner_gained_over_a_baseline_is_reported_for_each_stage() -> None:
    found = follow(simulated.search(), confirmation(), judge_final(simulated.final(gain=1.5, winner="trial 3")))
    table, picture, listing = optimism(found)
    assert isinstance(table, Table)
    assert isinstance(picture, Picture)
    assert isinstance(listing, Listing)
    assert [stage in column for stage, column in zip(STAGES, table.header[1:], strict=True)] == [True] * 3
    ET.fromstring(picture.svg)
    gaps = [
        a.auc - b.auc for a, b in zip(*(one.stages for one in found), strict=True) if a is not None and b is not None
    ]
    (sentence,) = listing.items
    assert unmentioned(sentence, "trial 3", SHOWN, *STAGES) == []
    expected = [*gaps, gaps[-1] - gaps[0]]
    assert numbers_in(sentence.partition(": ")[2]) == pytest.approx(expected, abs=0.0006)


def test_before_a_second_stage_there_is_nothing_to_compare() -> None:
    assert follow(simulated.search(), None, None) == []
    assert optimism([]) == []
    alone = follow(dataclasses.replace(simulated.search(), trials=[]), confirmation(), None)
    assert optimism(alone) == []


def test_a_winner_taken_by_hand_has_no_confirmation_and_is_followed_all_the_same() -> None:
    final = simulated.final(winner="trial 3")
    table = optimism(follow(simulated.search(), None, judge_final(final)))[0]
    assert isinstance(table, Table)
    assert [stage in column for stage, column in zip(STAGES[::2], table.header[1:], strict=True)] == [True] * 2
    document = build(Evidence(simulated.search(6), final=final))
    assert {"stages", "overfitting"} <= set(pictures(section_with(document, "curves")))


def test_a_confirmation_that_has_just_begun_is_not_said_to_have_no_winner() -> None:
    plan = planned.make_plan(references=1, others=1)
    spec = planned.make_confirmation(plan, 3)
    begun, ended = (judge("c", spec, plan, {}, done=done) for done in (False, True))
    assert (begun.winner, begun.leader, ended.winner) == (None, None, None)
    said = [blocks(section_of(found), Notice)[0].text for found in (begun, ended)]
    assert said[0] != said[1]
    assert "no winner" not in said[0]


def test_configurations_of_many_loss_families_are_all_drawn() -> None:
    final = simulated.final(winner="trial 3")
    like, scores = final.result.entry("trial 3"), final.scores["trial 3"]
    more = [like.model_copy(update={"name": f"trial {number}"}) for number in range(10, 15)]
    final = dataclasses.replace(
        simulated.changed(final, entries=(*final.result.entries, *more)),
        scores=final.scores | {entry.name: scores for entry in more},
    )
    judgement = judge_final(final)
    count = len(judgement.entries)
    assert count == 7
    (axes,) = figures.forest.figure(judgement, []).axes
    assert sorted({float(np.asarray(line.get_ydata())[0]) for line in axes.lines}) == list(range(count))
    _, right = figures.curves.figure(final).axes
    assert len(right.get_legend_handles_labels()[1]) == count + len(["chance"])
    (axes,) = drawn_stages.figure(follow(simulated.search(), None, judgement), [0, 2]).axes
    assert len(axes.get_legend_handles_labels()[1]) == count
