"""Regret, ranks and their intervals from the runs of the benchmark of search methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hpo.statistics.intervals import CONFIDENCE, simultaneous_confidence

SHARES = (0.2, 0.35, 0.5, 0.75)
"""Shares of the budget at which the incumbent is judged, beside the end."""

_BOOTSTRAPS = 10_000
_NOTHING = 0.5
"""AUC of a search that has not trained a whole trial yet."""

Run = Mapping[str, Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """Regret of every method on the same tasks and seeds.

    Attributes:
        units: task and seed of each column.
        regret: of each method, (units,), in thousandths of AUC, at the end.
        anytime: of each method, (shares, units), likewise at SHARES of the budget.
        trials: mean number of trials of each method.
        seconds: mean processor time of a search, the training of its networks included.
    """

    units: list[tuple[str, int]]
    regret: dict[str, Floats]
    anytime: dict[str, Floats]
    trials: dict[str, float]
    seconds: dict[str, float]


def evaluate(runs: Sequence[Run]) -> Evaluation:
    """Compute regrets on the tasks and seeds that every method has run.

    The regret of a configuration is what its true AUC lacks to the best known one of its task. That one is the best of
    all configurations that any method chose at any time, found by half of the deals of the samples and measured by the
    other half, so that it is not itself the lucky one.
    """
    by_method: dict[str, dict[tuple[str, int], Run]] = {}
    for run in runs:
        by_method.setdefault(run["method"], {})[run["task"], run["seed"]] = run
    units = sorted(set.intersection(*(set(found) for found in by_method.values())))
    best = {task: _best([run for run in runs if run["task"] == task]) for task, _ in units}

    def regret(method: str, share: float | None) -> Floats:
        values = []
        for unit in units:
            run = by_method[method][unit]
            aucs = run["chosen"] if share is None else run["incumbents"][str(share)]
            values.append(1000 * (best[unit[0]] - (_NOTHING if aucs is None else float(np.mean(aucs)))))
        return np.array(values)

    return Evaluation(
        units,
        {method: regret(method, None) for method in by_method},
        {method: np.array([regret(method, share) for share in SHARES]) for method in by_method},
        {method: float(np.mean([found[unit]["trials"] for unit in units])) for method, found in by_method.items()},
        {method: float(np.mean([found[unit]["seconds"] for unit in units])) for method, found in by_method.items()},
    )


def _best(runs: Sequence[Run]) -> float:
    known = [aucs for run in runs for aucs in (*run["incumbents"].values(), run["chosen"]) if aucs is not None]
    aucs = np.array(known)
    half = aucs.shape[1] // 2
    first, second = aucs[:, :half].mean(1), aucs[:, half:].mean(1)
    return float((second[first.argmax()] + first[second.argmax()]) / 2)


def mean_with_interval(values: Floats, seed: int = 0, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Return the mean over units with its bootstrap interval."""
    drawn = np.random.default_rng(seed).integers(len(values), size=(_BOOTSTRAPS, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(values.mean()), float(low), float(high)


def table(evaluation: Evaluation, reference: str) -> str:
    """Return a Markdown table: regret, difference to `reference` on the same units, mean rank, all with intervals.

    The difference has two: by itself, and as one of all differences that hold together (Sidak).
    """
    methods = sorted(evaluation.regret, key=lambda method: evaluation.regret[method].mean())
    ranks = rankdata(np.array([evaluation.regret[method] for method in methods]), axis=0)
    tasks = sorted({task for task, _ in evaluation.units})
    lines = [
        f"{len(evaluation.units)} searches a method; regret in thousandths of AUC, 95 % bootstrap intervals",
        "",
        f"| method | regret | more than {reference} | all together | mean rank | "
        + f"at {', '.join(map(str, SHARES))} of the budget | "
        + " | ".join(tasks)
        + " | trials | CPU s |",
        "|---" * (8 + len(tasks)) + "|",
    ]
    for method, rank in zip(methods, ranks, strict=True):
        regret = evaluation.regret[method]
        is_other = method != reference
        cells = [
            method,
            _interval(mean_with_interval(regret)),
            *(_differences(regret - evaluation.regret[reference], len(methods) - 1) if is_other else ("", "")),
            _interval(mean_with_interval(rank)),
            ", ".join(f"{value:.1f}" for value in evaluation.anytime[method].mean(1)),
            *(f"{regret[[unit[0] == task for unit in evaluation.units]].mean():.1f}" for task in tasks),
            f"{evaluation.trials[method]:.0f}",
            f"{evaluation.seconds[method]:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _differences(values: Floats, count: int) -> tuple[str, str]:
    together = mean_with_interval(values, confidence=simultaneous_confidence(count))
    return _interval(mean_with_interval(values), "+"), _interval(together, "+")


def _interval(values: tuple[float, float, float], sign: str = "") -> str:
    mean, low, high = (f"{value:{sign}.1f}" for value in values)
    return f"{mean} [{low}, {high}]"


def draw_regret(evaluation: Evaluation, path: Path) -> None:
    """Draw mean regret over the budget."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for method, anytime in sorted(evaluation.anytime.items(), key=lambda item: evaluation.regret[item[0]].mean()):
        values = [*anytime.mean(1), evaluation.regret[method].mean()]
        axes.plot([*SHARES, 1.0], values, marker="o", label=method, linewidth=2.5 if method == "hpo" else 1.2)
    axes.set_yscale("log")
    axes.set_xlabel("share of the budget")
    axes.set_ylabel("regret of the best trial so far\n(thousandths of AUC, mean)")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)
