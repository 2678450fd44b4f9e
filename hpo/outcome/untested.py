"""The final networks of data without a test set: how they were chosen and trained, and what is known of their AUC."""

from __future__ import annotations

import json
import time
from pathlib import Path

from pydantic import ConfigDict, ValidationError

from hpo.errors import DataError, OutputError
from hpo.files import atomic_write, read_text
from hpo.outcome.final import MOST_BYTES, FinalEntry
from hpo.outcome.leaderboard import read_confirmation
from hpo.outcome.networks import Protocol
from hpo.outcome.preparation import confirmation_name
from hpo.search.queries.trials import read_best
from hpo.search.study import Study, open_study
from hpo.study.stored import StoredModel, faults, is_newer, parse_object
from hpo.text import auc

UNTESTED = "untested.json"

UNTESTED_VERSION = 1
"""Format version of `untested.json` that this hpo writes."""


class CrossValidated(StoredModel):
    """The AUC of a configuration on validation parts: of other networks than the final ones, trained on fewer samples.

    Attributes:
        study: whose trials were scored.
        trials: of this configuration: repeats of the confirmation, or the one of the search.
        folds: of each trial.
        samples: of the development set; of official scoring, the official validation samples.
        is_official: whether the trials were scored on the official validation samples, as those of the search were.
        epochs: of a trial. Final networks of a baseline are trained for as many as its authors train it.
        selected_from: trials of the search among which these scores chose it, so that the best of them is too high;
            None for a confirmation, on new folds and seeds.
        mean, low, high: with a 95 % interval; None where there is no spread.
    """

    model_config = ConfigDict(extra="ignore")

    study: str
    trials: int
    folds: int
    samples: int
    epochs: int
    selected_from: int | None = None
    mean: float
    low: float | None = None
    high: float | None = None
    is_official: bool = False

    def sentence(self, epochs: int) -> str:
        """Say what the estimate is, and what it is not, of networks that were trained for so many epochs."""
        between = (
            "" if self.low is None or self.high is None else f", 95 % interval {auc(self.low)} to {auc(self.high)}"
        )
        folds = f"{self.folds} folds" if self.folds > 1 else "one validation part"
        if self.selected_from is None:
            repeats = f"{self.trials} repeats of {folds}" if self.trials > 1 else folds
            of = f"({self.study}: {repeats}, {self.samples:,} samples)"
            how = f"on new folds and seeds {of}"
            if self.is_official:
                how = (
                    f"with new seeds on the official validation samples {of}, by which the search chose its "
                    "candidates, so that it is too high"
                )
        else:
            how = (
                f"in the search ({self.study}: {folds}, {self.samples:,} samples); it was chosen from "
                f"{self.selected_from} trials by these scores, so that it is too high"
            )
        shorter, longer = ("", "") if epochs == self.epochs else (f" for {self.epochs} epochs", f" for {epochs}")
        return (
            f"Cross-validated AUC {auc(self.mean)}{between}, {how}. It is of networks trained on parts of these samples"
            f"{shorter}; the final ones, trained on all{longer}, were never tested."
        )


class UntestedResult(StoredModel):
    """The content of `untested.json`; see `FinalResult`. Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore")

    study: str
    dataset: str
    protocol: Protocol
    entry: FinalEntry
    estimate: CrossValidated
    code_version: str
    time: float
    version: int = UNTESTED_VERSION

    @property
    def epochs(self) -> int:
        """Number of epochs that the networks were trained for."""
        return self.protocol.epochs if self.entry.epochs is None else self.entry.epochs

    def sentence(self) -> str:
        """Say what is known of the AUC of its networks."""
        return self.estimate.sentence(self.epochs)


def cross_validated(
    search: Study, winner: str, *, trial: int | None = None, confirmation: str | None = None
) -> CrossValidated:
    """Return what the confirmation, or the search, says of the winner of `choose_entries`.

    Args:
        trial, confirmation: as `choose_entries` takes them.
    """
    is_official = search.spec.scoring.rows == "official"
    samples = search.spec.data.rows[1] if is_official else search.spec.data.development_rows
    if trial is not None:
        ranking = read_best(search, count=2**31)
        value = next(one.value for one in ranking.trials if one.value.number == trial)
        return CrossValidated(
            study=search.name,
            trials=1,
            folds=search.spec.scoring.fold_count,
            samples=samples,
            epochs=search.spec.budget.epochs,
            selected_from=ranking.chosen_from,
            mean=value.auc,
            low=value.low,
            high=value.high,
            is_official=is_official,
        )
    study = open_study(search.database, confirmation or confirmation_name(search.name))
    row = next(row for row in read_confirmation(study).leaderboard if row.candidate == winner)
    assert row.mean is not None, winner
    return CrossValidated(
        study=study.name,
        trials=row.repeats,
        folds=study.spec.scoring.fold_count,
        samples=samples,
        epochs=study.spec.budget.epochs,
        mean=row.mean,
        low=row.low,
        high=row.high,
        is_official=is_official,
    )


def make_untested(
    search: Study, protocol: Protocol, entry: FinalEntry, estimate: CrossValidated, code_version: str
) -> UntestedResult:
    """Return the result of a search whose data have no test set, as of now."""
    return UntestedResult(
        study=search.name,
        dataset=search.spec.dataset,
        protocol=protocol,
        entry=entry,
        estimate=estimate,
        code_version=code_version,
        time=time.time(),
    )


def store_untested(result: UntestedResult, folder: Path) -> None:
    """Write untested.json. Raises OutputError."""
    text = json.dumps(result.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
    try:
        with atomic_write(folder / UNTESTED) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); give another --results") from None


def load_untested(folder: Path) -> UntestedResult | None:
    """Read the untested result in a folder; None if there is none. Raises DataError if it cannot be read."""
    if not (folder / UNTESTED).exists():
        return None
    try:
        stored = parse_object(read_text(folder / UNTESTED, MOST_BYTES))
    except (OSError, ValueError) as error:
        raise _unreadable(folder, str(error)) from None
    if is_newer(stored, UNTESTED_VERSION):
        raise DataError(
            f"{folder / UNTESTED} cannot be read: written by a newer hpo (version {stored['version']}, this one reads "
            f"{UNTESTED_VERSION})"
        )
    try:
        found = UntestedResult.model_validate(stored)
    except ValidationError as error:
        raise _unreadable(folder, faults(error)) from None
    if any(Path(network.file).name != network.file for network in found.entry.networks):
        raise _unreadable(folder, "it names a network outside its folder models")
    return found


def _unreadable(folder: Path, why: str) -> DataError:
    return DataError(f"{folder / UNTESTED} cannot be read: {why}; `hpo finalize` writes it again")
