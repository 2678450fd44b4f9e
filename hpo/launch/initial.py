"""Write a first study file for a dataset: folds by its number of samples, a budget by the speed of this machine."""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpo.data.development import Development
from hpo.data.groups import members
from hpo.files import read_text
from hpo.launch.estimate import Estimate, least_trials, side_by_side, trained_share
from hpo.launch.probe import Probe
from hpo.launch.sizing.representative import timed
from hpo.study.catalogue import Dataset
from hpo.study.config import settings
from hpo.study.files import MOST_BYTES, MOST_FOLDED, builtin_study_file, check_spec, suit
from hpo.study.space import TomlTable
from hpo.study.spec import StudySpec
from hpo.text import counted, duration

_MOST_FOLDS = 5

_LEAST_IN_A_FOLD = 2
"""Samples of the rarest class in each fold: with one the best trial cannot be corrected for having been selected."""

_EPOCHS_OF_FEW = 45
"""Least epochs up to `MOST_FOLDED` samples: the shipped file for several labels is for 90,000, and has 16."""

_TRIALS, _ENOUGH_TRIALS, _LEAST_EPOCHS = 200, 40, 15
_RANDOM_SHARE = 1 / 3
"""Largest share of the trials that are drawn at random before the sampler proposes any."""

_SHARE = 0.2
_WIDTH = 110


@dataclass(frozen=True)
class InitialStudy:
    """A study file.

    Attributes:
        text: TOML, with comments.
        reasons: what was chosen and why, a sentence each.
    """

    text: str
    spec: StudySpec
    reasons: tuple[str, ...]


def initial_study(development: Development, hours: float, device: str, cores: int) -> InitialStudy:
    """Return a study file for a dataset, whose study takes at most some hours on this machine, if that is possible.

    Args:
        hours: of the search, with pruning.
        device: auto, cpu, cuda or cuda:N.
        cores: of this machine, for a study on its CPU.

    Raises:
        DataError: if there are too few samples of a class.
        DeviceError.
    """
    table, reasons = suited_table(development)
    spec = check_spec(table, "study file", development.dataset)
    with Probe() as probe:
        gpus = probe.gpus(device) if device != "cpu" else 0
        seconds = probe.epoch_seconds(timed(spec), spec.scoring, development, device)
    where = f"{gpus} GPU{'s' if gpus > 1 else ''}" if gpus else f"{cores} CPU core{'s' if cores > 1 else ''}"
    reasons.append(f"a training step was measured: {duration(seconds)} per epoch over all folds, one by one, {where}")
    reasons += fit_budget(table, development, seconds / spec.scoring.fold_count, gpus, cores, hours)
    spec = check_spec(table, "study file", development.dataset)
    return InitialStudy(_rendered(table, development, reasons), spec, tuple(reasons))


def suited_table(development: Development) -> tuple[TomlTable, list[str]]:
    """Return the shipped study file of the most similar dataset, with folds and batches for this one; and reasons."""
    dataset, count = development.dataset, len(development)
    shipped = builtin_study_file(dataset)
    table = tomllib.loads(read_text(shipped, MOST_BYTES))
    table["dataset"] = dataset.source
    suit(table, dataset)
    reasons = [f"space and start points are those of {shipped.name}, the most similar data set"]
    table["scoring"], reason = _scoring(development)
    reasons.append(reason)
    training = count * (1 - (1 / table["scoring"]["folds"] if "folds" in table["scoring"] else _SHARE))
    if table["scoring"]["rows"] == "official":
        training = float(dataset.rows[0])
    searched = table["space"]["batch_size"]["choices"]
    fitting = [size for size in searched if 2 * size <= training] or [max(2, 2 ** int(np.log2(max(4, training / 4))))]
    if fitting != searched:
        reasons.append(
            f"batches of {', '.join(map(str, fitting))}, at most half of the {training:.0f} training samples"
        )
        table["space"]["batch_size"]["choices"] = fitting
        for start in table.get("start", []):
            start["batch_size"] = min(fitting, key=lambda size: abs(size - start["batch_size"]))
    if count <= MOST_FOLDED:
        table["budget"]["epochs"] = max(_EPOCHS_OF_FEW, table["budget"]["epochs"])
    if development.groups is not None:
        several = [len(group) for group in members(development.groups)]
        what = f"{len(several)} groups, of near-duplicates or of the file"
        reasons.append(f"{sum(several)} samples are in {what}: no fold separates them")
    return table, reasons


