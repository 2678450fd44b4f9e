"""What people look at: the live view, and tables of trials and of the best."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo.cli.crew import MOST_ROWS, Crew, read_crew, render_crew
from hpo.errors import OutputError
from hpo.text import auc, duration, memory, with_error

if TYPE_CHECKING:
    from hpo.launch.backends.slurm.queue import QueueWatch
    from hpo.search.queries.status import StudyStatus
    from hpo.search.queries.trials import Ranking, TrialRow, Value
    from hpo.search.study import Study
    from hpo.training.report import EpochReport

PLAIN_SECONDS = 30.0
"""Where no terminal is, how often a line says how the study stands while no trial finishes."""

RECENT = 6


def render_status(
    status: StudyStatus, recent: list[TrialRow], crew: Crew, hint: str = "", most: int | None = None
) -> RenderableType:
    """The study at a glance: progress, pace, best with its interval, references, workers, jobs, latest trials.

    most: running trials to list, None for all.
    """
    return Panel(
        Group(_progress(status), "", _standing(status), "", render_crew(status, crew, most), "", _latest(recent)),
        title=f"study [bold]{status.name}[/]",
        subtitle=hint or None,
    )


def _progress(status: StudyStatus) -> RenderableType:
    told = [f"[bold]{status.finished}[/] of {status.budget} trials", f"pruned {_share(status.pruned, status.finished)}"]
    if status.failed:
        told.append(f"[red]failed {status.failed}[/]")
    if status.trials_per_hour:
        told.append(f"{status.trials_per_hour:.1f} trials/h")
    if status.seconds_left:
        told.append(f"{duration(status.seconds_left)} left")
    grid = Table.grid(padding=(0, 2))
    grid.add_row(ProgressBar(total=status.budget, completed=status.finished, width=36), "  ".join(told))
    return grid


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.0f} %)" if whole else "0"


def _standing(status: StudyStatus) -> RenderableType:
    lines = [Text.assemble(("best  ", "bold"), _valued(status.best))]
    lines += [Text.assemble(("      ", ""), _valued(value)) for value in status.references if value != status.best]
    return Group(*lines)


def _valued(value: Value | None) -> str:
    if value is None:
        return "no complete trial yet"
    interval = "" if value.low is None else f"  95 % [{auc(value.low)}, {auc(value.high)}]"
    reference = f"  reference {value.reference}" if value.reference else ""
    return f"AUC {with_error(value.auc, value.standard_error)}{interval}  trial {value.number}{reference}"


def _latest(rows: list[TrialRow]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for title, width in (("latest", 6), ("", 8), ("AUC", 11), ("epochs", 6), ("time", 7)):
        table.add_column(title, min_width=width, no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        table.add_row(*_cells(row), row.label or _brief(row.params), style=_STYLES.get(row.state))
    return table


_STYLES = {"complete": "green", "failed": "red", "running": "cyan"}


def _cells(row: TrialRow) -> tuple[str, ...]:
    return (
        str(row.number),
        row.state,
        with_error(row.auc, row.standard_error),
        str(row.epochs),
        duration(row.seconds),
    )


def _brief(params: dict[str, Any]) -> str:
    parts = (f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in params.items())
    return ", ".join(parts)


def page() -> Console:
    """Standard output; where it is no terminal, wide enough that a program or a pager loses nothing."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=200)


