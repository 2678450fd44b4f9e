"""A search with known effects, without a database or training."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from hpo.outcome.final import Final, FinalEntry, FinalNetwork, FinalResult
from hpo.outcome.networks import Protocol
from hpo.outcome.report.search.evidence import SearchEvidence, TrialEvidence
from hpo.search.queries.status import StudyStatus
from hpo.search.queries.trial_rows import TrialRow
from hpo.study.config import ConfigValues, SettingValue, TrainConfig, applies
from hpo.study.files import builtin_study_file, load_spec
from hpo.study.record import Provenance, ResourceUsage, Seeds, TrialRecord
from hpo.study.space import Choices
from hpo.training.report import EpochReport

ADAM_GAIN = 0.2
EPOCHS = 9
RUNG = 5


def search(trials: int = 40, seed: int = 0, noise: float = 0.02) -> SearchEvidence:
    """The breast study: adam gains ADAM_GAIN, each decade of the learning rate from 1e-2 costs .05; a third goes on."""
    spec = load_spec(builtin_study_file("breast"))
    random = np.random.default_rng(seed)
    tried = []
    for number in range(trials):
        drawn = {
            name: entry.choices[random.integers(len(entry.choices))]
            if isinstance(entry, Choices)
            else float(np.exp(random.uniform(np.log(entry.low), np.log(entry.high))))
            if entry.log
            else float(random.uniform(entry.low, entry.high))
            for name, entry in spec.space.items()
        }
        config = TrainConfig(**{name: value for name, value in drawn.items() if applies(name, drawn)}).model_dump()
        reference = ("medmnist-cross-entropy", "libauc-as-it-comes")[number] if number < 2 else None
        gain = ADAM_GAIN * (config["optimizer"] == "adam")
        level = 0.6 + gain - 0.05 * abs(math.log10(config["learning_rate"]) + 2) + noise * random.normal()
        state = "complete" if number % 3 == 0 or reference else "pruned"
        tried.append(trial(number, state, level, config, reference))
    return of(tried, spec)


def trial(
    number: int, state: str, level: float, config: ConfigValues | None = None, reference: str | None = None
) -> TrialEvidence:
    """A trial that stands at `level` at the rung and gains .01 an epoch after it."""
    epochs = EPOCHS if state == "complete" else RUNG
    curve = [
        EpochReport(epoch, level + 0.01 * (epoch - RUNG), 0.02, (level, level), level + 0.05, 0.4, 2.0)
        for epoch in range(1, epochs + 1)
    ]
    row = TrialRow(
        number, state, curve[-1].auc, 0.02, epochs, {}, reference, None, "w", 2.0 * epochs, 10.0 * number, 10.0 * number
    )
    record = TrialRecord(
        config=config or TrainConfig().model_dump(),
        params={},
        seeds=Seeds(study_seed=0, trial_seed=number),
        provenance=Provenance(
            code_version="0123456789abcdef", environment={"device name": "AMD EPYC"}, data_md5="d41d8"
        ),
        usage=ResourceUsage(seconds=row.seconds, peak_memory=2**30),
    )
    return TrialEvidence(row, curve, record)


def of(trials: list[TrialEvidence], spec: object = None) -> SearchEvidence:
    """A search of these trials."""
    spec = spec or load_spec(builtin_study_file("breast"))
    states = [one.row.state for one in trials]
    status = StudyStatus(
        "breast", "breast", 200, len(trials), states.count("complete"), states.count("pruned"), states.count("failed"),
        [], 0, None, [], None, None, [], [],
    )  # fmt: skip
    lasts = [one.curve[-1].epoch for one in trials if one.curve and one.row.state != "failed"]
    return SearchEvidence("breast", spec, status, trials, min(lasts, default=0))


def final(gain: float = 1.0, seeds: int = 4, rows: int = 300, labels: int = 1, winner: str = "trial 7") -> Final:
    """A final result on a simulated test set: positives score `gain` higher by the winner, 1 by the baseline."""
    random = np.random.default_rng(0)
    truth = (random.random((rows, labels)) < 0.3).astype(np.uint8)
    shared = random.normal(size=(rows, labels))
    heights = {winner: gain, "medmnist-cross-entropy": 1.0}
    scores = {
        name: 1 / (1 + np.exp(-(height * truth + shared + 0.3 * random.normal(size=(seeds, rows, labels)))))
        for name, height in heights.items()
    }
    network = FinalNetwork(file="x", thresholds=(0.6,) * labels, threshold_rows="78 selection samples")
    result = FinalResult(
        study="breast",
        dataset="breast",
        winner=winner,
        protocol=Protocol("development", epochs=30, seeds=seeds, study_seed=0),
        entries=tuple(
            FinalEntry(
                name=name,
                is_reference=name != winner,
                chosen="by the rule of the study file",
                config=TrainConfig().model_dump(),
                networks=(network,) * seeds,
            )
            for name in heights
        ),
        ledger_row=1,
        code_version="abc1234",
        time=1.0,
    )
    return Final(result, {name: values.astype(np.float32) for name, values in scores.items()}, truth)


def with_positives(final: Final, count: int) -> Final:
    """The same scores, but each label has only so many positives, on samples of its own."""
    labels = np.zeros_like(final.labels)
    for label in range(labels.shape[1]):
        labels[label * count : (label + 1) * count, label] = 1
    return dataclasses.replace(final, labels=labels)


def changed(final: Final, **values: object) -> Final:
    """The same with other values of its `FinalResult`."""
    return dataclasses.replace(final, result=final.result.model_copy(update=values))


def with_another_baseline(final: Final) -> Final:
    """The same with LibAUC's defaults, which rank by chance."""
    name = "libauc-as-it-comes"
    entry = final.result.entry("medmnist-cross-entropy").model_copy(update={"name": name})
    like = final.scores["medmnist-cross-entropy"]
    scores = np.random.default_rng(1).random(like.shape).astype(np.float32)
    more = changed(final, entries=(*final.result.entries, entry))
    return dataclasses.replace(more, scores=final.scores | {name: scores})


def with_another_family(final: Final, gain: float = 1.0, loss: str = "cross_entropy") -> Final:
    """The same with a tuned configuration of that loss, whose positives score `gain` higher on a scale of its own."""
    name = "trial 9"
    winner = final.result.winner
    entry = final.result.entry(winner).model_copy(update={"name": name, "config": TrainConfig(loss=loss).model_dump()})
    own = np.random.default_rng(2).normal(size=final.scores[winner].shape)
    scores = (gain * final.labels + own).astype(np.float32)
    more = changed(final, entries=(*final.result.entries, entry))
    return dataclasses.replace(more, scores=final.scores | {name: scores})


def shrunk(final: Final, input_size: int) -> Final:
    """The same with images of that size."""
    return reconfigured(final, input_size=input_size)


def reconfigured(final: Final, **values: SettingValue) -> Final:
    """The same with other values of settings in every configuration."""
    entries = (one.model_copy(update={"config": one.config | values}) for one in final.result.entries)
    return changed(final, entries=tuple(entries))
