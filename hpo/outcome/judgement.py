"""Evaluate a final result: test AUC and accuracy with intervals, and differences from each baseline."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpo.outcome.families import FamilyComparison, compare_families
from hpo.outcome.final import Final, FinalEntry
from hpo.statistics.bootstrap import bootstrap_difference, bootstrap_interval
from hpo.statistics.delong import delong_interval, difference_of_fixed_networks, mean_of_fixed_networks
from hpo.statistics.intervals import CONFIDENCE, Comparison, Estimate, simultaneous_confidence, simultaneous_p
from hpo.statistics.network_metrics import NetworkMetrics, network_accuracies, network_aucs
from hpo.statistics.obuchowski_rockette import difference_over_seeds_and_samples, mean_over_seeds_and_samples
from hpo.statistics.threshold import correct_share
from hpo.study.baselines import shown_name
from hpo.study.config import TrainConfig, settings
from hpo.study.published import PUBLISHED_NETWORK

_HALF = 0.5

_LEAST_OF_A_CLASS = 2
"""Number of samples of a class from which a share of them has an interval."""

Found = TypeVar("Found", Estimate, Comparison)


@dataclass(frozen=True)
class EntryResult:
    """One entry evaluated on the test set. With several labels, AUC and accuracy are means over labels.

    Attributes:
        aucs: of each network, with DeLong's interval.
        spread: standard deviation over seeds; None for one seed.
        over_all: mean over new seeds and new test samples; None for one seed.
        delong, bootstrap: mean of these fixed networks over new test samples.
        accuracy: at the thresholds chosen on the development set; the interval as `interval`.
        accuracy_at_half: at score .5, as MedMNIST does; otherwise like `accuracy`.
        sensitivity, specificity: accuracy on positive and on negative samples at the chosen thresholds; None for
            several labels, and for fewer than two samples of the class, whose spread is not known.
        input_size: the setting, in pixels or voxels.
        network: the setting.
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
    network: str

    @property
    def interval(self) -> Estimate:
        """Return the estimate that verdicts use, see `less_sure`."""
        return less_sure(self.over_all, self.delong)


@dataclass(frozen=True)
class BaselineDifference:
    """An entry minus a baseline.

    Over new seeds and test samples (None for one seed), and for these fixed networks over new test samples by DeLong
    and by the bootstrap. Intervals hold for all baselines together, and p-values are adjusted for their number.
    """

    entry: str
    reference: str
    over_all: Comparison | None
    delong: Comparison
    bootstrap: Comparison

    @property
    def decisive(self) -> Comparison:
        """Return the comparison that verdicts use, see `less_sure`."""
        return less_sure(self.over_all, self.delong)


@dataclass(frozen=True)
class PartResult:
    """The test AUCs on a part of the test set.

    Attributes:
        samples: of that part.
        aucs: of each entry, the winner first, by name; the mean over its networks with the interval that verdicts use.
        against: the winner minus each baseline, by name; intervals hold for all baselines together.
    """

    samples: int
    aucs: dict[str, Estimate]
    against: dict[str, Comparison]


@dataclass(frozen=True)
class TwinResult:
    """The result with and without the test samples that have a twin in the development set.

    Attributes:
        samples: number of test samples with a twin.
        threshold: correlation from which two images are near-duplicates; None if twins are those of one group only.
        without, alone: without the samples that have a twin, and on these alone; None if a part has fewer than two
            samples of a class, for every label.
    """

    samples: int
    threshold: float | None
    without: PartResult | None
    alone: PartResult | None


@dataclass(frozen=True)
class Judgement:
    """All entries, the winner first, and the winner against each baseline.

    Attributes:
        twins: None if it was not looked for twins.
        epochs: of the networks of each entry.
        families: the best tuned AUCM against the best tuned cross-entropy.
    """

    entries: tuple[EntryResult, ...]
    against: tuple[BaselineDifference, ...]
    twins: TwinResult | None = None
    epochs: dict[str, int] = field(default_factory=dict)
    families: FamilyComparison | None = None

    def shown(self, name: str) -> str:
        """Return the name of an entry as people read it; a baseline that was cut short says so."""
        return shown_name(name, self.epochs.get(name))


def less_sure(over_all: Found | None, delong: Found) -> Found:
    """Return the estimate with the longer interval: over seeds and test samples, if any, or over test samples alone.

    Uncertainty over new seeds and new samples cannot be smaller than over new samples alone, but with two or three
    seeds the estimated spread may by chance be too small, and the interval too short.
    """
    if over_all is None:
        return delong
    return max(over_all, delong, key=lambda found: found.high - found.low)