def _scoring(development: Development) -> tuple[TomlTable, str]:
    count, dataset = len(development), development.dataset
    positives = development.labels.sum(axis=0, dtype=np.int64)
    rarest = int(np.minimum(positives, count - positives).min())
    if count > MOST_FOLDED and dataset.has_validation:
        return {"rows": "official"}, f"{count:,} samples: scored on the {dataset.rows[1]:,} of val, precise enough"
    if count > MOST_FOLDED:
        return {
            "rows": "holdout",
            "share": _SHARE,
        }, f"{count:,} samples: scored on a share of {_SHARE:g}, precise enough"
    folds = max(2, min(_MOST_FOLDS, rarest // _LEAST_IN_A_FOLD))
    text = f"{count:,} samples, {rarest:,} of the rarest class: {folds} folds, so that every sample is scored once"
    return {"rows": "kfold", "folds": folds}, text


def fit_budget(
    table: TomlTable, development: Development, seconds: float, gpus: int, cores: int, hours: float
) -> list[str]:
    """Set trials and epochs in a study file so that its search takes at most some hours; return why.

    Fewer epochs come before fewer than 40 trials, and one validation part before that.

    Args:
        seconds: of an epoch of one fold.
    """
    full = int(table["budget"]["epochs"])
    lengths = list(dict.fromkeys(max(min(full, _LEAST_EPOCHS), length) for length in (full, full // 2, _LEAST_EPOCHS)))
    ways = [(dict(table["scoring"]), epochs) for epochs in lengths]
    if table["scoring"]["rows"] == "kfold":
        ways.append(({"rows": "holdout", "share": _SHARE}, lengths[-1]))
    for scoring, epochs in ways:
        table["scoring"] = scoring
        table["search"]["first_rung"] = max(1, round(epochs / 9))
        table["budget"] = {"trials": _TRIALS, "epochs": epochs}
        spec = check_spec(table, "study file", development.dataset)
        folds = spec.scoring.fold_count
        together = seconds * folds / (1 if gpus else side_by_side(folds, [cores]))
        estimate = Estimate(together, _TRIALS, epochs, trained_share(spec), max(1, gpus))
        trials = min(_TRIALS, estimate.trials_within(hours))
        if trials >= _ENOUGH_TRIALS:
            break
    fewest = least_trials(spec) + 1
    table["budget"]["trials"] = max(trials, fewest)
    table["search"]["startup_trials"] = min(table["search"]["startup_trials"], max(5, int(trials * _RANDOM_SHARE)))
    takes = duration(estimate.hours / _TRIALS * table["budget"]["trials"] * 3600)
    chosen = f"{counted(table['budget']['trials'], 'trial')} of {counted(epochs, 'epoch')}"
    reasons = [f"{chosen}: about {takes} with pruning, for --hours {hours:g}"]
    if epochs < full:
        reasons.append(f"{counted(epochs, 'epoch')} instead of {full}, so that there is time for more trials")
    if folds == 1 and len(ways) > len(lengths):
        reasons.append("one validation part instead of folds, for the same reason; the confirmation has other ones")
    if trials < fewest:
        reasons.append(f"too slow for --hours {hours:g}: attach workers with a GPU (hpo worker), or give more --hours")
    if not gpus and (epochs < full or trials < fewest):
        reasons.append(
            'network = "resnet18_narrow" in [fixed], a quarter as wide, is far faster on a CPU: for a first look'
        )
    return reasons


_COMMENTS = {
    "scoring": "Which samples validate a trial; groups of near-duplicates and of the file are kept together.",
    "search": "How configurations are drawn, and when poor ones are stopped.",
    "budget": "Trials and epochs: what the search costs.",
    "confirm": "Laid down before the search: how `hpo confirm` finds the winner.",
    "fixed": "Settings that are the same for every trial; all others that are not searched have their defaults.",
}


def _rendered(table: TomlTable, development: Development, reasons: list[str]) -> str:
    dataset = development.dataset
    lines = [
        f"# {dataset.official_name}: {_form(dataset)}.",
        "# Written by `hpo init`. Change what you like: docs/study-files.md has every key, `hpo check` finds errors.",
        *(line for reason in reasons for line in _wrapped(f"- {reason}")),
        f"dataset = {_value(table['dataset'])}",
    ]
    for section in ("scoring", "search", "budget", "confirm", "fixed"):
        if section in table:
            lines += ["", *_wrapped(_COMMENTS[section]), f"[{section}]", *_entries(table[section])]
    if "input_size" not in table.get("fixed", {}) and dataset.size > dataset.edge(28):
        lines += [
            "# Images are shrunk to 28; at their own size a step costs "
            f"{(dataset.size / 28) ** dataset.dimensions:.0f} times as much:",
            f"# input_size = {dataset.size}",
        ]
    for name, entry in table["space"].items():
        # The first sentence, or up to its source.
        description = re.split(r"\.(?= )|(?: \(|: \w in )?\w+ et al", " ".join(settings()[name].description.split()))[0]
        lines += ["", *_wrapped(f"{description.rstrip('.')}."), f"[space.{name}]", *_entries(entry)]
    for start in table.get("start", []):
        lines += ["", "# A configuration that was good elsewhere, tried first.", "[[start]]", *_entries(start)]
    return "\n".join(lines) + "\n"


def _form(dataset: Dataset) -> str:
    kind = "volumes" if dataset.dimensions == 3 else "RGB images" if dataset.channels == 3 else "grey images"
    edges = " x ".join([str(dataset.size)] * dataset.dimensions)
    labels = "1 label" if dataset.labels == 1 else f"{dataset.labels} labels"
    train, val, test = (f"{rows:,}" for rows in dataset.rows)
    return f"{kind} of {edges}, {labels}; {train} train, {val} val, {test} test samples"


def _entries(values: TomlTable) -> Iterator[str]:
    return (f"{key} = {_value(value)}" for key, value in values.items())


def _value(value: object) -> str:
    """Return a value as TOML; JSON's texts, numbers, truth values and lists are TOML's."""
    return json.dumps(value, ensure_ascii=False)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="#   " if text.startswith("-") else "# ")
