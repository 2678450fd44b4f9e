"""What a final result amounts to: test AUC and accuracy with their intervals, and against each reference."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpo.outcome.final import Final, FinalEntry
from hpo.statistics.bootstrap import bootstrap_difference, bootstrap_interval
from hpo.statistics.delong import delong_interval, difference_of_fixed_networks, mean_of_fixed_networks
from hpo.statistics.intervals import Comparison, Estimate
from hpo.statistics.network_metrics import NetworkMetrics, network_accuracies, network_aucs
from hpo.statistics.obuchowski_rockette import difference_over_seeds_and_samples, mean_over_seeds_and_samples
from hpo.statistics.threshold import correct_share

_HALF = 0.5

Found = TypeVar("Found", Estimate, Comparison)


@dataclass(frozen=True)
class EntryResult:
    """One entry on the test rows. Of several labels, AUC and accuracy are means over labels.

    aucs: of each network, with DeLong's interval. spread: standard deviation over seeds, None for one. over_all: the
    mean over new seeds and new rows, None for one seed. delong, bootstrap: the mean of these very networks over new
    rows. accuracy, accuracy_at_half: the mean over seeds and rows, at the thresholds that development rows chose, and
    at score .5 as MedMNIST does; of these networks alone for one seed. sensitivity, specificity: the same of the
    positive and the negative rows, at the chosen thresholds; None for several labels. input_size: edge that images were
    shrunk to, in pixels or voxels.
    """

    name: str
    is_reference: bool
    aucs: tuple[Estimate, ...]
    mean: float
    spread: float | None
    over_all: Estimate | None
    delong: Estimate
    bootstrap: Estimate
    accuracy: Estimate
    accuracy_at_half: Estimate
    sensitivity: Estimate | None
    specificity: Estimate | None
    threshold_rows: str
    input_size: int

    @property
    def interval(self) -> Estimate:
        """The estimate that a verdict rests on, see `less_sure`."""
        return less_sure(self.over_all, self.delong)


@dataclass(frozen=True)
class BaselineDifference:
    """An entry minus a reference: over new seeds and rows (None for one seed), and of these very networks over new rows
    by DeLong and by the bootstrap."""

    entry: str
    reference: str
    over_all: Comparison | None
    delong: Comparison
    bootstrap: Comparison

    @property
    def decisive(self) -> Comparison:
        """The comparison that a verdict rests on, see `less_sure`."""
        return less_sure(self.over_all, self.delong)


@dataclass(frozen=True)
class Judgement:
    """All entries, the winner first, and the winner against each reference."""

    entries: tuple[EntryResult, ...]
    against: tuple[BaselineDifference, ...]


def less_sure(over_all: Found | None, delong: Found) -> Found:
    """Of what was found over seeds and rows, if there is such, and over rows alone, that with the longer interval.

    New seeds and new rows cannot be more certain than new rows by themselves, but with two or three seeds their
    spread may come out small by chance, and the interval too short.
    """
    if over_all is None:
        return delong
    return max(over_all, delong, key=lambda found: found.high - found.low)


def judge_final(final: Final, draws: int = 2000, seed: int = 0) -> Judgement:
    """The statistics of a final result; draws, seed: of the bootstrap."""
    labels = _squeezed(final.labels)
    described = {entry.name: entry for entry in final.result.entries}
    scores = {name: _squeezed(values) for name, values in final.scores.items()}
    measured = {name: network_aucs(values, labels) for name, values in scores.items()}
    winner = final.result.winner
    order = [winner, *(name for name in final.scores if name != winner)]
    entries = tuple(_judged(described[name], scores[name], labels, measured[name], draws, seed) for name in order)
    against = tuple(
        BaselineDifference(
            winner,
            name,
            _over_seeds(measured[winner], measured[name]),
            difference_of_fixed_networks(measured[winner], measured[name]),
            bootstrap_difference(scores[winner], scores[name], labels, draws, seed),
        )
        for name in order[1:]
        if described[name].is_reference
    )
    return Judgement(entries, against)


def _judged(
    entry: FinalEntry, scores: NDArray[Any], labels: NDArray[Any], measured: NetworkMetrics, draws: int, seed: int
) -> EntryResult:
    thresholds = np.array([network.thresholds for network in entry.networks])
    chosen = np.stack(
        [correct_share(one, labels, _per_label(own, labels)) for one, own in zip(scores, thresholds, strict=True)]
    )
    half = np.stack(
        [correct_share(one, labels, _per_label(np.full_like(thresholds[0], _HALF), labels)) for one in scores]
    )
    several = len(scores) > 1
    return EntryResult(
        name=entry.name,
        is_reference=entry.is_reference,
        aucs=tuple(delong_interval(one, labels) for one in scores),
        mean=measured.mean,
        spread=statistics.stdev(map(float, measured.values)) if several else None,
        over_all=mean_over_seeds_and_samples(measured) if several else None,
        delong=mean_of_fixed_networks(measured),
        bootstrap=bootstrap_interval(scores, labels, draws, seed),
        accuracy=_accuracy(chosen),
        accuracy_at_half=_accuracy(half),
        sensitivity=_accuracy(chosen[:, labels == 1]) if labels.ndim == 1 else None,
        specificity=_accuracy(chosen[:, labels == 0]) if labels.ndim == 1 else None,
        threshold_rows=entry.networks[0].threshold_rows,
        input_size=int(entry.config["input_size"]),
    )


def _accuracy(right: NDArray[np.float64]) -> Estimate:
    measured = network_accuracies(right)
    return mean_over_seeds_and_samples(measured) if len(right) > 1 else mean_of_fixed_networks(measured)


def _over_seeds(first: NetworkMetrics, second: NetworkMetrics) -> Comparison | None:
    return difference_over_seeds_and_samples(first, second) if min(first.values.size, second.values.size) > 1 else None


def _squeezed(values: NDArray[Any]) -> NDArray[Any]:
    """Without the axis of labels where there is one label."""
    return values[..., 0] if values.shape[-1] == 1 else values


def _per_label(thresholds: NDArray[np.float64], labels: NDArray[Any]) -> Any:
    return float(thresholds[0]) if labels.ndim == 1 else thresholds
