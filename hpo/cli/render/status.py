"""Render a study's status: a panel, a live view, or lines without a terminal."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo.cli.render.page import messages
from hpo.cli.render.trials import STYLES, brief, cells, valued
from hpo.cli.render.workers import MOST_ROWS, WorkersAndJobs, next_share, read_workers_and_jobs, workers_view
from hpo.launch.jobs import JobWatch
from hpo.search.queries.status import RunningTrial, StudyStatus, read_status
from hpo.search.queries.trial_rows import TrialRow
from hpo.search.queries.trials import read_trials
from hpo.search.study import Study
from hpo.text import duration, with_error

PLAIN_SECONDS = 30.0
"""Seconds between status lines, without a terminal, while no trial finishes."""

RECENT = 6

_HINT = "Ctrl-C stops cleanly; the same command resumes"


def render_status(
    status: StudyStatus, recent: list[TrialRow], state: WorkersAndJobs, hint: str = "", most: int | None = None
) -> RenderableType:
    """Render the status: progress, pace, best with its interval, baselines, workers, jobs, latest trials.

    most: running trials to list, None for all.
    """
    best = [] if status.of_networks else ["", _best_so_far(status)]
    parts = [_progress(status), *_foreign(status), *best, "", workers_view(status, state, most)]
    return Panel(
        Group(*parts, "", _latest(recent)),
        title=Text.assemble("study ", (status.name, "bold")),
        subtitle=Text(hint) if hint else None,
    )


def _progress(status: StudyStatus) -> RenderableType:
    parts: list[str | Text] = [
        Text.assemble((str(status.finished), "bold"), f" of {status.budget} {_unit(status)}"),
    ]
    if not status.of_networks:
        parts.append(f"pruned {_share(status.pruned, status.finished)}")
    if status.failed:
        parts.append(Text(f"failed {status.failed}", style="red"))
    if status.trials_per_hour:
        parts.append(f"{status.trials_per_hour:.1f} {_unit(status)}/h")
    if status.seconds_left:
        parts.append(f"{duration(status.seconds_left)} left")
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        ProgressBar(total=status.budget, completed=status.finished, width=36),
        Text("  ").join(Text(part) if isinstance(part, str) else part for part in parts),
    )
    return grid


def _unit(status: StudyStatus) -> str:
    return "networks" if status.of_networks else "trials"


def _foreign(status: StudyStatus) -> list[RenderableType]:
    if not status.foreign:
        return []
    numbers = ", ".join(map(str, status.foreign[:10])) + (", ..." if len(status.foreign) > 10 else "")
    return [Text(f"{len(status.foreign)} trials added by other programs, not counted: {numbers}", style="yellow")]


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.0f} %)" if whole else "0"


def _best_so_far(status: StudyStatus) -> RenderableType:
    lines = [Text.assemble(("best  ", "bold"), valued(status.best))]
    lines += [Text.assemble(("      ", ""), valued(value)) for value in status.references if value != status.best]
    return Group(*lines)


def _latest(rows: list[TrialRow]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for title, width in (("latest", 6), ("", 8), ("AUC", 11), ("epochs", 6), ("time", 7)):
        table.add_column(title, min_width=width, no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        table.add_row(*cells(row), row.label or brief(row.params), style=STYLES.get(row.state))
    return table


class LiveView:
    """A status panel on a terminal, redrawn at each look."""

    def __init__(self, study: Study, console: Console, hint: str) -> None:
        self._study, self._hint, self._jobs = study, hint, JobWatch()
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def look(self) -> None:
        """Read the study and redraw the panel."""
        view = read_view(self._study, self._jobs)
        self._live.update(render_status(*view, self._hint, MOST_ROWS), refresh=True)


class PlainView:
    """Status without a terminal: a line for each trial that ends, and one from time to time.

    at_once: whether the first look prints one.
    """

    def __init__(self, study: Study, console: Console, *, at_once: bool = False) -> None:
        self._study, self._console = study, console
        self._reported: set[int] | None = None
        self._last = -math.inf if at_once else time.monotonic()

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        return

    def look(self) -> None:
        """Read the study and print what is new."""
        rows = [row for row in read_trials(self._study) if row.ended is not None]
        if self._reported is None:
            self._reported = {row.number for row in rows}
        new = [row for row in rows if row.number not in self._reported]
        if not new and time.monotonic() - self._last < PLAIN_SECONDS:
            return
        self._reported |= {row.number for row in new}
        self._last = time.monotonic()
        for row in new:
            self._say(ended_line(row))
        status = read_status(self._study)
        for running in status.running:
            self._say(running_line(running, of_networks=status.of_networks))
        pace = f", {status.trials_per_hour:.1f} {_unit(status)}/h" if status.trials_per_hour else ""
        left = f", left {duration(status.seconds_left)}" if status.seconds_left else ""
        best = "" if status.of_networks else f", best {valued(status.best)}"
        self._say(f"{status.finished} of {status.budget} {_unit(status)}{best}{pace}{left}")

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


def ended_line(row: TrialRow) -> str:
    """Say how a trial ended."""
    if row.network is None:
        value = f", AUC {with_error(row.auc, row.standard_error)}"
        return f"trial {row.number} {row.state} after {row.extent}{value}, {duration(row.seconds)}"
    if row.state == "complete" and not row.epochs:
        return f"trial {row.number} ({row.label}) was there already"
    return f"trial {row.number} ({row.label}) {row.state} after {row.extent}, {duration(row.seconds)}"


def running_line(running: RunningTrial, *, of_networks: bool) -> str:
    """Say how far a trial is."""
    value = "" if of_networks else f", AUC {with_error(running.auc, running.standard_error)}"
    more = next_share(running)
    share = f" and {more} of the next" if more else ""
    return f"trial {running.number} runs: epoch {running.epoch} of {running.epochs}{share}{value}"


def view_of(study: Study, console: Console, hint: str) -> LiveView | PlainView:
    """Return a view for who watches a study: a live one on a terminal, else lines, the first of them at once."""
    return LiveView(study, console, hint) if console.is_terminal else PlainView(study, console, at_once=True)


@contextmanager
def watching(study: Study) -> Iterator[Callable[[], None]]:
    """Show a study's status on stderr while it runs; yields a function that updates it.

    A live view on a terminal, else lines.
    """
    console = messages()
    # Not retried: whoever looks every second sees it at the next look, and a look must not hold up the workers.
    study = dataclasses.replace(study, database=study.database.within(0.0))
    view = LiveView(study, console, hint=_HINT) if sys.stderr.isatty() else PlainView(study, console)
    with view:
        yield view.look


def read_view(study: Study, watch: JobWatch | None = None) -> tuple[StudyStatus, list[TrialRow], WorkersAndJobs]:
    """Read what `render_status` needs; `watch` polls the backends, without it each is asked once."""
    ended = [row for row in read_trials(study) if row.ended is not None]
    recent = sorted(ended, key=lambda row: -(row.ended or 0.0))[:RECENT]
    return read_status(study), recent, read_workers_and_jobs(study, watch)
