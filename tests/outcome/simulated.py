"""A search with known effects, without a database or training."""

from __future__ import annotations

import math

import numpy as np

from hpo.outcome.final import Final
from hpo.outcome.report.search.evidence import Searched, Tried
from hpo.search.queries.status import StudyStatus
from hpo.search.queries.trials import TrialRow
from hpo.study.config import TrainConfig, applies
from hpo.study.files import builtin_study_file, load_spec
from hpo.study.space import Choices
from hpo.training.report import EpochReport

ADAM_GAIN = 0.2
EPOCHS = 9
RUNG = 5


def search(trials: int = 40, seed: int = 0, noise: float = 0.02) -> Searched:
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
    number: int, state: str, level: float, config: dict[str, object] | None = None, reference: str | None = None
) -> Tried:
    """A trial that stands at `level` at the rung and gains .01 an epoch after it."""
    epochs = EPOCHS if state == "complete" else RUNG
    curve = [
        EpochReport(epoch, level + 0.01 * (epoch - RUNG), 0.02, (level, level), level + 0.05, 0.4, 2.0)
        for epoch in range(1, epochs + 1)
    ]
    row = TrialRow(
        number, state, curve[-1].auc, 0.02, epochs, {}, reference, None, "w", 2.0 * epochs, 10.0 * number, 10.0 * number
    )
    record = {
        "code_version": "0123456789abcdef",
        "dirty": False,
        "data_md5": "d41d8",
        "peak_memory": 2**30,
        "seconds": row.seconds,
    }
    return Tried(
        row, config or TrainConfig().model_dump(), curve, record | {"environment": {"device name": "AMD EPYC"}}
    )


def of(trials: list[Tried], spec: object = None) -> Searched:
    """A search of these trials."""
    spec = spec or load_spec(builtin_study_file("breast"))
    states = [one.row.state for one in trials]
    status = StudyStatus(
        "breast", "breast", 200, len(trials), states.count("complete"), states.count("pruned"), states.count("failed"),
        [], 0, None, [], None, None, [],
    )  # fmt: skip
    lasts = [one.curve[-1].epoch for one in trials if one.curve and one.row.state != "failed"]
    return Searched("breast", spec, status, trials, min(lasts, default=0))


def final(gain: float = 1.0, seeds: int = 4, rows: int = 300, labels: int = 1, winner: str = "trial 7") -> Final:
    """A final result on simulated test rows: positives score `gain` higher by the winner, 1 by the reference."""
    random = np.random.default_rng(0)
    truth = (random.random((rows, labels)) < 0.3).astype(np.uint8)
    shared = random.normal(size=(rows, labels))
    heights = {winner: gain, "medmnist-cross-entropy": 1.0}
    scores = {
        name: 1 / (1 + np.exp(-(height * truth + shared + 0.3 * random.normal(size=(seeds, rows, labels)))))
        for name, height in heights.items()
    }
    entries = [
        {
            "name": name,
            "is_reference": name != winner,
            "chosen": "by the rule of the study file",
            "config": TrainConfig().model_dump(),
            "networks": [
                {"file": "x", "thresholds": [0.6] * labels, "threshold_rows": "78 selection rows"} for _ in range(seeds)
            ],
        }
        for name in heights
    ]
    protocol = {"rows": "development", "epochs": 30, "seeds": seeds, "study_seed": 0}
    about = {"study": "breast", "dataset": "breast", "winner": winner, "protocol": protocol, "entries": entries}
    return Final(about, {name: values.astype(np.float32) for name, values in scores.items()}, truth)