def draw(what: RenderableType, path: Path, title: str) -> None:
    """Draws what a terminal would show into an SVG file; raises OutputError if it cannot be written."""
    console = Console(record=True, width=116, file=io.StringIO(), force_terminal=True)
    console.print(what)
    try:
        path.write_text(console.export_svg(title=title), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None


def trials_table(name: str, rows: list[TrialRow]) -> Table:
    """Every trial, by number."""
    table = Table("trial", "state", "AUC", "epochs", "time", "memory", "settings or reason", title=f"trials of {name}")
    for row in rows:
        told = ": ".join(part for part in (row.label, row.reason or _brief(row.params)) if part)
        table.add_row(*_cells(row), memory(row.peak_memory), told, style=_STYLES.get(row.state))
    return table


def record_table(name: str, number: int, record: dict[str, Any], curve: list[EpochReport]) -> RenderableType:
    """One trial: its reports, and everything that it takes to run it again."""
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
    told = Table("", "", show_header=False, box=None)
    for key, value in record.items():
        lines = value.items() if isinstance(value, dict) else [("", value)]
        for entry, content in lines:
            told.add_row(f"{key}.{entry}" if entry else key, str(content))
    return Group(reports, told)


def ranked_table(name: str, ranking: Ranking) -> RenderableType:
    """The ranked list of complete trials, references marked, and how far its first value is to be believed."""
    table = Table("rank", "trial", "AUC", "95 % interval", "configuration", title=f"best of {name}")
    for best in ranking.trials:
        value = best.value
        table.add_row(
            str(best.rank),
            str(value.number),
            with_error(value.auc, value.standard_error),
            "" if value.low is None else f"{auc(value.low)} to {auc(value.high)}",
            (f"[bold]{best.label}[/] (reference)" if value.reference else best.label or _brief(best.params))
            + (f"\n[red]{best.warning}[/]" if best.warning else ""),
        )
    return Group(table, Text(ranking.note, style="dim"))


class LiveView:
    """The status of a study, drawn anew on a terminal at each look."""

    def __init__(self, study: Study, console: Console, hint: str) -> None:
        from hpo.launch.backends.slurm.queue import QueueWatch

        self._study, self._hint, self._queue = study, hint, QueueWatch()
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def look(self) -> None:
        """Reads the study and draws it."""
        view = read_view(self._study, self._queue)
        self._live.update(render_status(*view, self._hint, MOST_ROWS), refresh=True)


class PlainView:
    """The same without a terminal: a line for each trial that ends, and one now and then."""

    def __init__(self, study: Study, console: Console) -> None:
        self._study, self._console = study, console
        self._told: set[int] | None = None
        self._last = time.monotonic()

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        return

    def look(self) -> None:
        """Reads the study and tells what is new."""
        from hpo.search.queries.status import read_status
        from hpo.search.queries.trials import read_trials

        rows = [row for row in read_trials(self._study) if row.ended is not None]
        if self._told is None:
            self._told = {row.number for row in rows}
        new = [row for row in rows if row.number not in self._told]
        if not new and time.monotonic() - self._last < PLAIN_SECONDS:
            return
        self._told |= {row.number for row in new}
        self._last = time.monotonic()
        for row in new:
            value = with_error(row.auc, row.standard_error)
            self._say(f"trial {row.number} {row.state} after {row.epochs} epochs, AUC {value}, {duration(row.seconds)}")
        status = read_status(self._study)
        for running in status.running:
            value = with_error(running.auc, running.standard_error)
            self._say(f"trial {running.number} runs: epoch {running.epoch} of {running.epochs}, AUC {value}")
        pace = f", {status.trials_per_hour:.1f} trials/h" if status.trials_per_hour else ""
        left = f", left {duration(status.seconds_left)}" if status.seconds_left else ""
        self._say(f"{status.finished} of {status.budget} trials, best {_valued(status.best)}{pace}{left}")

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


def read_view(study: Study, watch: QueueWatch | None = None) -> tuple[StudyStatus, list[TrialRow], Crew]:
    """What `render_status` draws; `watch` asks Slurm now and then, without it Slurm is asked once."""
    from hpo.search.queries.status import read_status
    from hpo.search.queries.trials import read_trials

    ended = [row for row in read_trials(study) if row.ended is not None]
    recent = sorted(ended, key=lambda row: -(row.ended or 0.0))[:RECENT]
    return read_status(study), recent, read_crew(study, watch)
