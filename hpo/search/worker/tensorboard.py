"""The reporter `tensorboard`: event files for TensorBoard, a folder for each trial."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

from hpo.errors import OutputError, UsageError
from hpo.files import expanded, fitting, why_unwritable
from hpo.search.worker.reporter import ReportedTrial, Reporter, TrialEnd
from hpo.text import installing
from hpo.training.report import EpochReport, NetworkEpoch

_FLUSH_SECONDS = 5


class TensorBoard(Reporter):
    """Writes DIR/STUDY/trial-NUMBER: validation AUC, training AUC, loss by epoch, and the searched settings.

    Settings are a table with the AUC in TensorBoard's page HParams. A resumed trial goes on in its folder.

    By tensorboardX, which needs numpy and protobuf alone; that of PyTorch needs the whole of TensorBoard, a web server
    with gRPC, on every worker.

    Args:
        target: DIR.
    """

    def __init__(self, target: str = "") -> None:
        super().__init__(target)
        self._folder = expanded(target)
        self._writer: Any = None

    @classmethod
    def check(cls, target: str) -> None:
        """Raise UsageError if DIR is not given or tensorboardX not installed, OutputError if DIR cannot be written."""
        if not target:
            raise UsageError("reporter tensorboard needs a folder: --tensorboard DIR")
        if problem := why_unwritable(expanded(target)):
            raise OutputError(f"--tensorboard {target} cannot be written: {problem}; give another folder")
        if importlib.util.find_spec("tensorboardX") is None:
            raise UsageError(f"--tensorboard needs the package tensorboardX: {installing('tensorboard')}")

    def trial_started(self, trial: ReportedTrial) -> None:
        """Open the event file of this attempt."""
        from tensorboardX import SummaryWriter

        self._close()
        folder = self._folder / _as_name(trial.study) / f"trial-{trial.number:04}"
        self._writer = SummaryWriter(logdir=str(folder), flush_secs=_FLUSH_SECONDS)
        about = [f"{trial.study}, trial {trial.number}", *([trial.label] if trial.label else []), f"by {trial.worker}"]
        self._writer.add_text("trial", ", ".join(about), 0)
        self._write_settings(trial)

    def epoch_ended(self, trial: ReportedTrial, report: EpochReport | NetworkEpoch) -> None:  # noqa: ARG002
        """Write the numbers of one epoch."""
        for name, value in report.scalars().items():
            self._writer.add_scalar(name, value, report.epoch)

    def trial_ended(self, trial: ReportedTrial, end: TrialEnd) -> None:  # noqa: ARG002
        """Write the outcome, and close the file."""
        epoch = 0 if end.report is None else end.report.epoch
        self._writer.add_text("outcome", f"{end.outcome} {end.reason}".strip(), epoch)
        self._close()

    def close(self) -> None:
        """Close a file that is open."""
        self._close()

    def _write_settings(self, trial: ReportedTrial) -> None:
        from tensorboardX.summary import hparams

        # Not add_hparams, which makes one more run for each trial; so the metric is the curve `auc` of this one.
        for summary in hparams(dict(trial.params), {"auc": 0.0}):
            self._writer.file_writer.add_summary(summary)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _as_name(study: str) -> str:
    """Return the name of a study as that of a folder; two studies may share one, and then have trials side by side."""
    return fitting(re.sub(r"[^\w.-]+", "-", study).lstrip(".") or "study")
