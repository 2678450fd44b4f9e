"""`TrialRecord`: what is stored about a trial to reproduce it and to account for its cost.

A record is one flat JSON object in the column `record` of `hpo_trial`. It must stay readable by other versions of hpo:

- A key that was added after a record was stored is optional, and None if missing.
- Keys unknown to this version of hpo come from a newer one. They are kept, shown, and written back unchanged.
- `version` grows only when the meaning of a key changes, or when a trial cannot be reproduced without a new key.
  Records of a higher version are listed and shown, but not trained from.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field, ValidationError

from hpo.errors import StorageError
from hpo.study.config import ConfigValues, TrainConfig
from hpo.study.stored import JsonObject, Part, StoredModel, faults, is_newer, parse_json

RECORD_VERSION = 1
"""The version of records that this hpo writes."""


class Seeds(Part):
    """The seeds of a trial.

    Attributes:
        study_seed: seed of the study, from which the others follow.
        trial_seed: seed of everything random in training.
        scoring_seed: seed of the folds; None if the trial uses the study's folds.
    """

    study_seed: int
    trial_seed: int
    scoring_seed: int | None = None


class Provenance(Part):
    """Code, packages, device and data of a training run.

    Attributes:
        code_version: commit of the code, or version of the package.
        dirty: whether the code had uncommitted changes.
        environment: versions of Python, packages and platform, device and threads, by name.
        data_md5: MD5 of the data file; empty in results that were stored before this key existed.
    """

    code_version: str
    dirty: bool = False
    environment: dict[str, str] = Field(default_factory=dict)
    data_md5: str = ""


class ResourceUsage(Part):
    """Cost of a training run over all its attempts; None if unknown.

    Attributes:
        seconds: wall time.
        energy_joules: this run's share of the energy measured by the device's counter.
        peak_memory: peak device memory (main memory on a CPU) in bytes.
    """

    seconds: float | None = None
    energy_joules: float | None = None
    peak_memory: int | None = None


class NetworkRecord(StoredModel):
    """What is stored about the training of a final network."""

    provenance: Provenance
    usage: ResourceUsage = ResourceUsage()


class TrialRecord(StoredModel):
    """What is stored about a trial.

    Attributes:
        config: the configuration as stored; `train_config` validates it.
        params: the values of the searched settings in it; empty for a baseline.
        seeds: everything random derives from them.
        candidate: in a confirmation, the name of the candidate.
        repeat: in a confirmation, the number of the repeat, from 1.
        provenance: of the last attempt.
        attempts: number so far, one for each claim of the trial by a worker; stored as `lives`. None in the oldest
            records.
        attempt_names: names of the attempts, by which their checkpoints are told from those of another copy of the
            database; None, or without the first ones, where an earlier hpo had no names for them.
        usage: total over all attempts.
        jobs: share of the trial, 0 to 1, at which the last job began it, and how many jobs in a row began there and
            ended before the trial did; None if none did.
        roc: true positive rates at `hpo.statistics.roc.ROC_GRID` after the last epoch, mean over folds.
        version: of the format, see `RECORD_VERSION`.
        unknown: keys that this version of hpo does not know.
    """

    config: ConfigValues
    params: ConfigValues
    seeds: Seeds
    candidate: str | None = None
    repeat: int | None = None
    provenance: Provenance
    attempts: int | None = Field(None, validation_alias="lives", serialization_alias="lives")
    attempt_names: tuple[str, ...] | None = None
    usage: ResourceUsage = ResourceUsage()
    jobs: tuple[float, int] | None = None
    roc: tuple[float, ...] | None = None
    version: int = RECORD_VERSION
    unknown: JsonObject = Field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str, trial: str) -> TrialRecord:
        """Parse a stored record.

        Args:
            text: JSON.
            trial: name of the trial for error messages, such as `trial 3 of study breast`.

        Raises:
            StorageError: if it cannot be read.
        """
        try:
            stored: Any = parse_json(text)
            return cls.model_validate(stored)
        except ValidationError as error:
            newer = _newer(stored["version"]) if is_newer(stored, RECORD_VERSION) else ""
            raise StorageError(f"{trial} has a record that cannot be read{newer}: {faults(error)}") from None
        except ValueError as error:
            raise StorageError(f"{trial} has a record that is not JSON: {error}") from None

    def to_json(self) -> str:
        """Serialise the record for the database."""
        return json.dumps(self.model_dump(mode="json"))

    def train_config(self, trial: str) -> TrainConfig:
        """Validate the configuration, to train it.

        Args:
            trial: as for `from_json`.

        Raises:
            StorageError: if another version of hpo stored it and this one cannot train it.
        """
        if self.version > RECORD_VERSION:
            raise StorageError(f"{trial} cannot be trained{_newer(self.version)}; update hpo")
        return stored_config(self.config, trial)


def stored_config(values: ConfigValues, trial: str) -> TrainConfig:
    """Validate a stored configuration, perhaps of another version of hpo.

    Args:
        values: settings by name; missing ones take their defaults.
        trial: as for `TrialRecord.from_json`.

    Raises:
        StorageError: if this version of hpo does not know a setting or does not allow its value.
    """
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise StorageError(
            f"{trial} has a configuration that this version of hpo cannot train: {faults(error)}; use the version "
            "that stored it"
        ) from None


def _newer(version: int) -> str:
    return f" (stored by a newer hpo: record version {version}, this one reads up to {RECORD_VERSION})"
