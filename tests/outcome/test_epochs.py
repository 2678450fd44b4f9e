"""What a report says of the number of epochs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from hpo.outcome.report.document import Text
from hpo.outcome.report.search.epochs import LEAST_TRIALS, enough_epochs
from hpo.outcome.report.search.sections import learning
from hpo.training.report import EpochReport
from tests.mention import unmentioned
from tests.outcome import simulated

EPOCHS, ENOUGH = 20, 12
LEVELS = np.linspace(0.7, 0.9, 10)


def curves(aucs: NDArray[np.float64]) -> list[list[EpochReport]]:
    return [
        [EpochReport(epoch, float(auc), None, (), None, None, 1.0) for epoch, auc in enumerate(one, 1)] for one in aucs
    ]


def aucs_that_end_early() -> NDArray[np.float64]:
    """(trials, epochs): in the last order from the first epoch on, within .005 of the last values from ENOUGH on."""
    left = np.where(np.arange(1, EPOCHS + 1) < ENOUGH, 0.006, 0.004)
    left[-1] = 0
    return LEVELS[:, None] - left


def test_the_first_epoch_is_named_after_which_nothing_changes() -> None:
    found = enough_epochs(curves(aucs_that_end_early()), EPOCHS)
    assert found is not None
    assert (found.epochs, found.of, found.trials) == (ENOUGH, EPOCHS, len(LEVELS))
    assert (found.loss, found.agreement) == pytest.approx((0.004, 1))
    assert unmentioned(found.sentence(), ENOUGH, EPOCHS, len(LEVELS), "0.004", "1.00") == []


def test_it_is_after_the_last_epoch_of_another_order() -> None:
    aucs = aucs_that_end_early()
    aucs[:, ENOUGH] = aucs[::-1, ENOUGH]
    found = enough_epochs(curves(aucs), EPOCHS)
    assert found is not None
    assert found.epochs == ENOUGH + 2


def test_its_correlation_is_spearmans_with_ties() -> None:
    aucs = aucs_that_end_early()
    aucs[:, ENOUGH - 1] = np.round(aucs[:, ENOUGH - 1], 1)
    found = enough_epochs(curves(aucs), EPOCHS)
    assert found is not None
    assert found.epochs == ENOUGH
    assert found.agreement == pytest.approx(spearmanr(aucs[:, ENOUGH - 1], aucs[:, -1]).statistic)


def test_nothing_is_said_of_few_trials_of_a_long_rise_or_of_equal_trials() -> None:
    aucs = aucs_that_end_early()
    assert enough_epochs(curves(aucs)[: LEAST_TRIALS - 1], EPOCHS) is None
    assert enough_epochs(curves(LEVELS[:, None] + np.linspace(-0.1, 0, EPOCHS)), EPOCHS) is None
    assert enough_epochs(curves(np.full((10, EPOCHS), 0.5)), EPOCHS) is None
    assert enough_epochs([*curves(aucs)[: LEAST_TRIALS - 1], *curves(aucs[:, :5])], EPOCHS) is None, "pruned ones"


def test_a_report_says_so_beside_the_curves() -> None:
    search = simulated.search()
    assert not any("budget.epochs" in block.text for block in learning(search).blocks if isinstance(block, Text))
    levels = np.linspace(0.7, 0.9, len(search.trials))
    flat = curves(np.repeat(levels[:, None], search.spec.budget.epochs, axis=1))
    ended = [dataclasses.replace(trial, curve=curve) for trial, curve in zip(search.trials, flat, strict=True)]
    (said,) = [
        block.text for block in learning(dataclasses.replace(search, trials=ended)).blocks if isinstance(block, Text)
    ]
    assert unmentioned(said, "--set budget.epochs=1") == []
