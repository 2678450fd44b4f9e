"""Whether a smaller input ranks configurations as the full one does, and what it costs.

    python benchmarks/fidelity.py --data-dir DIR --out runs.jsonl [--sizes 14 28] [--configurations 8] [--threads 1]
    python benchmarks/fidelity.py --out runs.jsonl --report

Configurations are drawn from the space of the study; `--batch-size` and resplit = none hold for all of them, since few
rows are trained on. Each trains at each size on the same official training rows, stratified, and is scored after its
last epoch on the same other development rows: all validation rows, and training rows that nobody trains on. At the
smallest size it is trained with two seeds: what these agree on is the most that another size could agree on.

Each finished run is a line of the file; runs that are in it are not done again, and a stop at any time leaves whole
pairs, for the sizes of one configuration follow each other. The figures: cost per size, rank correlation of each size
with the largest and of the two seeds, with bootstrap intervals over configurations, and what is lost at full size by
the configuration that is best at the small one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.drawing import draw
from hpo.data.development import Development, load_development
from hpo.data.folder import data_folder
from hpo.data.folds import Fold
from hpo.data.stratify import stratified_split
from hpo.revision import code_version
from hpo.study.config import TrainConfig
from hpo.study.files import builtin_study_file, load_spec
from hpo.training.inputs.device_dataset import make_device_dataset
from hpo.training.loop.fold import Run, complete
from hpo.training.loop.trial import TrainingFailure
from hpo.training.machine.device import choose_device, choose_machine, describe_device, set_up_process

Floats = NDArray[np.float64]

CHANCE = 0.5
RESAMPLES = 2000


@dataclass(frozen=True)
class Protocol:
    """What all runs of a file share. draw_seed: of configurations and rows."""

    dataset: str
    rows: int
    scoring_rows: int
    epochs: int
    batch_size: int
    draw_seed: int


@dataclass(frozen=True, order=True)
class Cell:
    """One run: number of the configuration, edge of the input, seed of the training."""

    configuration: int
    size: int
    seed: int


def cells(configurations: int, sizes: list[int]) -> Iterator[Cell]:
    """All runs, configuration by configuration, the cheap ones first, the smallest size with two seeds."""
    for number in range(configurations):
        for size in sorted(sizes):
            yield Cell(number, size, 0)
        yield Cell(number, min(sizes), 1)


def configurations(protocol: Protocol, count: int) -> list[TrainConfig]:
    """The first `count` of an endless list: a longer one begins with a shorter one."""
    spec = load_spec(builtin_study_file(protocol.dataset))
    random = np.random.default_rng(protocol.draw_seed)
    changes = {"batch_size": protocol.batch_size, "resplit": "none"}
    return [draw(spec, random).model_copy(update=changes) for _ in range(count)]


def make_fold(development: Development, protocol: Protocol) -> Fold:
    """Stratified training samples out of the official ones; validation: the official ones, filled up with others."""
    random = np.random.default_rng(protocol.draw_seed)
    training = np.flatnonzero(~development.is_validation)
    validation = np.flatnonzero(development.is_validation)
    filling = max(0, protocol.scoring_rows - validation.size)
    if protocol.rows + filling > training.size:
        wanted = f"{protocol.rows} rows to train on and {filling} to score on"
        raise SystemExit(f"{wanted}, but {development.dataset.name} has {training.size}; give fewer")
    shares = np.array([protocol.rows, filling, training.size - protocol.rows - filling]) / training.size
    fit, extra, _ = stratified_split(development.labels[training], list(shares), random)
    return Fold(training[fit], np.sort(np.concatenate([validation, training[extra]])))


def train(config: TrainConfig, development: Development, fold: Fold, protocol: Protocol, seed: int) -> dict[str, Any]:
    """Trains one configuration and scores it once, at the end; one that diverges counts as chance."""
    machine = choose_machine(choose_device("auto"), development.dataset.dimensions, config.precision)
    resident = make_device_dataset(development, config.input_size, machine.device)
    run = Run(config, development, resident, fold.training, protocol.epochs, seed, machine)
    start = scored = time.perf_counter()
    auc, error, failure = CHANCE, float("nan"), ""
    try:
        for epoch in run.remaining_epochs():
            for batch in run.batches(epoch):
                run.step(batch)
            if epoch < protocol.epochs - 1:
                run.finish(epoch)
        scored = time.perf_counter()
        report = complete(run.score(protocol.epochs - 1, fold.validation))
        auc, error = report.auc, report.standard_error
    except TrainingFailure as fault:
        failure = str(fault)
    end = time.perf_counter()
    return {
        "auc": auc,
        "standard_error": error,
        "failure": failure,
        "training_seconds": round(scored - start, 3),
        "scoring_seconds": round(end - scored, 3),
        "samples_per_second": round(run.steps_done * min(config.batch_size, len(fold.training)) / (scored - start), 3),
    }


def read(path: Path, protocol: Protocol | None) -> list[dict[str, Any]]:
    """The lines of a file; those of one protocol, or of the first line's where none is given."""
    if not path.exists():
        return []
    lines = [line for text in path.read_text().splitlines() if (line := _parsed(text)) is not None]
    wanted = dataclasses.asdict(protocol) if protocol else (lines[0]["protocol"] if lines else None)
    return [line for line in lines if line["protocol"] == wanted]


def _parsed(text: str) -> dict[str, Any] | None:
    """None for a line that was cut when its writer was killed."""
    try:
        line: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError:
        return None
    return line


def write(path: Path, line: dict[str, Any]) -> None:
    """Appends a line, below one that was cut, if need be."""
    cut = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a") as file:
        file.write("\n" * cut + json.dumps(line) + "\n")


