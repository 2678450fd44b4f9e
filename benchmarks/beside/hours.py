"""Device hours of a whole study, from a measured step on this device and the share of epochs that pruning leaves."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drawing import draw
from hpo.data.development import load_development
from hpo.data.folder import data_folder
from hpo.data.folds import scoring_folds
from hpo.launch.estimate import trained_share
from hpo.study.files import builtin_study_file, load_spec
from hpo.training.probe.step_time import seconds_per_epoch


def predict(
    dataset: str, data_dir: str | None, device: str, drawn: int, finished: Path | None, workers: int
) -> dict[str, Any]:
    """Hours of the study shipped for a dataset, one trial at a time on one device.

    drawn: configurations of the study's space whose epochs are measured; a trial costs their mean. finished: a list of
    trials, as of `hpo trials --json`, of which the share of epochs is taken too, beside the pruning rule's own; if they
    are of this study, their seconds divided by the `workers` that shared the device are its measured hours.
    """
    spec = load_spec(builtin_study_file(dataset))
    development = load_development(spec.data, data_folder(data_dir))
    folds = scoring_folds(development, spec.scoring, 0)
    random = np.random.default_rng(0)
    seconds = [seconds_per_epoch(draw(spec, random), development, folds, device) for _ in range(drawn)]
    whole = statistics.mean(seconds) * spec.budget.epochs * spec.budget.trials / 3600
    shares = {"rule": trained_share(spec)}
    measured = None
    if finished is not None:
        trials = _ended(finished)
        shares["finished trials"] = _share_of(trials)
        measured = _measured(trials, workers, spec.budget.trials)
    return {
        "study": dataset,
        "trials": spec.budget.trials,
        "epochs": spec.budget.epochs,
        "folds": len(folds),
        "seconds_per_epoch": [round(value, 3) for value in seconds],
        "hours_without_pruning": whole,
        "share_of_epochs": shares,
        "hours": {name: whole * share for name, share in shares.items()},
        "finished": measured,
    }


def _ended(finished: Path) -> list[dict[str, Any]]:
    trials = [trial for trial in json.loads(finished.read_text()) if trial["state"] in ("complete", "pruned")]
    if not trials:
        raise SystemExit(f"{finished} holds no finished trial; give a list of `hpo trials STUDY --json`")
    return trials


def _share_of(trials: list[dict[str, Any]]) -> float:
    most = max(trial["epochs"] for trial in trials)
    return sum(float(trial["epochs"]) for trial in trials) / (most * len(trials))


def _measured(trials: list[dict[str, Any]], workers: int, wanted: int) -> dict[str, Any]:
    hours = sum(trial["seconds"] for trial in trials) / workers / 3600
    return {
        "trials": len(trials),
        "workers_on_the_device": workers,
        "device_hours": hours,
        "device_hours_of_the_whole_study": hours * wanted / len(trials),
    }
