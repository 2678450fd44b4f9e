"""Read the test set once for a final result: record the access, read, score every network."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.errors import DataError, UsageError
from hpo.outcome.access_log import access_key, accesses_elsewhere, note_access
from hpo.outcome.final import Final, FinalEntry, FinalNetwork, FinalResult, load, results_root, store
from hpo.outcome.networks import Entry, Network, Protocol
from hpo.outcome.ownership import is_of
from hpo.outcome.twins import find_twins
from hpo.outcome.unseal import Ledger, TestSet, open_test_set
from hpo.search.database.database import Database
from hpo.search.database.errors import as_hpo_error
from hpo.search.database.locks import exclusive
from hpo.search.queries.ledger import Opening, StudyLedger, read_openings
from hpo.search.study import Study
from hpo.study.stored import JsonObject


def earlier_access(study: Study, data_folder: Path, folder: Path, data_md5: str = "") -> str:
    """Say when and for which study a test set was last opened, as far as is known here; "" if it never was.

    Args:
        folder: of the final result.
        data_md5: of the data file, if known.
    """
    dataset = study.spec.data.name
    openings = read_openings(study.database, dataset)
    root = results_root(folder, (study.name, *study.former_names))
    elsewhere = accesses_elsewhere(study.database, dataset, data_folder, root, data_md5)
    if not openings and not elsewhere:
        return ""
    last, where = (openings[-1], "") if openings else (elsewhere[-1], f" through {elsewhere[-1].database}")
    return f"the test set of {dataset} was already opened for study {last.study} at {last.when}{where}"


def open_and_score(
    study: Study,
    entries: Sequence[Entry],
    protocol: Protocol,
    networks: Sequence[Network],
    data_folder: Path,
    folder: Path,
    code_version: str,
    reopen: str = "",
    device: str = "auto",
) -> Final:
    """Record the access, read the test set, score every network once, and store the result in `folder`.

    Which test samples have a twin in the development set is stored, too. A result of the same networks and options that
    is there already is returned as it is, and the test set stays sealed.

    The access log names the networks by digests of their weights, so that an interrupted result can be completed with
    the same networks without another access.

    Args:
        entries: the winner first.

    Raises:
        UsageError: if an entry has no network, or this test set was read before for other networks and no reason is
            given.
        DataError, StorageError, OutputError.
    """
    lacking = [entry.name for entry in entries if not any(network.entry == entry.name for network in networks)]
    if lacking or not entries:
        # An access weakens every result on the test set, and this one would have none.
        raise UsageError(f"there are no networks of {', '.join(lacking) or 'any entry'}, so the test set stays sealed")
    dataset = study.spec.data
    weights = weights_of(networks)
    configuration = _what_is_opened_for(dataset.name, entries, protocol, weights)
    described = tuple(final_entry(entry, protocol, networks, weights) for entry in entries)
    if (stored := _stored(study, folder, access_key(configuration), protocol, described)) is not None:
        return stored
    data_md5 = next((network.record.provenance.data_md5 for network in networks if network.record is not None), "")
    # Of two that look at the log at once the second waits, and sees the access of the first.
    with as_hpo_error(study.database.url), exclusive(study.database.engine, "test set"):
        openings = read_openings(study.database, dataset.name)
        again = next((one for one in openings if _same_networks(one.configuration, configuration)), None)
        if again is None and not reopen and (earlier := earlier_access(study, data_folder, folder, data_md5)):
            raise UsageError(
                f"{earlier}; another access weakens every result on it. To open it again, give the reason: --reopen "
                '"why"; every report will show it'
            )
        noted: Ledger = _Noted(study.database, data_folder, data_md5)
        ledger = noted if again is None else _AlreadyWritten(again)
        test = open_test_set(ledger, study.name, configuration, code_version, dataset, data_folder, reopen)
    scores = _scores(entries, networks, test, device)
    twins = find_twins(test, dataset, data_folder)
    result = FinalResult(
        study=study.name,
        dataset=dataset.name,
        winner=entries[0].name,
        protocol=protocol,
        entries=described,
        ledger_row=test.unsealing.ledger_row,
        code_version=code_version,
        time=time.time(),
        twin_threshold=None if twins is None else twins.threshold,
        reason=reopen if again is None else again.reason,
        access=access_key(configuration),
        former_names=study.former_names,
    )
    final = Final(result, scores, np.array(test.labels), None if twins is None else twins.has_twin)
    store(final, folder)
    return final


def _stored(
    study: Study, folder: Path, access: str, protocol: Protocol, entries: tuple[FinalEntry, ...]
) -> Final | None:
    """Return the result in a folder if it is of this access and says the same of its networks; else None."""
    try:
        found = load(folder)
    except DataError:
        # It is written anew, as one that was interrupted is.
        return None
    if found is None or not is_of(found.result, study):
        return None
    # A result without a digest of its access is older than the search for twins, which it gets when it is scored anew.
    same = (found.result.access, found.result.protocol, found.result.entries) == (access, protocol, entries)
    return found if same else None


def _scores(
    entries: Sequence[Entry], networks: Sequence[Network], test: TestSet, device: str
) -> dict[str, NDArray[np.floating]]:
    """Return the (seeds, N, L) test scores of the networks of each entry."""
    from hpo.training.loop.model_file import load_model

    return {
        entry.name: np.stack(
            [load_model(n.path).scores(test.images, device) for n in networks if n.entry == entry.name]
        )
        for entry in entries
    }


def _same_networks(logged: JsonObject, configuration: JsonObject) -> bool:
    """Return whether an access was for these networks; how they were chosen names studies, which can be renamed."""
    first, second = ({key: value for key, value in one.items() if key != "entries"} for one in (logged, configuration))
    return first == second


class _Noted:
    """The database's access log, which is repeated in the folder of the data files for other databases."""

    def __init__(self, database: Database, data_folder: Path, data_md5: str) -> None:
        self._database, self._folder, self._data_md5 = database, data_folder, data_md5

    def write(self, study: str, configuration: JsonObject, code_version: str, reason: str) -> int:
        """Log an access, then note it."""
        row = StudyLedger(self._database).write(study, configuration, code_version, reason)
        note_access(self._folder, configuration, self._data_md5, study, self._database.address, code_version, reason)
        return row


