"""Report on all datasets together: results table, tests over datasets, missing datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpo.errors import DataError
from hpo.outcome.final import RESULT, Final, load
from hpo.outcome.judgement import BaselineDifference, EntryResult, judge_final
from hpo.outcome.report.document import Block, Document, Listing, Notice, Section, Table, Text
from hpo.statistics.across_datasets import friedman_test, mean_ranks, sign_test, signed_rank_test
from hpo.study.baselines import shown_name
from hpo.study.catalogue import DATASETS, Dataset
from hpo.text import auc

_PUBLISHED_DECIMALS = 3


class Row:
    """The final result of one dataset: its winner against each baseline."""

    def __init__(self, dataset: Dataset, final: Final) -> None:
        judgement = judge_final(final)
        self.dataset, self.study = dataset, final.result.study
        self.winner: EntryResult = judgement.entries[0]
        self.baselines: dict[str, EntryResult] = {one.name: one for one in judgement.entries if one.is_reference}
        self.against: dict[str, BaselineDifference] = {one.reference: one for one in judgement.against}


def _tasks() -> list[Dataset]:
    """Return the datasets with published values."""
    return [dataset for dataset in DATASETS if dataset.published_auc is not None]


def gather_rows(root: Path) -> list[Row]:
    """Load the final results below a folder, in catalogue order.

    Raises:
        DataError: if there is none, one cannot be read, or two are of the same dataset.
    """
    found: dict[str, Row] = {}
    for path in sorted(root.glob(f"*/{RESULT}")):
        final = load(path.parent)
        assert final is not None, path
        dataset = next((one for one in _tasks() if one.name == final.result.dataset), None)
        if dataset is None:
            continue
        row = Row(dataset, final)
        if dataset.name in found:
            studies = f"{found[dataset.name].study} and {row.study}"
            raise DataError(f"{root} holds two results of {dataset.name}, of {studies}; keep only one there")
        found[dataset.name] = row
    if not found:
        raise DataError(f"{root} holds no final result (*/{RESULT}); run `hpo finalize STUDY`, or give --results")
    return [found[dataset.name] for dataset in _tasks() if dataset.name in found]


def overview(rows: Sequence[Row]) -> Document:
    """Build the page over all datasets that have a result."""
    names = list(dict.fromkeys(name for row in rows for name in row.baselines))
    missing = [dataset.official_name for dataset in _tasks() if dataset not in [row.dataset for row in rows]]
    header = ("dataset", "published", *map(shown_name, names), "winner", "winner, 95 % interval")
    blocks: list[Block] = [Table(header, tuple(_line(row, names) for row in rows))]
    if missing:
        coverage = f"Missing: {', '.join(missing)}. This page covers {len(rows)} of {len(_tasks())} datasets."
        blocks.append(Notice(coverage))
    blocks.append(
        Text(
            "Test AUC, mean over networks. Intervals are over seeds and test samples, or over test samples alone "
            "if longer. Published: ResNet-18 (28) or ResNet-18 + 3D, Yang et al. 2023, reported without a spread."
        )
    )
    blocks += [
        Text(f"{row.dataset.official_name}: {shrunk}.")
        for row in rows
        if (shrunk := row.dataset.shrunk(row.winner.input_size))
    ]
    sections = (Section("Results", tuple(blocks)), _differences(rows), _tests(rows, names))
    return Document("hpo: all datasets", f"{len(rows)} of {len(_tasks())} MedMNIST tasks.", sections)


def _line(row: Row, names: Sequence[str]) -> tuple[str, ...]:
    estimate = row.winner.interval
    baselines = (auc(row.baselines[name].mean) if name in row.baselines else "-" for name in names)
    interval = f"[{auc(estimate.low)}, {auc(estimate.high)}]"
    return (row.dataset.official_name, auc(row.dataset.published_auc), *baselines, auc(row.winner.mean), interval)


def _differences(rows: Sequence[Row]) -> Section:
    lines = [
        (
            row.dataset.official_name,
            shown_name(name),
            f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]",
            _p_text(found.p),
        )
        for row in rows
        for name, one in row.against.items()
        for found in (one.decisive,)
    ]
    header = ("dataset", "winner minus", "difference, 95 % interval", "p")
    body: Block = Table(header, tuple(lines)) if lines else Text("Every winner is the only baseline.")
    return Section("Against the baselines", (body,))


def _tests(rows: Sequence[Row], names: Sequence[str]) -> Section:
    gaps = {
        name: [row.winner.mean - row.baselines[name].mean for row in rows if name in row.baselines] for name in names
    }
    gaps["the published value"] = [
        round(round(row.winner.mean, _PUBLISHED_DECIMALS) - row.dataset.published_auc, _PUBLISHED_DECIMALS)
        for row in rows
        if row.dataset.published_auc is not None
    ]
    sentences = [_over_datasets(shown_name(name), values) for name, values in gaps.items() if values]
    blocks: list[Block] = [
        Text(
            "Each dataset counts once, whatever its size (Demsar 2006). The smallest p that a sign test can reach is "
            f"{2 * 0.5 ** len(rows):.2g} with {len(rows)} dataset{'s' if len(rows) > 1 else ''}."
        ),
        Listing(tuple(sentences)),
    ]
    whole = [row for row in rows if all(name in row.baselines for name in names)]
    if len(whole) > 1 and names:
        table = np.array([[row.winner.mean, *(row.baselines[name].mean for name in names)] for row in whole])
        ranks = zip(("winner", *names), mean_ranks(table), strict=True)
        ranking = ", ".join(f"{shown_name(name)} {rank:.2f}" for name, rank in ranks)
        p = friedman_test(table).p
        blocks.append(Text(f"Mean ranks over {len(whole)} datasets, 1 is best: {ranking}; Friedman test p = {p:.2g}."))
    return Section("Over datasets", tuple(blocks))


def _over_datasets(name: str, values: Sequence[float]) -> str:
    differences = np.array(values)
    signs, ranks = sign_test(differences), signed_rank_test(differences)
    return (
        f"Winner against {name}: {signs.wins} better, {signs.losses} worse, {signs.ties} equal; mean difference "
        f"{differences.mean():+.3f}; sign test p = {signs.p:.2g}, signed-rank test p = {ranks.p:.2g}."
    )


def _p_text(p: float) -> str:
    return "-" if p != p else f"{p:.2g}"
