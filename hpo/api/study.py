"""`Study`: what the interface returns, with the tables and figures that layers above `hpo.search` make."""

from __future__ import annotations

import dataclasses
from html import escape
from typing import TYPE_CHECKING, Self

from hpo.errors import HpoError
from hpo.search import study as search
from hpo.text import auc, bounds, visible

if TYPE_CHECKING:
    from pandas import DataFrame

    from hpo.outcome.report.drawing import ReportFigure
    from hpo.search.queries.status import StudyStatus
    from hpo.search.queries.trial_rows import Ranking


class Study(search.Study):
    """An open study, which a notebook shows as a table.

    Figures are those of the report, drawn from what the database has at that moment. Each is a Matplotlib `Figure` that
    a notebook shows by itself; `figure.savefig("history.pdf")` stores it, `figure.axes` are its panels. Where there are
    too few trials for one, it is a `UsageError` that says so.

    Example:
        >>> import hpo
        >>> study = hpo.create_study("digits", storage="sqlite:///example.sqlite3", name="shown")
        >>> _ = hpo.run_worker(study, limit=2)
        >>> study.plot_history().axes[0].get_xlabel()
        'trial'
    """

    @classmethod
    def of(cls, found: search.Study) -> Self:
        """Return this study of an open one."""
        return cls(**{field.name: getattr(found, field.name) for field in dataclasses.fields(found)})

    def best(self, count: int = 10) -> Ranking:
        """Return the best complete trials, as `hpo.best`."""
        from hpo.api.results import best

        return best(self, count)

    def trials_dataframe(self) -> DataFrame:
        """Return a pandas table with a row for each trial, as `hpo.trials_dataframe`."""
        from hpo.api.results import trials_dataframe

        return trials_dataframe(self)

    def plot_history(self) -> ReportFigure:
        """Plot each trial's AUC by trial number, the best so far, and the baselines."""
        from hpo.outcome.report import plots

        return plots.history(self)

    def plot_curves(self) -> ReportFigure:
        """Plot every trial's validation AUC by epoch; best trial and baselines with standard errors."""
        from hpo.outcome.report import plots

        return plots.curves(self)

    def plot_importances(self) -> ReportFigure:
        """Plot each setting's share of the variance of AUC, with standard errors."""
        from hpo.outcome.report import plots

        return plots.importances(self)

    def plot_slices(self) -> ReportFigure:
        """Plot AUC at the last epoch that all trials reached against each searched setting, a panel each."""
        from hpo.outcome.report import plots

        return plots.slices(self)

    def plot_choices(self) -> ReportFigure:
        """Plot mean AUC with standard error for each choice of each setting."""
        from hpo.outcome.report import plots

        return plots.choices(self)

    def plot_overfitting(self) -> ReportFigure:
        """Plot training against validation AUC."""
        from hpo.outcome.report import plots

        return plots.overfitting(self)

    def plot_rocs(self) -> ReportFigure:
        """Plot the ROC of best trial and baselines on their validation parts, mean over folds."""
        from hpo.outcome.report import plots

        return plots.rocs(self)

    def plot_trial(self, number: int) -> ReportFigure:
        """Plot one trial's validation and training AUC by epoch, and its ROC once it has ended."""
        from hpo.outcome.report import plots

        return plots.trial(self, number)

    def __repr__(self) -> str:
        """Return its name and its database, without the password."""
        return f"Study({self.name!r}, {str(self.database.address)!r})"

    def _repr_html_(self) -> str:
        from hpo.search.queries.status import read_status

        try:
            rows = _rows(self, read_status(self))
        except HpoError as error:
            # A cell that only shows a study must not end in a traceback.
            rows = [("study", self.name), ("not readable", str(error))]
        cells = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows)
        return f"<table>{cells}</table>"


def _rows(study: Study, status: StudyStatus) -> list[tuple[str, str]]:
    states = {
        "running": len(status.running),
        "complete": status.complete,
        "pruned": status.pruned,
        "failed": status.failed,
        "waiting to be resumed": status.free,
    }
    counts = [f"{count} {state}" for state, count in states.items() if count]
    finished = f"{status.finished} of {status.budget} finished"
    rows = [
        ("study", study.name),
        ("data set", study.spec.dataset),
        ("trials", f"{finished} ({', '.join(counts)})" if counts else finished),
    ]
    best = status.best
    if best is not None:
        name = f"trial {best.number}" + (f", {best.baseline}" if best.baseline else "")
        interval = f" {bounds(best.low, best.high)}" if best.low is not None else ""
        rows.append(("best validation AUC", f"{auc(best.auc)}{interval} ({name}); selected, so too high: see best()"))
    return [*rows, ("database", str(study.database.address))]


def _text(value: str) -> str:
    return escape(visible(value))