def work(protocol: Protocol, todo: list[Cell], data_dir: str | None, out: Path, threads: int | None) -> None:
    """Does what is not in the file yet, and writes each run down as it ends."""
    set_up_process(threads)
    # Without groups, as when the committed figures were measured.
    dataset = load_spec(builtin_study_file(protocol.dataset)).data
    development = load_development(dataset, data_folder(data_dir), "none")
    fold = make_fold(development, protocol)
    drawn = configurations(protocol, 1 + max(cell.configuration for cell in todo))
    done = {Cell(*(line["cell"])) for line in read(out, protocol)}
    shared = {"protocol": dataclasses.asdict(protocol), "device": describe_device("auto"), "code": code_version()}
    for cell in todo:
        if cell in done:
            continue
        config = drawn[cell.configuration].model_copy(update={"input_size": cell.size})
        result = train(config, development, fold, protocol, cell.seed)
        write(out, {"cell": dataclasses.astuple(cell), **result, "config": config.active(), **shared})
        print(
            f"configuration {cell.configuration}, size {cell.size}, seed {cell.seed}: {json.dumps(result)}", flush=True
        )


def agreement(some: Floats, others: Floats) -> dict[str, Any]:
    """Spearman's and Kendall's rank correlation of paired AUCs, with 95 % bootstrap intervals over pairs."""
    draws = np.random.default_rng(0).integers(len(some), size=(RESAMPLES, len(some)))
    found: dict[str, Any] = {"configurations": len(some)}
    for name, correlation in (("spearman", spearman), ("kendall", kendall)):
        found[name] = float(correlation(some, others))
        edges = np.nanquantile(correlation(some[draws], others[draws]), [0.025, 0.975])
        found[f"{name}_95"] = [round(float(edge), 3) for edge in edges]
    return found


def spearman(some: Floats, others: Floats) -> Floats:
    """Correlation of ranks along the last axis, ties at their mean rank; nan where all are equal."""
    ranks = [rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2 for values in (some, others)]
    return _cosine(*ranks, axes=(-1,))


def kendall(some: Floats, others: Floats) -> Floats:
    """Kendall's tau-b along the last axis; nan where all are equal."""
    orders = [np.sign(values[..., :, None] - values[..., None, :]) for values in (some, others)]
    return _cosine(*orders, axes=(-2, -1))


def _cosine(some: Floats, others: Floats, axes: tuple[int, ...]) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray((some * others).sum(axes) / np.sqrt((some**2).sum(axes) * (others**2).sum(axes)))


def figures(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Costs and agreements out of the finished runs."""
    aucs = {Cell(*line["cell"]): float(line["auc"]) for line in lines}
    sizes = sorted({cell.size for cell in aucs})
    small, full = sizes[0], sizes[-1]
    found: dict[str, Any] = {"protocol": lines[0]["protocol"], "device": lines[0]["device"], "sizes": {}}
    for size in sizes:
        chosen = [line for line in lines if line["cell"][1] == size]
        found["sizes"][size] = {
            "runs": len(chosen),
            "failed": sum(bool(line["failure"]) for line in chosen),
            "training_samples_per_second": float(np.median([line["samples_per_second"] for line in chosen])),
            "seconds_per_run": float(
                np.median([line["training_seconds"] + line["scoring_seconds"] for line in chosen])
            ),
            "auc_lowest_median_highest": [
                round(float(q), 3) for q in np.quantile([x["auc"] for x in chosen], [0, 0.5, 1])
            ],
        }
    pairs = {f"{size} and {full}": ((size, 0), (full, 0)) for size in sizes[:-1]}
    pairs[f"two seeds at {small}"] = ((small, 0), (small, 1))
    found["agreement"] = {
        name: agreement(*matched) for name, (a, b) in pairs.items() if len((matched := match(aucs, a, b))[0]) > 2
    }
    cheap, dear = match(aucs, (small, 0), (full, 0))
    if full != small and len(cheap):
        found["lost_at_full_size_by_the_best_at_the_small"] = float(dear.max() - dear[cheap.argmax()])
        found["lost_at_full_size_by_a_random_one"] = float(dear.max() - dear.mean())
    return found


def match(aucs: dict[Cell, float], first: tuple[int, int], second: tuple[int, int]) -> tuple[Floats, Floats]:
    """AUCs of the configurations that have both runs; each is (size, seed)."""
    numbers = sorted({cell.configuration for cell in aucs})
    both = [(aucs.get(Cell(number, *first)), aucs.get(Cell(number, *second))) for number in numbers]
    whole = np.array([pair for pair in both if None not in pair], dtype=np.float64).reshape(-1, 2)
    return whole[:, 0], whole[:, 1]


def main() -> None:
    """Parses, trains what is missing, prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="adrenal3d")
    parser.add_argument("--data-dir")
    parser.add_argument("--sizes", nargs="+", type=int, default=[14, 28])
    parser.add_argument("--configurations", type=int, default=8)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--scoring-rows", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--draw-seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, required=True, help="one JSON line for each finished run")
    parser.add_argument("--report", action="store_true", help="only print the figures of --out")
    given = parser.parse_args()
    protocol = Protocol(given.dataset, given.rows, given.scoring_rows, given.epochs, given.batch_size, given.draw_seed)
    if not given.report:
        work(protocol, list(cells(given.configurations, given.sizes)), given.data_dir, given.out, given.threads)
    lines = read(given.out, None if given.report else protocol)
    if not lines:
        raise SystemExit(f"{given.out} holds no finished run")
    print(json.dumps(figures(lines), indent=2))


if __name__ == "__main__":
    main()
