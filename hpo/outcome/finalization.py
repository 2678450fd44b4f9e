"""Retrain the winner, the best of other loss families and the baselines, read the test set once, and evaluate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpo.data.development import load_development
from hpo.data.folder import data_folder
from hpo.data.others import load_others
from hpo.errors import StudyStoppedError, UsageError
from hpo.outcome.final import Final, results_folder
from hpo.outcome.judgement import Judgement, judge_final
from hpo.outcome.network_study import (
    failures,
    folder_of_trained,
    network_spec,
    network_study_name,
    prepare_study,
)
from hpo.outcome.networks import (
    Entry,
    Network,
    Protocol,
    TrainingSamples,
    WantedNetwork,
    clean_up,
    collect,
    wanted_networks,
)
from hpo.outcome.opening import earlier_access, final_entry, open_and_score, weights_of
from hpo.outcome.ownership import check_free
from hpo.outcome.untested import UntestedResult, cross_validated, make_untested, store_untested
from hpo.outcome.winner import choose_entries
from hpo.revision import code_version
from hpo.search.study import Study
from hpo.study.baselines import shown_name
from hpo.study.co_training import datasets_of
from hpo.study.ranges import EPOCHS, FINAL_NETWORKS
from hpo.study.spec import StudySpec
from hpo.text import auc

_log = logging.getLogger(__name__)

NETWORKS = 5
"""Default number of networks of each configuration."""

_WIDTHS = {2: 0.305, 3: 0.121, NETWORKS: 0.072}
"""Mean width of the interval of a difference by number of networks, on a test set of BreastMNIST's size at a true AUC
of .9: `python -m benchmarks.deciding`, in docs/statistics.md."""


Train = Callable[[StudySpec, str], object]
"""Trains what is left of a study, given its spec and name, as `hpo.launch.session.launch` does."""


@dataclass(frozen=True, eq=False)
class Finalization:
    """The final networks of a study and their evaluation on the test set.

    Attributes:
        networks: those that are in `folder`/models.
        missing: number of networks that are still to be trained; then the test set was left sealed.
        final: None if the test set was left sealed, or there is none.
        judgement: likewise.
        untested: the result of data without a test set, once all networks are there.
    """

    folder: Path
    networks: tuple[Network, ...]
    missing: int = 0
    final: Final | None = None
    judgement: Judgement | None = None
    untested: UntestedResult | None = None


def finalize(
    study: Study,
    *,
    train: Train,
    name: str | None = None,
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
) -> Finalization:
    """Retrain the winner of a search, others and its baselines, then score every network once on the test set.

    If the data have no test set, the winner alone is retrained, since there is nothing to compare it on, and its
    cross-validated AUC is stored with it.

    The others are the best confirmed configuration of each other loss family: tuned AUCM is tested against tuned
    cross-entropy.

    Networks are trained by the workers of a study of their own, which write them to the results folder; this process
    alone opens the test set. Can be interrupted at any time; a repeated call resumes. The access to the test set is
    recorded in the database before any sample of it is read.

    Args:
        train: called once, if networks are left to train.
        name: of the study of the networks; None for NAME-final.
        seeds: networks of each configuration.
        baseline_epochs: epochs of the baselines; None for as many as their authors train them, `OWN_EPOCHS`.
        rows: what networks are trained on, see `Protocol`.
        trial: number of the trial to take as the winner; None for the winner of the confirmation.
        confirmation: name of the confirmation; None for NAME-confirm.
        train_only: leave the test set sealed.
        reopen: reason for reading a test set again that was already read for other networks.
        results: folder of the result; None for hpo-results/NAME.
        data_dir: folder of the data files; None for $HPO_DATA_DIR, else ~/.medmnist.
        device: on which networks are scored: auto, cpu, cuda or cuda:N.

    Returns:
        With networks `missing` if `train` returns before everything is trained.

    Raises:
        UsageError: before anything is trained, if `seeds` or `baseline_epochs` are out of range, there is no winner
            yet, the test set was read before for other networks and `reopen` is empty, `rows` asks for official
            validation samples that the data do not have, or the folder has the result of another study.
        StudyStoppedError: if a network cannot be trained.
        StudyConflictError, DataError, DeviceError, OutputError, StorageError, StudyNotFoundError; and what `train`
            raises.
    """
    FINAL_NETWORKS.check("--seeds", seeds)
    EPOCHS.check("--baseline-epochs", baseline_epochs)
    dataset = study.spec.data
    entries = _entries_to_train(study, rows, baseline_epochs, trial, confirmation)
    folder, data = results_folder(study.name, results, study.former_names), data_folder(data_dir)
    check_free(study, folder)
    protocol = Protocol(rows, study.spec.budget.epochs, seeds, study.spec.search.seed)
    for note in training_notes(entries, protocol, tested=dataset.has_test):
        _log.info(note)
    wanted = _wanted_networks(study, entries, protocol, data)
    networks = collect(wanted, folder)
    name, spec = name or network_study_name(study.name), network_spec(study, entries, protocol, folder)
    if len(networks) < len(wanted):
        if dataset.has_test and not train_only and not reopen and (earlier := earlier_access(study, data, folder)):
            raise UsageError(
                f"{earlier}, and {len(wanted) - len(networks)} of the {len(wanted)} networks asked for are not "
                "trained yet. Another access weakens every result on it: to train them and open it again, give the "
                'reason: --reopen "why"; --train-only trains them and leaves it sealed'
            )
        networks = _train_lacking(study, name, spec, wanted, networks, train, folder)
    missing = len(wanted) - len(networks)
    if not missing:
        clean_up(wanted, folder, folder_of_trained(study, name, spec))
    if missing or (train_only and dataset.has_test):
        return Finalization(folder, tuple(networks), missing)
    commit, dirty = code_version()
    version = f"{commit}{' with uncommitted changes' if dirty else ''}"
    if not dataset.has_test:
        estimate = cross_validated(study, entries[0].name, trial=trial, confirmation=confirmation)
        untested = make_untested(
            study, protocol, final_entry(entries[0], protocol, networks, weights_of(networks)), estimate, version
        )
        store_untested(untested, folder)
        return Finalization(folder, tuple(networks), untested=untested)
    final = open_and_score(study, entries, protocol, networks, data, folder, version, reopen, device)
    return Finalization(folder, tuple(networks), 0, final, judge_final(final))


def _entries_to_train(
    study: Study, rows: TrainingSamples, baseline_epochs: int | None, trial: int | None, confirmation: str | None
) -> list[Entry]:
    """Return the winner, and with a test set the others and the baselines; raises as `finalize`."""
    dataset = study.spec.data
    if rows == "training" and not dataset.has_validation:
        raise UsageError(
            f"--rows training chooses epochs on official validation samples, but {dataset.official_name} has no "
            "val_images; leave it out"
        )
    entries = choose_entries(study, trial=trial, confirmation=confirmation)
    if not dataset.has_test:
        _log.info(f"{dataset.official_name} has no test set: the winner alone is trained, and nothing is tested")
        entries = entries[:1]
    if baseline_epochs is None:
        return entries
    return [replace(entry, epochs=baseline_epochs) if entry.is_reference else entry for entry in entries]


def _train_lacking(
    study: Study,
    name: str,
    spec: StudySpec,
    wanted: Sequence[WantedNetwork],
    networks: Sequence[Network],
    train: Train,
    folder: Path,
) -> list[Network]:
    """Have the networks that are not there yet trained by the workers of the study `name`, and return all there are."""
    have = {(network.entry, network.number) for network in networks}
    lacking = {slot: one for slot, one in enumerate(wanted) if (one.entry, one.number) not in have}
    planned = prepare_study(study, name, spec, lacking, folder)
    try:
        train(planned.spec, planned.name)
    finally:
        # Also what was trained before an interruption is in its place afterwards.
        found = collect(wanted, folder)
    if len(found) < len(wanted):
        _check_failures(planned, wanted)
    return found


def _wanted_networks(study: Study, entries: Sequence[Entry], protocol: Protocol, data: Path) -> list[WantedNetwork]:
    """Return the networks that the result needs; the data are not held afterwards, while workers load their own."""
    development = load_development(study.spec.data, data, study.spec.scoring.groups)
    others = load_others(datasets_of([entry.config.co_training for entry in entries], study.spec.data), data)
    return wanted_networks(entries, protocol, development, others)


def _check_failures(study: Study, wanted: Sequence[WantedNetwork]) -> None:
    """Raise StudyStoppedError if networks could not be trained."""
    if reasons := failures(study, wanted):
        raise StudyStoppedError(
            "\n  ".join([f"final networks of study {study.name} could not be trained:", *reasons])
            + "\nThe others are kept; the same command tries these again."
        )


def training_notes(entries: Sequence[Entry], protocol: Protocol, *, tested: bool = True) -> list[str]:
    """Say what is trained, and, if they will be tested, what few networks are worth, a sentence each."""
    trained = ", ".join(f"{shown_name(entry.name)} {protocol.epochs_of(entry)}" for entry in entries)
    notes = [f"networks of each configuration: {protocol.seeds}; epochs: {trained}"]
    if not tested:
        return notes
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