def judge_final(final: Final, draws: int = 2000, seed: int = 0) -> Judgement:
    """Compute the statistics of a final result.

    Args:
        draws: bootstrap draws.
        seed: of the bootstrap.
    """
    labels = _squeezed(final.labels)
    described = {entry.name: entry for entry in final.result.entries}
    scores = {name: _squeezed(values) for name, values in final.scores.items()}
    measured = {name: network_aucs(values, labels) for name, values in scores.items()}
    winner = final.result.winner
    order = [winner, *(name for name in final.scores if name != winner)]
    entries = tuple(_judged(described[name], scores[name], labels, measured[name], draws, seed) for name in order)
    baselines = [name for name in order[1:] if described[name].is_reference]
    confidence = simultaneous_confidence(len(baselines))
    against = tuple(
        BaselineDifference(
            winner,
            name,
            _adjusted(over_all, len(baselines)) if over_all is not None else None,
            _adjusted(difference_of_fixed_networks(measured[winner], measured[name], confidence), len(baselines)),
            _adjusted(
                bootstrap_difference(scores[winner], scores[name], labels, draws, seed, confidence), len(baselines)
            ),
        )
        for name in baselines
        for over_all in (_over_seeds(measured[winner], measured[name], confidence),)
    )
    ordered = {name: scores[name] for name in order}
    twins = _twin_result(final, ordered, labels, baselines)
    epochs = {name: final.result.epochs(name) for name in order}
    return Judgement(entries, against, twins, epochs, _families(final, order, measured))


def _families(final: Final, order: Sequence[str], measured: dict[str, NetworkMetrics]) -> FamilyComparison:
    """Compare the best of each loss family, which the entries that are no baselines are, on the test set."""
    described = [final.result.entry(name) for name in order]
    tuned = [(str(one.config.get("loss", TrainConfig().loss)), one.name) for one in described if not one.is_reference]

    def difference(first: str, second: str) -> Comparison:
        one, other = measured[first], measured[second]
        return less_sure(_over_seeds(one, other, CONFIDENCE), difference_of_fixed_networks(one, other))

    return compare_families(tuned, difference)


def _twin_result(
    final: Final, scores: dict[str, NDArray[Any]], labels: NDArray[Any], baselines: Sequence[str]
) -> TwinResult | None:
    if (has_twin := final.has_twin) is None:
        return None
    without, alone = (_on_part(scores, labels, baselines, part) for part in (~has_twin, has_twin))
    return TwinResult(int(has_twin.sum()), final.result.twin_threshold, without, alone)


def _on_part(
    scores: dict[str, NDArray[Any]], labels: NDArray[Any], baselines: Sequence[str], part: NDArray[np.bool_]
) -> PartResult | None:
    """Evaluate a part of the test set; the winner is the first of `scores`."""
    chosen = labels[part] if labels.ndim > 1 else labels[part][:, None]
    positives = chosen.sum(axis=0, dtype=np.int64)
    is_enough = np.minimum(positives, len(chosen) - positives) >= _LEAST_OF_A_CLASS
    if not is_enough.any():
        return None
    if labels.ndim > 1:
        scores, labels = {name: values[..., is_enough] for name, values in scores.items()}, labels[:, is_enough]
    measured = {name: network_aucs(values[:, part], labels[part]) for name, values in scores.items()}
    winner, confidence = next(iter(measured.values())), simultaneous_confidence(len(baselines))
    return PartResult(
        len(chosen),
        {name: less_sure(_mean_over_seeds(one), mean_of_fixed_networks(one)) for name, one in measured.items()},
        {
            name: less_sure(
                _over_seeds(winner, measured[name], confidence),
                difference_of_fixed_networks(winner, measured[name], confidence),
            )
            for name in baselines
        },
    )


def _adjusted(found: Comparison, count: int) -> Comparison:
    """Adjust a p-value for so many comparisons; the interval already is."""
    return replace(found, p=simultaneous_p(found.p, count))


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
        over_all=_mean_over_seeds(measured),
        delong=mean_of_fixed_networks(measured),
        bootstrap=bootstrap_interval(scores, labels, draws, seed),
        accuracy=_accuracy(chosen),
        accuracy_at_half=_accuracy(half),
        sensitivity=_rate(chosen, labels, 1),
        specificity=_rate(chosen, labels, 0),
        threshold_rows=entry.networks[0].threshold_rows,
        input_size=int(entry.config.get("input_size", settings()["input_size"].default)),
        network=str(entry.config.get("network", PUBLISHED_NETWORK)),
    )


def _rate(right: NDArray[np.float64], labels: NDArray[Any], of_class: int) -> Estimate | None:
    """Return the accuracy on the samples of a class; None for several labels, and for fewer than two samples."""
    if labels.ndim > 1 or (here := labels == of_class).sum() < _LEAST_OF_A_CLASS:
        return None
    return _accuracy(right[:, here])


def _accuracy(right: NDArray[np.float64]) -> Estimate:
    measured = network_accuracies(right)
    over_all = mean_over_seeds_and_samples(measured) if len(right) > 1 else None
    return less_sure(over_all, mean_of_fixed_networks(measured))


def _mean_over_seeds(measured: NetworkMetrics) -> Estimate | None:
    return mean_over_seeds_and_samples(measured) if measured.values.size > 1 else None


def _over_seeds(first: NetworkMetrics, second: NetworkMetrics, confidence: float = CONFIDENCE) -> Comparison | None:
    several = min(first.values.size, second.values.size) > 1
    return difference_over_seeds_and_samples(first, second, confidence) if several else None


def _squeezed(values: NDArray[Any]) -> NDArray[Any]:
    """Drop the axis of labels if there is one label."""
    return values[..., 0] if values.shape[-1] == 1 else values


def _per_label(thresholds: NDArray[np.float64], labels: NDArray[Any]) -> Any:
    return float(thresholds[0]) if labels.ndim == 1 else thresholds
