"""Curves against scikit-learn's, with and without ties."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from hpo.statistics.auc import OneClassError, auc
from hpo.statistics.curves import ROC_GRID, average_precision, mean_roc, precision_recall_curve, roc_curve


def drawn(seed: int, distinct: int | None = None) -> tuple[NDArray, NDArray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random(80) < 0.3).astype(np.uint8)
    labels[:2] = 0, 1
    scores = (generator.normal(size=80) + labels).astype(np.float32)
    return (scores if distinct is None else np.round(scores * distinct)), labels


@pytest.mark.parametrize("distinct", [None, 1])
@pytest.mark.parametrize("seed", range(4))
def test_roc_curve_equals_scikit_learns(seed: int, distinct: int | None) -> None:
    scores, labels = drawn(seed, distinct)
    false, true, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=False)
    ours = roc_curve(scores, labels)
    at = np.isin(np.round(thresholds, 9), np.round(ours.thresholds, 9))
    np.testing.assert_allclose(ours.x, false[at], atol=1e-15)
    np.testing.assert_allclose(ours.y, true[at], atol=1e-15)


@pytest.mark.parametrize("distinct", [None, 1])
@pytest.mark.parametrize("seed", range(4))
def test_area_under_the_points_is_the_auc(seed: int, distinct: int | None) -> None:
    scores, labels = drawn(seed, distinct)
    curve = roc_curve(scores, labels)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(auc(scores, labels), abs=1e-14)
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0.0, 0.0, 1.0, 1.0)


def test_points_within_a_straight_stretch_are_left_out() -> None:
    curve = roc_curve(np.arange(6.0), np.array([0, 0, 0, 1, 1, 1]))
    assert list(zip(curve.x, curve.y, strict=True)) == [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
    assert list(curve.thresholds) == [np.inf, 3.0, 0.0]


def test_constant_scores_make_the_diagonal() -> None:
    curve = roc_curve(np.zeros(5), np.array([0, 1, 0, 1, 1]))
    assert list(zip(curve.x, curve.y, strict=True)) == [(0.0, 0.0), (1.0, 1.0)]
    assert average_precision(np.zeros(5), np.array([0, 1, 0, 1, 1])) == pytest.approx(3 / 5)


@pytest.mark.parametrize("distinct", [None, 1])
@pytest.mark.parametrize("seed", range(4))
def test_precision_and_recall_equal_scikit_learns(seed: int, distinct: int | None) -> None:
    scores, labels = drawn(seed, distinct)
    precision, recall, thresholds = metrics.precision_recall_curve(labels, scores)
    ours = precision_recall_curve(scores, labels)
    np.testing.assert_allclose(ours.y, precision[::-1], atol=1e-15)
    np.testing.assert_allclose(ours.x, recall[::-1], atol=1e-15)
    np.testing.assert_allclose(ours.thresholds[1:], thresholds[::-1])
    assert average_precision(scores, labels) == pytest.approx(metrics.average_precision_score(labels, scores))


def test_curves_of_one_class_raise() -> None:
    for curve in (roc_curve, precision_recall_curve, average_precision):
        with pytest.raises(OneClassError):
            curve(np.arange(3.0), np.ones(3))


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
    assert area == pytest.approx(metrics.roc_auc_score(labels, scores), abs=0.01)


def test_a_kept_roc_needs_a_label_of_both_classes() -> None:
    with pytest.raises(OneClassError):
        mean_roc(np.zeros((3, 1)), np.ones((3, 1), dtype=int))
