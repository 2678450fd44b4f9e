"""Tabulate trials: all of them, one of them, or the ranked list."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hpo.cli.render.listing import Listing
from hpo.cli.render.page import whole
from hpo.search.queries.trial_rows import BestTrial, CorrectedBest, Ranking, TrialRow, Value
from hpo.study.config import ConfigValues
from hpo.study.record import TrialRecord
from hpo.text import auc, bounds, duration, memory, setting, with_error
from hpo.training.report import EpochReport

STYLES = {"complete": "green", "failed": "red", "running": "cyan"}


def cells(row: TrialRow) -> tuple[str, ...]:
    """Format a trial's number, state, AUC with standard error, epochs and duration."""
    return (
        str(row.number),
        row.state,
        with_error(row.auc, row.standard_error),
        row.short_extent,
        duration(row.seconds),
    )


def brief(params: ConfigValues) -> str:
    """Format the searched settings on one line: `margin=0.61, optimizer=adam`."""
    return ", ".join(f"{name}={setting(value, 3)}" for name, value in params.items())


def valued(value: Value | None) -> str:
    """Format a value with its interval and trial on one line."""
    if value is None:
        return "no complete trial yet"
    interval = "" if value.low is None else f"  95 % [{auc(value.low)}, {auc(value.high)}]"
    reference = f"  baseline {value.baseline}" if value.reference else ""
    return f"AUC {with_error(value.auc, value.standard_error)}{interval}  trial {value.number}{reference}"


def trials_table(name: str, rows: list[TrialRow]) -> Listing:
    """Tabulate every trial, by number."""
    table = Listing(
        "trial", "state", "AUC", "epochs", "time", "memory", "settings or reason", title=f"trials of {name}"
    )
    for row in rows:
        details = ": ".join(part for part in (row.label, row.reason or brief(row.params)) if part)
        table.add_row(*cells(row), memory(row.peak_memory), details, style=STYLES.get(row.state))
    return table


def record_table(name: str, number: int, record: TrialRecord | None, curve: list[EpochReport]) -> RenderableType:
    """Tabulate one trial: its reports, and everything needed to reproduce it."""
    reports = Table("epoch", "AUC", "folds", "training AUC", "loss", "time", title=f"trial {number} of {name}")
    for point in curve:
        reports.add_row(
            str(point.epoch),
            with_error(point.auc, point.standard_error),
            " ".join(auc(value) for value in point.fold_aucs),
            auc(point.training_auc),
            "-" if point.training_loss is None else f"{point.training_loss:.4f}",
            duration(point.seconds),
        )
    fields = Table("", "", show_header=False, box=None)
    for key, value in ({} if record is None else record.model_dump(mode="json")).items():
        lines = value.items() if isinstance(value, dict) else [("", value)]
        for entry, content in lines:
            fields.add_row(f"{key}.{entry}" if entry else key, str(content))
    return Group(reports, fields)


def ranked_table(name: str, ranking: Ranking) -> RenderableType:
    """Tabulate the ranked complete trials, baselines marked, with a note on the optimism of the first."""
    if not ranking.trials:
        return Text(ranking.note or f"study {name} has no complete trial yet")
    is_smoothed = any(best.smoothed is not None for best in ranking.trials)
    columns = ("rank", "trial", "AUC", "95 % interval", *(("smoothed",) if is_smoothed else ()))
    table = Table(*columns, whole("configuration"), title=f"best of {name}")
    for best in ranking.trials:
        value = best.value
        table.add_row(
            str(best.rank),
            str(value.number),
            with_error(value.auc, value.standard_error),
            "" if value.low is None else f"{auc(value.low)} to {auc(value.high)}",
            *((auc(best.smoothed),) if is_smoothed else ()),
            _configuration(best),
        )
    lines = [Text(ranking.note, style="dim")]
    if ranking.corrected is not None:
        lines.append(Text(corrected_line(ranking.corrected)))
    return Group(table, *lines)


def corrected_line(best: CorrectedBest) -> str:
    """Say what the best trial is worth."""
    apart = f"; {best.missing} complete trials without scores apart" if best.missing else ""
    counted = f"{best.chosen_from}, baselines not counted" if best.differences else str(best.chosen_from)
    return (
        f"Corrected for having been selected as the best of {counted} (bootstrap over samples{apart}): trial "
        f"{best.number} {auc(best.corrected)} {bounds(best.low, best.high)} instead of {auc(best.auc)}."
    )


def _configuration(best: BestTrial) -> Text:
    named = (best.label, "bold") if best.value.reference else best.label or brief(best.params)
    if best.start is not None:
        named = f"{best.label}: {brief(best.params)}"
    marked = " (baseline)" if best.value.reference else ""
    return Text.assemble(named, marked, (f"\n{best.warning}" if best.warning else "", "red"))
