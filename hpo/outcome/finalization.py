"""Retrain the winner, the best of other loss families and the baselines, read the test set once, and evaluate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpo.data.development import load_development
from hpo.data.folder import data_folder
from hpo.data.others import load_others
from hpo.outcome.final import Final, results_folder
from hpo.outcome.judgement import Judgement, judge_final
from hpo.outcome.networks import Entry, Network, Protocol, TrainingSamples, train_networks
from hpo.outcome.opening import open_and_score
from hpo.outcome.winner import choose_entries
from hpo.revision import code_version
from hpo.search.study import Study
from hpo.study.baselines import shown_name
from hpo.study.co_training import datasets_of
from hpo.text import auc

_log = logging.getLogger(__name__)

NETWORKS = 5
"""Default number of networks of each configuration."""

_WIDTHS = {2: 0.305, 3: 0.121, NETWORKS: 0.072}
"""Mean width of the interval of a difference by number of networks, on a test set of BreastMNIST's size at a true AUC
of .9: `python -m benchmarks.deciding`, in docs/statistics.md."""


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
    seeds: int = NETWORKS,
    baseline_epochs: int | None = None,
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
    """Retrain the winner of a search, others and its baselines, then score every network once on the test set.

    The others are the best confirmed configuration of each other loss family: tuned AUCM is tested against tuned
    cross-entropy.

    Can be interrupted at any time; a repeated call resumes. The access to the test set is recorded in the database
    before any sample of it is read.

    Args:
        seeds: networks of each configuration.
        baseline_epochs: epochs of the baselines; None for as many as their authors train them, `OWN_EPOCHS`.
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
    if baseline_epochs is not None:
        entries = [replace(entry, epochs=baseline_epochs) if entry.is_reference else entry for entry in entries]
    folder, data = results_folder(study.name, results, study.former_names), data_folder(data_dir)
    protocol = Protocol(rows, study.spec.budget.epochs, seeds, study.spec.search.seed)
    for note in training_notes(entries, protocol):
        _log.info(note)
    development = load_development(study.spec.data, data, study.spec.scoring.groups)
    together = datasets_of([entry.config.co_training for entry in entries], study.spec.data)
    others = load_others(together, data)
    networks = train_networks(entries, protocol, development, folder, device, progress, others)
    if train_only:
        return Finalization(folder, tuple(networks))
    commit, dirty = code_version()
    version = f"{commit}{' with uncommitted changes' if dirty else ''}"
    final = open_and_score(study, entries, protocol, networks, data, folder, version, reopen, device)
    return Finalization(folder, tuple(networks), final, judge_final(final))


def training_notes(entries: Sequence[Entry], protocol: Protocol) -> list[str]:
    """Say what is trained, and what few networks are worth, a sentence each."""
    trained = ", ".join(f"{shown_name(entry.name)} {protocol.epochs_of(entry)}" for entry in entries)
    notes = [f"networks of each configuration: {protocol.seeds}; epochs: {trained}"]
    if protocol.seeds == 1:
        notes.append("with one network the spread over seeds is unknown: verdicts cover new test samples alone")
    if protocol.seeds in _WIDTHS and protocol.seeds < NETWORKS:
        times = _WIDTHS[protocol.seeds] / _WIDTHS[NETWORKS]
        widths = ", ".join(f"{auc(width)} with {networks}" for networks, width in _WIDTHS.items())
        notes.append(
            f"{protocol.seeds} networks are few: the interval of a difference of test AUC is about {times:.1f} times "
            f"as wide as with {NETWORKS} (simulated at the size of BreastMNIST's test set and an AUC of .9: {widths})"
        )
    return notes
