"""Accuracy over seeds: no surer than over samples alone."""

from __future__ import annotations

import numpy as np

from hpo.outcome.judgement import judge_final
from hpo.statistics.delong import mean_of_fixed_networks
from hpo.statistics.network_metrics import network_accuracies
from tests.outcome import simulated


def test_the_interval_of_an_accuracy_of_two_seeds_is_no_shorter_than_over_samples_alone() -> None:
    for seed in range(8):
        final = simulated.final(seeds=2, gain=1.0 + 0.1 * seed)
        entry = judge_final(final, draws=100).entries[0]
        right = ((final.scores["trial 7"][:, :, 0] >= 0.6) == (final.labels[:, 0] == 1)).astype(float)
        alone = mean_of_fixed_networks(network_accuracies(np.asarray(right)))
        assert entry.accuracy.high - entry.accuracy.low >= alone.high - alone.low - 1e-12
