"""Report on all datasets together: results table, tests over datasets, missing datasets."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hpo.errors import DataError
from hpo.outcome.final import RESULT, Final, load
from hpo.outcome.judgement import BaselineDifference, EntryResult, judge_final
from hpo.outcome.report.document import Block, Document, Listing, Notice, Section, Table, Text
from hpo.statistics.across_datasets import friedman_test, mean_ranks, sign_test, signed_rank_test
from hpo.study.baselines import OWN_EPOCHS, cut_short, shown_name
from hpo.study.catalogue import DATASETS, Dataset
from hpo.study.choices import describe_network
from hpo.study.published import PUBLISHED_NETWORK
from hpo.text import auc, bounds

_PUBLISHED_DECIMALS = 3

_log = logging.getLogger(__name__)


class Row:
    """The final result of one dataset: its winner against each baseline.

    Attributes:
        again: what is known of earlier accesses to the test set, in words; "" if nothing is.
    """

    def __init__(self, dataset: Dataset, final: Final, again: str = "") -> None:
        judgement = judge_final(final)
        self.dataset, self.study, self.again = dataset, final.result.study, again
        self.epochs = judgement.epochs
        self.winner: EntryResult = judgement.entries[0]
        self.baselines: dict[str, EntryResult] = {one.name: one for one in judgement.entries if one.is_reference}
        self.against: dict[str, BaselineDifference] = {one.reference: one for one in judgement.against}

    def shown(self, name: str) -> str:
        """Return the name of a baseline; one that was cut short says so."""
        return shown_name(name, self.epochs.get(name))

    def gap(self, name: str) -> float | None:
        """Return the winner minus a baseline in test AUC; None without it, and where the winner is that baseline."""
        if name not in self.baselines or name == self.winner.name:
            return None
        return self.winner.mean - self.baselines[name].mean


def _tasks() -> list[Dataset]:
    """Return the datasets with published values."""
    return [dataset for dataset in DATASETS if dataset.published_auc is not None]


def gather_rows(root: Path) -> list[Row]:
    """Load the final results below a folder, in catalogue order.

    Results of other data, which have no published values to stand beside, are left out and told.

    Raises:
        DataError: if there is none, one cannot be read, or two are of the same dataset.
    """
    found: dict[str, Row] = {}
    others: list[str] = []
    for folder, final in _results_below(root):
        dataset = next((one for one in _tasks() if one.name == final.result.dataset), None)
        if dataset is None:
            others.append(f"study {final.result.study} ({final.result.dataset})")
            continue
        row = Row(dataset, final, _again(folder, final))
        if dataset.name in found:
            studies = f"{found[dataset.name].study} and {row.study}"
            raise DataError(f"{root} holds two results of {dataset.name}, of {studies}; keep only one there")
        found[dataset.name] = row
    apart = f"the page is of MedMNIST's tasks with published values; left out: {', '.join(others)}"
    if others and not found:
        raise DataError(f"{root} holds no result for it: {apart}. `hpo report STUDY` shows each of them")
    if others:
        _log.info(apart)
    if not found:
        raise DataError(f"{root} holds no final result (*/{RESULT}); run `hpo finalize STUDY`, or give --results")
    return [found[dataset.name] for dataset in _tasks() if dataset.name in found]


def _results_below(root: Path) -> Iterator[tuple[Path, Final]]:
    """Yield the folders below `root` with the final result of a study, by name; further down those of names with a `/`.

    What else lies further down is an earlier result, kept within a later one or apart.
    """
    for path in sorted(root.rglob(f"*/{RESULT}")):
        folder = path.parent
        is_below = folder.parent != root
        try:
            final = load(folder)
        except DataError as error:
            if not is_below:
                raise
            _log.info(f"left out: {error}")
            continue
        assert final is not None, path
        if not is_below or final.result.is_in(folder.relative_to(root)):
            yield folder, final


def _again(folder: Path, final: Final) -> str:
    """Return what a result and the folders below it tell of earlier accesses to its test set."""
    if final.result.reason:
        return f"opened again for this result ({final.result.reason})"
    earlier = [path.parent for path in sorted(folder.glob(f"*/{RESULT}"))]
    found = [one for one in earlier if (kept := load(one)) is not None and kept.result.dataset == final.result.dataset]
    if not found:
        return ""
    return f"opened before this result, for {', '.join(str(one.relative_to(folder.parent)) for one in found)}"


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
        Text(f"{row.dataset.official_name}: {resized}.")
        for row in rows
        if (resized := row.dataset.resized(row.winner.input_size))
    ]
    blocks += [
        Text(
            f"{row.dataset.official_name}: trained is {describe_network(row.winner.network, row.dataset.dimensions)}, "
            "another network than the published one."
        )
        for row in rows
        if row.winner.network != PUBLISHED_NETWORK
    ]
    blocks += [
        Notice(f"The test set of {row.dataset.official_name} was {row.again}; later results are weaker evidence.")
        for row in rows
        if row.again
    ]
    sections = (Section("Results", tuple(blocks)), _differences(rows), _tests(rows, names))
    return Document("hpo: all datasets", f"{len(rows)} of {len(_tasks())} MedMNIST tasks.", sections)


def _line(row: Row, names: Sequence[str]) -> tuple[str, ...]:
    estimate = row.winner.interval
    baselines = (_cell(row, name) for name in names)
    interval = f"[{auc(estimate.low)}, {auc(estimate.high)}]"
    return (row.dataset.official_name, auc(row.dataset.published_auc), *baselines, auc(row.winner.mean), interval)


def _cell(row: Row, name: str) -> str:
    if name not in row.baselines:
        return "-"
    short = cut_short(name, row.epochs.get(name))
    return auc(row.baselines[name].mean) + (f" ({short})" if short else "")


def _differences(rows: Sequence[Row]) -> Section:
    lines = [
        (
            row.dataset.official_name,
            row.shown(name),
            f"{found.difference:+.3f} {bounds(found.low, found.high, signed=True)}",
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
    sentences = [sentence for name in names if (sentence := _against(rows, name))]
    sentences.append(_published(rows))
    blocks: list[Block] = [
        Text(
            "Each dataset counts once, whatever its size (Demsar 2006). The smallest p that a sign test can reach is "
            f"{2 * 0.5 ** len(rows):.2g} with {len(rows)} dataset{'s' if len(rows) > 1 else ''}."
        ),
        Listing(tuple(sentences)),
    ]
    whole = [row for row in rows if all(row.gap(name) is not None for name in names)]
    if len(whole) > 1 and names:
        table = np.array([[row.winner.mean, *(row.baselines[name].mean for name in names)] for row in whole])
        ranks = zip(("winner", *names), mean_ranks(table), strict=True)
        ranking = ", ".join(f"{shown_name(name)} {rank:.2f}" for name, rank in ranks)
        found = friedman_test(table)
        how = "" if found.is_exact else " (approximate, by F)"
        text = f"Mean ranks over {len(whole)} datasets, 1 is best: {ranking}; Friedman test p = {found.p:.2g}{how}."
        blocks.append(Text(text))
    return Section("Over datasets", tuple(blocks))


def _against(rows: Sequence[Row], name: str) -> str:
    """Compare the winners with a baseline over the datasets on which the winner is another configuration."""
    values = [gap for row in rows if (gap := row.gap(name)) is not None]
    own = [row.dataset.official_name for row in rows if row.winner.name == name]
    left_out = f" Left out, since the winner is this baseline: {', '.join(own)}." if own else ""
    short = [row for row in rows if row.gap(name) is not None and cut_short(name, row.epochs.get(name))]
    epochs = ", ".join(sorted({str(row.epochs[name]) for row in short}, key=int))
    if short:
        left_out += (
            f" It was cut short on {len(short)} of {len(values)} ({epochs} of its {OWN_EPOCHS[name]} epochs), so this "
            "says nothing about it at its own length."
        )
    if not values:
        return left_out and f"Winner against {shown_name(name)}: no dataset to compare.{left_out}"
    differences = np.array(values)
    signs, ranks = sign_test(differences), signed_rank_test(differences)
    return (
        f"Winner against {shown_name(name)}: {signs.wins} better, {signs.losses} worse, {signs.ties} equal; mean "
        f"difference {differences.mean():+.3f}; sign test p = {signs.p:.2g}, signed-rank test p = {ranks.p:.2g}."
        f"{left_out}"
    )


def _published(rows: Sequence[Row]) -> str:
    """Place the winners beside the published values, without a test: those are means without a spread."""
    known = [(row, row.dataset.published_auc) for row in rows if row.dataset.published_auc is not None]
    gaps = [round(round(row.winner.mean, _PUBLISHED_DECIMALS) - value, _PUBLISHED_DECIMALS) for row, value in known]
    above, below = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
    within = sum(row.winner.interval.low <= value <= row.winner.interval.high for row, value in known)
    return (
        f"Winner against the published value: {above} above, {below} below, {len(gaps) - above - below} equal; the "
        f"winner's interval contains it on {within} of {len(gaps)}. Published values are means without a spread, from "
        "another training budget, so there is no test."
    )


def _p_text(p: float) -> str:
    return "-" if p != p else f"{p:.2g}"