class _AlreadyWritten:
    """An access log that already holds this access."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    def write(self, study: str, configuration: JsonObject, code_version: str, reason: str) -> int:  # noqa: ARG002
        """Return the entry that was written before the result was interrupted."""
        return self._opening.row


def _what_is_opened_for(
    dataset: str, entries: Sequence[Entry], protocol: Protocol, weights: Mapping[str, str]
) -> JsonObject:
    return {
        "dataset": dataset,
        "protocol": asdict(protocol),
        "entries": {entry.name: entry.chosen for entry in entries},
        "networks": dict(weights),
    }


def weights_of(networks: Sequence[Network]) -> dict[str, str]:
    """Return a digest of the weights of each network, by its entry and number. Raises DataError."""
    from hpo.training.loop.model_file import load_model, weights_digest

    return {_key(network): weights_digest(load_model(network.path)) for network in networks}


def _key(network: Network) -> str:
    return f"{network.entry} {network.number}"


def final_entry(
    entry: Entry, protocol: Protocol, networks: Sequence[Network], weights: Mapping[str, str]
) -> FinalEntry:
    """Return what a result stores of a configuration and its networks.

    Args:
        weights: as `weights_of`.
    """
    return FinalEntry(
        name=entry.name,
        is_reference=entry.is_reference,
        chosen=entry.chosen,
        config=protocol.config(entry).model_dump(),
        epochs=entry.epochs,
        networks=tuple(
            FinalNetwork(
                file=network.path.name,
                thresholds=tuple(float(value) for value in network.thresholds),
                threshold_rows=network.threshold_rows,
                record=network.record,
                weights=weights[_key(network)],
            )
            for network in networks
            if network.entry == entry.name
        ),
    )
