"""Thresholds against a search over all of them, rates against scikit-learn, Wilson's interval against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from hpo.statistics.auc import OneClassError
from hpo.statistics.threshold import Rule, choose_threshold, correct_share


def drawn(seed: int, distinct: int | None = None, share: float = 0.3) -> tuple[NDArray, NDArray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random(60) < share).astype(np.uint8)
    labels[:2] = 0, 1
    scores = generator.normal(size=60) + labels
    return (scores if distinct is None else np.round(scores * distinct)), labels


def judged(rule: Rule, labels: NDArray, called: NDArray) -> float:
    return float(accuracy_score(labels, called) if rule == "accuracy" else balanced_accuracy_score(labels, called))


@pytest.mark.parametrize("rule", ["youden", "accuracy"])
@pytest.mark.parametrize("distinct", [None, 1])
@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_is_better_on_its_samples(seed: int, distinct: int | None, rule: Rule) -> None:
    scores, labels = drawn(seed, distinct)
    chosen = judged(rule, labels, scores >= choose_threshold(scores, labels, rule))
    others = [judged(rule, labels, scores >= edge) for edge in [*scores, scores.max() + 1]]
    assert chosen == pytest.approx(max(others), abs=1e-12)


def test_a_threshold_lies_in_the_middle_of_the_widest_of_equally_good_gaps() -> None:
    assert choose_threshold(np.array([0.0, 1.0, 4.0, 5.0]), np.array([0, 0, 1, 1])) == 2.5
    # Above 6 and above 1 both tell three of four right; the gap from 1 to 5 is wider than the one from 6 to 7.
    assert choose_threshold(np.array([1.0, 5.0, 6.0, 7.0]), np.array([0, 1, 0, 1]), "accuracy") == 3.0


def test_calling_all_samples_alike_is_a_threshold_too() -> None:
    reversed_scores, labels = np.array([4.0, 3.0, 2.0, 1.0]), np.array([0, 0, 0, 1])
    assert not (reversed_scores >= choose_threshold(reversed_scores, labels, "accuracy")).any()
    assert (reversed_scores >= choose_threshold(reversed_scores, 1 - labels, "accuracy")).sum() in (3, 4)


def test_a_threshold_holds_for_scores_of_32_bits() -> None:
    scores, labels = np.array([0.3, 0.2, 0.1], dtype=np.float32), np.array([0, 0, 1])
    assert correct_share(scores, labels, choose_threshold(scores, labels, "accuracy")).mean() == pytest.approx(2 / 3)
    close = np.array([0.1, np.nextafter(np.float32(0.1), np.float32(1))], dtype=np.float32)
    assert correct_share(close, np.array([0, 1]), choose_threshold(close, np.array([0, 1]))).all()


def test_hits_of_several_labels_are_the_share_of_labels_told_right_in_each_row() -> None:
    scores, labels = np.array([[0.2, 0.9], [0.6, 0.1]]), np.array([[0, 1], [0, 1]])
    assert correct_share(scores, labels, np.array([0.5, 0.5])) == pytest.approx([1.0, 0.0])
    assert correct_share(scores, labels, np.array([0.7, 0.5])) == pytest.approx([1.0, 0.5])


def test_what_cannot_be_judged_raises() -> None:
    with pytest.raises(OneClassError):
        choose_threshold(np.arange(3.0), np.ones(3))
    with pytest.raises(ValueError, match="infinity"):
        choose_threshold(np.array([0.0, np.inf]), np.array([0, 1]))
