"""Retrain the winner and the baselines, read the test set once, and evaluate the result."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hpo.data.development import load_development
from hpo.data.folder import data_folder
from hpo.outcome.final import Final, results_folder
from hpo.outcome.judgement import Judgement, judge_final
from hpo.outcome.networks import Network, Protocol, TrainingSamples, train_networks
from hpo.outcome.opening import open_and_score
from hpo.outcome.winner import choose_entries
from hpo.revision import code_version
from hpo.search.study import Study

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Finalization:
    """The final networks of a study and their evaluation on the test set.

    Attributes:
        networks: in `folder`/models.
        final: None if the test set was left sealed.
        judgement: None if the test set was left sealed.
    """

    folder: Path
    networks: tuple[Network, ...]
    final: Final | None = None
    judgement: Judgement | None = None


def finalize(
    study: Study,
    *,
    seeds: int = 5,
    rows: TrainingSamples = "development",
    trial: int | None = None,
    confirmation: str | None = None,
    train_only: bool = False,
    reopen: str = "",
    results: Path | None = None,
    data_dir: str | None = None,
    device: str = "auto",
    progress: Callable[[str, float], None] = lambda _name, _share: None,
) -> Finalization:
    """Retrain the winner of a search and its baselines, then score every network once on the test set.

    Can be interrupted at any time; a repeated call resumes. The access to the test set is recorded in the database
    before any sample of it is read.

    Args:
        seeds: networks of each configuration.
        rows: what networks are trained on, see `Protocol`.
        trial: number of the trial to take as the winner; None for the winner of the confirmation.
        confirmation: name of the confirmation; None for NAME-confirm.
        train_only: leave the test set sealed.
        reopen: reason for reading a test set again that was already read for other networks.
        results: folder of the result; None for hpo-results/NAME.
        data_dir: folder of the data files; None for $HPO_DATA_DIR, else ~/.medmnist.
        device: auto, cpu, cuda or cuda:N.
        progress: called with a network's name and the fraction of its training that is done.

    Raises:
        UsageError: if there is no winner yet, or the test set was read before and `reopen` is empty.
        DataError, DeviceError, OutputError, StorageError, StudyNotFoundError, TrainingFailure.
    """
    entries = choose_entries(study, trial=trial, confirmation=confirmation)
    folder, data = results_folder(study.name, results, study.former_names), data_folder(data_dir)
    protocol = Protocol(rows, study.spec.budget.epochs, seeds, study.spec.search.seed)
    development = load_development(study.spec.data, data, study.spec.scoring.groups)
    networks = train_networks(entries, protocol, development, folder, device, progress)
    if train_only:
        return Finalization(folder, tuple(networks))
    commit, dirty = code_version()
    version = f"{commit}{' with uncommitted changes' if dirty else ''}"
    final = open_and_score(study, entries, protocol, networks, data, folder, version, reopen, device)
    return Finalization(folder, tuple(networks), final, judge_final(final))
