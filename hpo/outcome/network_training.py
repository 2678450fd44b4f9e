"""What a worker does for final networks: train one, and write it where no other worker writes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpo.data.development import Development
from hpo.data.others import Others, others_of
from hpo.errors import OutputError
from hpo.outcome.networks import UNDER_WAY, Entry, Protocol, WantedNetwork, wanted_network
from hpo.search.queries.status import read_status
from hpo.search.study import Study
from hpo.search.worker.trainer import NetworkTrainer, OnDevice, Task, Trainer, make_trainer
from hpo.statistics.threshold import choose_threshold
from hpo.study.plan import FinalTraining, Plan
from hpo.study.record import NetworkRecord, Provenance
from hpo.text import shell
from hpo.training.report import NetworkEpoch

if TYPE_CHECKING:
    from hpo.training.loop.refit import Refit


def trainer_of(
    study: Study,
    data_dir: str | Path | None,
    device: str = "auto",
    checkpoints: Path | None = None,
    sharing: int = 1,
) -> Trainer | NetworkTrainer:
    """Make the trainer of a study, of final networks if its plan is one of these; the data are loaded once.

    Args:
        checkpoints: this study's own folder; None to keep none. Those of final networks are in the results folder.
        sharing: number of workers on the device.

    Raises:
        OutputError: if this host does not reach the results folder of final networks, or cannot write there.
        DataError: if the data cannot be loaded.
        DeviceError: if the device is not available.
    """
    plan = study.spec.plan
    if plan is None or plan.final is None:
        return make_trainer(study.spec, data_dir, device, checkpoints, sharing)
    _check_folder(study, plan.final)

    from hpo.data.development import load_development
    from hpo.data.folder import data_folder
    from hpo.data.others import load_others

    folder = data_folder(None if data_dir is None else str(data_dir))
    development = load_development(study.spec.data, folder, study.spec.scoring.groups)
    others = load_others(study.spec.other_datasets(), folder)
    return _NetworkTrainer(study, plan, plan.final, development, others, device, sharing)


def shared_folder(study: Study, final: FinalTraining) -> Path:
    """Return the folder within the results folder to which the workers of final networks write.

    `hpo finalize` makes it and workers do not: a host that has none does not reach the results folder.
    """
    return Path(final.folder) / UNDER_WAY / study.folder


def _check_folder(study: Study, final: FinalTraining) -> None:
    """Check that this process can write to the results folder, unless nothing is left to train.

    Raises:
        OutputError: if it cannot.
    """
    folder, search = shared_folder(study, final), study.name if study.spec.plan is None else study.spec.plan.search
    try:
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        if read_status(study).is_done:
            return
        raise OutputError(
            f"this worker takes no network of {study.name}: {folder} of the results cannot be written here "
            f"({error.strerror}); start it where the folder of the result is that `hpo finalize {shell(search)}` made"
        ) from None


class _NetworkTrainer(OnDevice):
    def __init__(
        self,
        study: Study,
        plan: Plan,
        final: FinalTraining,
        development: Development,
        others: Others,
        device: str,
        sharing: int,
    ) -> None:
        from hpo.training.machine.failure import TrainingFailure
        from hpo.training.machine.provenance import provenance

        super().__init__(device, sharing)
        self.failure: type[Exception] = TrainingFailure
        self.provenance: Provenance = provenance(device, development.md5, others)
        self._study, self._plan, self._final = study, plan, final
        self._development, self._others = development, others

    @property
    def checkpoints(self) -> str:
        """HOST:FOLDER."""
        return f"{os.uname().nodename}:{shared_folder(self._study, self._final)}"

    def __call__(self, task: Task) -> Iterator[NetworkEpoch]:
        """Train a network, unless the results folder has it, and write it under the fencing token of the task."""
        from hpo.training.loop.checkpoint import Checkpoint
        from hpo.training.loop.model_file import save_model
        from hpo.training.loop.refit import refit
        from hpo.training.machine.failure import memory_failures

        wanted, results = self._wanted(task.slot), Path(self._final.folder)
        if wanted.is_trained(results):
            return

        def progress(share: float) -> None:
            task.control.progress(share)
            if task.control.stop.requested:
                raise _StopRequested

        folder = shared_folder(self._study, self._final)
        checkpoint = Checkpoint(folder, wanted.checkpoint, task.fence, wanted.identity)
        training = refit(
            wanted.config,
            self._development,
            wanted.epochs,
            wanted.seed,
            self._device,
            progress,
            checkpoint,
            self._together(wanted),
        )
        with closing(training):
            try:
                while True:
                    yield NetworkEpoch(next(training), wanted.epochs)
            except _StopRequested:
                return
            except StopIteration as end:
                made: Refit = end.value
        with memory_failures():
            made.model.about.update(self._about(wanted, made))
        save_model(made.model, wanted.path_of(results, self._study.folder, task.fence))

    def kept(self) -> set[int]:
        """Return no trial: a checkpoint goes with the end of its training, and the rest with `hpo finalize`."""
        return set()

    def forget(self, number: int, attempts: Collection[str]) -> None:
        """Do nothing, see `kept`."""

    def _wanted(self, slot: int) -> WantedNetwork:
        """Return the network of a slot of the budget, the same as `hpo finalize` waits for."""
        place, number = self._plan.at(slot)
        one, spec = self._plan.candidates[place], self._study.spec
        entry = Entry(one.name, one.config, one.is_reference, "", self._final.epochs[place])
        protocol = Protocol(self._final.rows, spec.budget.epochs, number + 1, spec.search.seed)
        return wanted_network(entry, place, number, protocol, self._development, self._others)

    def _together(self, wanted: WantedNetwork) -> tuple[Development, ...]:
        """Return the development sets of other datasets that a network trains on besides."""
        return others_of(wanted.config, self._development.dataset, self._others)

    def _about(self, wanted: WantedNetwork, made: Refit) -> dict[str, str]:
        """Return a network's provenance and score thresholds, for its file."""
        from hpo.training.machine.provenance import provenance

        known = {other.dataset.name: other for other in self._together(wanted)}
        made_by = provenance(self._device, self._development.md5, known)
        record = NetworkRecord(provenance=made_by, usage=made.usage)
        return {
            "identity": wanted.identity,
            "entry": wanted.entry,
            "rows": wanted.rows,
            "epochs": str(wanted.epochs),
            "seed": str(wanted.seed),
            "record": json.dumps(record.model_dump(mode="json"), sort_keys=True),
            **_thresholds(made, self._development, self._device),
        }


class _StopRequested(Exception):  # noqa: N818 - the way out of a step, not an error
    """A stop was requested, and the state was saved if possible."""


def _thresholds(made: Refit, development: Development, device: str) -> dict[str, str]:
    """Return Youden's threshold of each label, on the selection set, or without one on the whole development set."""
    used = made.selection if made.selection is not None else np.arange(len(development))
    samples = "selection samples" if made.selection is not None else "development samples, used in training too"
    scores, labels = made.model.scores(development.images[used], device), development.labels[used]
    found = [
        choose_threshold(scores[:, label], labels[:, label]) if 0 < labels[:, label].sum() < len(labels) else 0.5
        for label in range(labels.shape[1])
    ]
    return {"thresholds": json.dumps(found), "threshold_rows": f"{len(used)} {samples}"}
