"""Hours of every shipped study on a device: search, confirmation and final networks, predicted from measured epochs.

    python benchmarks/study_hours.py measure --device cuda --data-dir DIR --out docs/results/hours/NAME.json
    python benchmarks/study_hours.py table docs/results/hours/*.json        the table of docs/cost.md

`measure` trains one network of each kind, BreastMNIST and AdrenalMNIST3D in three folds with batches of 32: on a GPU
whole epochs of one process, on a CPU a few steps of one thread, scaled to an epoch. A device's file may say how much
several processes gain (`gain`). Everything else is arithmetic on the study files: samples trained, plus a third for
each that is scored, since a forward pass is about a third of a step; rungs that promote what the pruner aims at; in the
confirmation every candidate and baseline to the end, which racing shortens; five final networks of the winner, of the
best of the other loss family, and of both baselines for 100 epochs. Whoever needs more than a factor of two asks
`hpo launch`, which measures the study's own steps.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.launch.estimate import confirmation_trials, trained_share
from hpo.revision import code_version
from hpo.study.baselines import OWN_EPOCHS
from hpo.study.catalogue import Dataset, find_dataset
from hpo.study.files import builtin_study_file, load_spec
from hpo.study.published import PUBLISHED_NETWORK
from hpo.study.spec import StudySpec

MEASURED = {2: "breast", 3: "adrenal3d"}
FOLDS = 3
EPOCHS = 6
STUDIES = ("breast", "pneumonia", "chest", "nodule3d", "adrenal3d", "vessel3d", "synapse3d")
SCORED = 1 / 3
"""Cost of a scored sample beside one that is trained on."""

NETWORKS = 5
FINAL_BASELINES = 2
OTHER_FAMILIES = 1


@dataclass(frozen=True)
class Hours:
    """Predicted hours of a study's three stages, one process or one core alone."""

    search: float
    confirmation: float
    final: float

    @property
    def whole(self) -> float:
        """Return their sum."""
        return self.search + self.confirmation + self.final


def epoch_cost(dataset: Dataset, rows: str, folds: int, share: float) -> float:
    """Return the cost of an epoch over all folds of a trial, in samples trained.

    Args:
        rows: as `[scoring] rows`.
        folds: with kfold.
        share: of the development set in the validation part, with holdout and reshuffled.
    """
    trained: float
    scored: float
    if rows == "official":
        trained, scored = dataset.rows[0], dataset.rows[1]
    elif rows == "kfold":
        trained, scored = dataset.development_rows * (folds - 1), dataset.development_rows
    else:
        trained, scored = dataset.development_rows * (1 - share), dataset.development_rows * share
    return trained + SCORED * scored


def hours(spec: StudySpec, samples_per_second: float) -> Hours:
    """Return the hours of a study at a rate of samples trained."""
    scoring = spec.scoring
    epoch = epoch_cost(spec.data, scoring.rows, scoring.fold_count, scoring.share) / samples_per_second / 3600
    trial = epoch * spec.budget.epochs
    final_epochs = (1 + OTHER_FAMILIES) * spec.budget.epochs + FINAL_BASELINES * max(OWN_EPOCHS.values())
    whole_set = spec.data.development_rows / samples_per_second / 3600
    return Hours(
        search=trial * spec.budget.trials * trained_share(spec),
        confirmation=trial * confirmation_trials(spec),
        final=whole_set * final_epochs * NETWORKS,
    )


def rates(found: dict[str, Any]) -> dict[int, float]:
    """Return samples trained per second in 2D and 3D by a file of `measure`."""
    costs = {size: epoch_cost(find_dataset(name), "kfold", FOLDS, 0) for size, name in MEASURED.items()}
    return {size: costs[size] / found["epoch_seconds"][name] for size, name in MEASURED.items()}


def measure(device: str, data_dir: str | None, network: str = PUBLISHED_NETWORK) -> dict[str, Any]:
    """Return the seconds of an epoch of a network, of each kind, on this machine."""
    from hpo.data.development import load_development
    from hpo.data.folder import data_folder
    from hpo.data.folds import scoring_folds
    from hpo.study.config import TrainConfig
    from hpo.training.loop.trial import train_trial
    from hpo.training.machine.device import choose_device, describe_device, set_up_process
    from hpo.training.probe.step_time import seconds_per_epoch

    set_up_process()
    chosen = choose_device(device)
    config = TrainConfig(optimizer="adam", learning_rate=3e-4, batch_size=32, network=network)
    found: dict[str, float] = {}
    for name in MEASURED.values():
        spec = load_spec(builtin_study_file(name))
        development = load_development(spec.data, data_folder(data_dir))
        folds = scoring_folds(development, spec.scoring.model_copy(update={"folds": FOLDS}), 0)
        if chosen.type == "cpu":
            found[name] = seconds_per_epoch(config, development, folds, device)
            continue
        seconds, since = [], time.perf_counter()
        for _ in train_trial(config, development, folds, EPOCHS, 0, device):
            now = time.perf_counter()
            seconds.append(now - since)
            since = now
        found[name] = statistics.median(seconds[2:])
    about = {"device": describe_device(chosen), "network": network, "code": code_version()}
    return about | {"epoch_seconds": found, "gain": 1.0}


def table(files: list[Path]) -> str:
    """Return the Markdown table of all studies, a column for the hours of each device and its stages."""
    devices = [(path.stem, json.loads(path.read_text())) for path in files]
    names = [column_name(found, on_cpu="cpu" in stem) for stem, found in devices]
    lines = ["| study | trials, epochs, folds | " + " | ".join(names) + " |", "|---|---|" + "---:|" * len(names)]
    for study in STUDIES:
        spec = load_spec(builtin_study_file(study))
        cells = []
        for _, found in devices:
            each = hours(spec, rates(found)[spec.data.dimensions] * found["gain"])
            cells.append(f"{_said(each.search)} + {_said(each.confirmation)} + {_said(each.final)}")
        about = f"{spec.budget.trials}, {spec.budget.epochs}, {spec.scoring.fold_count}"
        lines.append(f"| {study} | {about} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def column_name(found: dict[str, Any], *, on_cpu: bool) -> str:
    """Return the head of a column: the device, on a CPU its number format, and another network than the fixed one."""
    network = found.get("network", PUBLISHED_NETWORK)
    parts = [found["device"]["name"], found["device"]["precision"] if on_cpu else "", "one core" if on_cpu else ""]
    return ", ".join([part for part in parts if part] + ([network] if network != PUBLISHED_NETWORK else []))


def _said(number: float) -> str:
    return f"{number:.2g}" if number < 10 else f"{number:,.0f}"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    measuring = kinds.add_parser("measure")
    measuring.add_argument("--device", default="auto")
    measuring.add_argument("--data-dir")
    measuring.add_argument("--network", default=PUBLISHED_NETWORK)
    measuring.add_argument("--out", type=Path, required=True)
    showing = kinds.add_parser("table")
    showing.add_argument("files", type=Path, nargs="+")
    given = parser.parse_args()
    if given.kind == "table":
        print(table(given.files))
    else:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(measure(given.device, given.data_dir, given.network), indent=1) + "\n")


if __name__ == "__main__":
    main()
