"""The ROC curve that is kept of an epoch: by hand, its area, and over several labels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from hpo.statistics.auc import OneClassError, auc
from hpo.statistics.roc import ROC_GRID, mean_roc, roc_curve


@pytest.mark.parametrize("distinct", [1, 100])
@pytest.mark.parametrize("seed", range(3))
def test_a_curve_with_corners_on_the_grid_has_the_area_of_the_auc(seed: int, distinct: int) -> None:
    random = np.random.default_rng(seed)
    # 40 negatives: every false positive rate is a point of the grid. Ties make slanted lines, whose ends are points of
    # it too, and vertical ones count by their upper end, which adds at most half a cell of the grid.
    labels = np.repeat([0, 1], [40, 25])[:, None]
    scores = np.round(distinct * (labels + random.normal(size=labels.shape)))
    area = np.trapezoid(mean_roc(scores, labels), ROC_GRID)
    assert auc(scores[:, 0], labels[:, 0]) - 1e-12 <= area <= auc(scores[:, 0], labels[:, 0]) + 0.5 / 40 + 1e-12


def test_constant_scores_make_the_diagonal() -> None:
    assert mean_roc(np.zeros((5, 1)), np.array([[0], [1], [0], [1], [1]])) == pytest.approx(ROC_GRID)


def test_a_kept_roc_is_the_mean_over_labels_and_highest_where_the_curve_is_vertical() -> None:
    labels = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    scores = np.array([[0.1, 0.9, 0.0], [0.2, 0.1, 0.0], [0.3, 0.8, 0.0], [0.4, 0.2, 0.0]])
    rates = mean_roc(scores, labels)
    # The first label is ranked perfectly, the second in reverse, the third has one class.
    assert rates[0] == 0.5
    assert rates[-1] == 1.0
    assert set(rates[:-1]) == {0.5}
    assert len(rates) == ROC_GRID.size


@pytest.mark.parametrize("seed", range(3))
def test_a_kept_roc_has_about_the_area_of_the_whole(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, (400, 1))
    scores = labels + random.normal(size=labels.shape)
    area = np.trapezoid(mean_roc(scores, labels), ROC_GRID)
    assert area == pytest.approx(auc(scores[:, 0], labels[:, 0]), abs=0.01)


def test_a_kept_roc_needs_a_label_of_both_classes() -> None:
    with pytest.raises(OneClassError):
        mean_roc(np.zeros((3, 1)), np.ones((3, 1), dtype=int))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("distinct", [1, 2, 5, 1000])
def test_a_curve_is_that_of_scikit_learn_to_the_last_bit(distinct: int, kind: type) -> None:
    for seed in range(20):
        random = np.random.default_rng(seed)
        labels = np.append([0, 1], random.integers(0, 2, seed)).astype(np.uint8)
        scores = random.integers(0, distinct, labels.size).astype(kind) / kind(distinct)
        for own, other in zip(roc_curve(scores, labels), metrics.roc_curve(labels, scores)[:2], strict=True):
            assert np.array_equal(own, other)


def test_equal_infinite_scores_are_one_corner() -> None:
    labels = np.array([0, 1, 0, 1, 1, 0], dtype=np.uint8)
    finite = np.array([-9, -9, 0, 1, 9, 9], dtype=np.float32)
    infinite = np.where(np.abs(finite) == 9, np.copysign(np.inf, finite), finite).astype(np.float32)
    for own, other in zip(roc_curve(infinite, labels), roc_curve(finite, labels), strict=True):
        assert np.array_equal(own, other)
