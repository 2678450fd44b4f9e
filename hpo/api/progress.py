"""A bar over the trials of a study: in a notebook its widget, or text where it has none and in a terminal."""

from __future__ import annotations

import sys
import warnings
from typing import Any, ClassVar

from hpo.search.queries.status import read_status
from hpo.search.study import Study
from hpo.search.worker.reporter import ReportedTrial, Reporter, TrialEnd
from hpo.text import auc
from hpo.training.report import EpochReport, NetworkEpoch


class ProgressBar(Reporter):
    """Shows trials that are finished, by all workers, with parts of the one that this worker trains.

    Args:
        study: whose trials are counted.
    """

    # In the caller's thread: a notebook shows what another one prints in whichever cell runs.
    background: ClassVar[bool] = False

    def __init__(self, study: Study) -> None:
        super().__init__()
        self._study = study
        status = read_status(study)
        self._finished = status.finished
        self._bar: Any = _make_bar(study.name, status.finished, status.budget)

    def trial_started(self, trial: ReportedTrial) -> None:
        """Count again what others have finished."""
        status = read_status(self._study)
        self._finished, self._bar.total = status.finished, status.budget
        best = "" if status.best is None else f"best AUC {auc(status.best.auc)}, "
        self._bar.set_postfix_str(f"{best}trial {trial.number}", refresh=False)
        self._show(0.0)

    def epoch_ended(self, trial: ReportedTrial, report: EpochReport | NetworkEpoch) -> None:
        """Show how much of the trial is done."""
        self._show(min(report.epoch / trial.epochs, 1.0))

    def trial_ended(self, trial: ReportedTrial, end: TrialEnd) -> None:  # noqa: ARG002
        """Count the trial, unless another worker goes on with it."""
        self._finished += end.outcome in ("complete", "pruned", "failed")
        self._show(0.0)

    def close(self) -> None:
        """Show the last state, and leave it there."""
        status = read_status(self._study)
        self._finished = status.finished
        self._bar.set_postfix_str("" if status.best is None else f"best AUC {auc(status.best.auc)}", refresh=False)
        self._show(0.0)
        self._bar.close()

    def _show(self, share: float) -> None:
        self._bar.n = min(self._finished + share, self._bar.total)
        self._bar.refresh()


def is_watched() -> bool:
    """Return whether somebody looks at a bar: in a notebook, or a terminal."""
    return in_notebook() or sys.stderr.isatty()


def in_notebook() -> bool:
    """Return whether this is a notebook, as Jupyter, Colab and VS Code have them."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and "IPKernelApp" in shell.config


def _make_bar(name: str, finished: int, total: int) -> Any:
    with warnings.catch_warnings():
        # Without ipywidgets it is text, which needs no advice to install them.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    form = "{desc}: {percentage:3.0f}%|{bar:30}| {n:.1f} of {total} trials [{elapsed}{postfix}]"
    return tqdm(initial=finished, total=total, desc=name, bar_format=form, mininterval=0.2, file=sys.stderr)
