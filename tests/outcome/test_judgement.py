"""What test scores amount to."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score

from hpo.errors import DataError, OutputError
from hpo.outcome.final import RESULT, SCORES, load, store
from hpo.outcome.judgement import judge_final, less_sure
from hpo.outcome.report.build import Evidence, build
from hpo.outcome.report.document import to_markdown
from hpo.outcome.report.result.sections import verdicts
from hpo.outcome.result_table import result_rows
from hpo.statistics.intervals import Estimate
from hpo.study.catalogue import find_dataset
from tests.mention import numbers_in, unmentioned
from tests.outcome import simulated
from tests.outcome.pages import pictures, rows, section_with, words


def test_aucs_and_accuracies_are_scikit_learns() -> None:
    final = simulated.final()
    entry = judge_final(final, draws=100).entries[0]
    scores, truth = final.scores["trial 7"][:, :, 0], final.labels[:, 0]
    assert [one.value for one in entry.aucs] == pytest.approx([roc_auc_score(truth, one) for one in scores])
    assert entry.mean == pytest.approx(np.mean([roc_auc_score(truth, one) for one in scores]))
    assert entry.spread == pytest.approx(np.std([roc_auc_score(truth, one) for one in scores], ddof=1))
    assert entry.accuracy.value == pytest.approx(np.mean([accuracy_score(truth, one >= 0.6) for one in scores]))
    for estimate, label in ((entry.sensitivity, 1), (entry.specificity, 0)):
        assert estimate is not None
        rates = [recall_score(truth, one >= 0.6, pos_label=label) for one in scores]
        assert estimate.value == pytest.approx(np.mean(rates))
        assert estimate.low < estimate.value < estimate.high
    assert entry.accuracy_at_half.value == pytest.approx(np.mean([accuracy_score(truth, one >= 0.5) for one in scores]))


def test_several_labels_are_averaged() -> None:
    final = simulated.final(labels=3)
    entry = judge_final(final, draws=100).entries[0]
    truth = final.labels
    each = [np.mean([roc_auc_score(truth[:, k], one[:, k]) for k in range(3)]) for one in final.scores["trial 7"]]
    assert [one.value for one in entry.aucs] == pytest.approx(each)
    right = [(one >= 0.6) == (truth == 1) for one in final.scores["trial 7"]]
    assert entry.accuracy.value == pytest.approx(np.mean(right))


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("is_rare", [1, 0])
def test_a_test_set_with_one_sample_of_a_class_is_judged(is_rare: int, seeds: int) -> None:
    final = simulated.with_positives(simulated.final(seeds=seeds, rows=40), 1)
    if not is_rare:
        final = dataclasses.replace(final, labels=1 - final.labels)
    judgement = judge_final(final, draws=100)
    for entry in judgement.entries:
        of_rare, of_others = (entry.sensitivity, entry.specificity)[:: 1 if is_rare else -1]
        assert of_rare is None
        assert of_others is not None
        assert 0 <= entry.interval.low <= entry.mean <= entry.interval.high <= 1
        assert 0 <= entry.bootstrap.low <= entry.bootstrap.high <= 1
    # Nothing is known of other samples of that class, so nothing is better or worse.
    assert not judgement.against[0].decisive.is_distinguishable
    assert not judgement.against[0].bootstrap.is_distinguishable
    assert judgement.entries[0].bootstrap.high - judgement.entries[0].bootstrap.low > 0.8
    assert {row["sensitivity" if is_rare else "specificity"] for row in result_rows(final, judgement)} == {None}
    section = section_with(build(Evidence(simulated.search(6), final=final)), "result")
    assert {row[2 if is_rare else 3] for row in rows(section, 1).values()} == {"-"}


def test_a_test_set_in_which_every_label_is_rare_is_judged() -> None:
    final = simulated.with_positives(simulated.final(rows=40, labels=2), 1)
    judgement = judge_final(final, draws=200)
    for entry in judgement.entries:
        assert 0 <= entry.bootstrap.low <= entry.mean <= entry.bootstrap.high <= 1
    assert 0 < judgement.against[0].bootstrap.p <= 1


def test_a_clear_winner_is_distinguishable_and_an_equal_one_is_not() -> None:
    clear, equal = judge_final(simulated.final(gain=2.0), draws=200), judge_final(simulated.final(gain=1.0), draws=200)
    assert clear.against[0].decisive.low > 0
    assert not equal.against[0].decisive.is_distinguishable
    data = find_dataset("breast")
    for judgement, better in ((clear, True), (equal, False)):
        told = verdicts(judgement, data)[0]
        found = judgement.against[0].decisive
        assert ("better" in told, "worse" in told) == (better, False)
        assert unmentioned(told, "trial 7", "MedMNIST recipe", f"{found.difference:+.3f}", f"{found.p:.2g}") == []


def test_a_winner_is_compared_with_all_baselines_together() -> None:
    one = judge_final(simulated.final(gain=1.3), draws=100)
    final = simulated.with_another_baseline(simulated.final(gain=1.3))
    two = judge_final(final, draws=100)
    assert len(two.against) == 2
    alone, together = one.against[0].decisive, two.against[0].decisive
    assert together.difference == pytest.approx(alone.difference)
    # Sidak 1967: each of two intervals that hold together with 95 % has .95^(1/2).
    assert together.confidence == pytest.approx(0.95**0.5)
    assert together.p == pytest.approx(1 - (1 - alone.p) ** 2)
    assert 1.1 < (together.high - together.low) / (alone.high - alone.low) < 1.25
    assert (together.p < 0.05) == together.is_distinguishable


def test_a_verdict_says_what_would_have_been_found_and_which_baseline_was_cut_short() -> None:
    judgement = judge_final(simulated.final(gain=1.0), draws=100)
    found = judgement.against[0].decisive
    told = verdicts(judgement, find_dataset("breast"))[0]
    assert unmentioned(told, f"{found.detectable:.3f}", "at 30 of its 100 epochs") == []
    reach = (found.high - found.low) / 2
    assert stats.nct.cdf(reach / found.error, found.degrees, found.detectable / found.error) == pytest.approx(0.2)


def test_the_published_value_is_placed_by_the_interval() -> None:
    data = find_dataset("breast")
    for gain, side in ((0.5, "below"), (4.0, "above")):
        judgement = judge_final(simulated.final(gain=gain), draws=100)
        told = verdicts(judgement, data)[-1]
        assert unmentioned(told, ".901", side) == []
        own = judgement.entries[0].interval
        assert numbers_in(told)[-2:] == pytest.approx([own.low, own.high], abs=0.0006)


def test_the_published_value_of_another_network_is_called_that() -> None:
    same, other = (
        verdicts(judge_final(final, draws=100), find_dataset("breast"))[-1]
        for final in (simulated.final(), simulated.reconfigured(simulated.final(), network="resnet18_narrow"))
    )
    assert unmentioned(same, "this network") == []
    assert unmentioned(other, "another network", ".901") == []


def test_beside_published_values_it_is_reported_that_images_were_shrunk() -> None:
    final = simulated.shrunk(simulated.final(), 14)
    told = verdicts(judge_final(final, draws=100), find_dataset("breast"))[-1]
    assert unmentioned(told, 28, 14, "pixels", "shrunk") == []
    told = verdicts(judge_final(simulated.shrunk(final, 56), draws=100), find_dataset("breast"))[-1]
    assert unmentioned(told, 28, 56, "pixels", "enlarged") == []


def test_one_seed_has_no_interval_over_seeds_and_says_so() -> None:
    found = judge_final(simulated.final(seeds=1), draws=100)
    assert (found.entries[0].spread, found.entries[0].over_all, found.against[0].over_all) == (None, None, None)
    assert found.against[0].decisive is found.against[0].delong


def test_a_reference_can_win_and_is_held_against_the_others() -> None:
    final = simulated.changed(simulated.final(), winner="medmnist-cross-entropy")
    assert judge_final(final, draws=100).against == ()


def test_what_is_stored_is_loaded_again(tmp_path: Path) -> None:
    final = simulated.final(labels=2)
    assert load(tmp_path) is None
    store(final, tmp_path)
    found = load(tmp_path)
    assert found is not None
    assert found.result == final.result
    np.testing.assert_array_equal(found.labels, final.labels)
    for name, scores in final.scores.items():
        np.testing.assert_array_equal(found.scores[name], scores)


def test_a_damaged_result_is_refused_and_a_closed_folder_said(tmp_path: Path) -> None:
    store(simulated.final(), tmp_path)
    (tmp_path / SCORES).write_bytes(b"no archive")
    with pytest.raises(DataError) as refused:
        load(tmp_path)
    assert unmentioned(refused.value, tmp_path) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--out"):
        store(simulated.final(), tmp_path / "file")
    assert (tmp_path / RESULT).exists()


def test_what_was_trained_on_is_said_as_the_configurations_divide_it() -> None:
    final = simulated.final()
    assert all(entry.config["resplit"] != "official" for entry in final.result.entries)
    entries = tuple(
        entry.model_copy(update={"config": entry.config | {"resplit": "official"}}) for entry in final.result.entries
    )
    divided, official = (
        words(section_with(build(Evidence(simulated.search(6), final=one)), "result"))[0]
        for one in (final, simulated.changed(final, entries=entries))
    )
    assert unmentioned(official, 546, 78) == []
    assert unmentioned(divided, 546, 78) == ["546", "78"]


def test_the_report_holds_the_result_with_its_figures_and_published_values() -> None:
    document = build(Evidence(simulated.search(6), final=simulated.final()))
    section = section_with(document, "result")
    assert rows(section, 3)["Google AutoML Vision"][0] == ".919"
    assert "roc" in pictures(section)
    page = to_markdown(document)
    assert "(figures/roc.svg)" in page
    assert " nan" not in page


@pytest.mark.slow
def test_the_report_of_several_labels_has_no_roc_of_one() -> None:
    page = to_markdown(build(Evidence(simulated.search(6), final=simulated.final(labels=3))))
    assert "(figures/result.svg)" in page
    assert "roc.svg" not in page


def test_a_verdict_is_no_surer_than_over_rows_alone() -> None:
    short, long = (Estimate(0.9, error, 0.9 - 2 * error, 0.9 + 2 * error, 0.95) for error in (0.01, 0.02))
    assert less_sure(short, long) is long
    assert less_sure(long, short) is long
    assert less_sure(None, short) is short
    # One degree of freedom: a small error, and a long interval.
    of_two_seeds = Estimate(0.9, 0.01, 0.2, 0.99, 0.95)
    assert less_sure(of_two_seeds, long) is of_two_seeds
