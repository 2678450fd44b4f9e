"""Render a final result in a terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table

from hpo.cli.render.page import whole
from hpo.outcome.judgement import Judgement
from hpo.statistics.intervals import Estimate
from hpo.text import auc


def judgement_table(study_name: str, judgement: Judgement) -> RenderableType:
    """Tabulate the test AUC of each configuration with its intervals, and of each network."""
    title = f"{study_name}: test set"
    columns = ("test AUC", "seeds and samples", "samples (DeLong)", "accuracy", "networks")
    table = Table(whole("configuration"), *columns, title=title)
    for entry in judgement.entries:
        table.add_row(
            f"{judgement.shown(entry.name)}{' (baseline)' if entry.is_reference else ''}",
            auc(entry.mean) if entry.spread is None else f"{auc(entry.mean)}, spread {auc(entry.spread)}",
            "-" if entry.over_all is None else _interval(entry.over_all),
            _interval(entry.delong),
            f"{auc(entry.accuracy.value)} {_interval(entry.accuracy)}",
            " ".join(auc(one.value) for one in entry.aucs),
        )
    return table


def _interval(estimate: Estimate) -> str:
    return f"[{auc(estimate.low)}, {auc(estimate.high)}]"
