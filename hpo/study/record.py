"""`TrialRecord`: what is stored of a trial so that it can be run again and accounted for.

A record is one flat JSON object in the column `record` of `hpo_trial`. It outlives the hpo that wrote it:

- A key that was added after a record was stored is optional here, and None if it is missing.
- Keys that this hpo does not know come from a newer one. They are kept, shown, and written back unchanged.
- `version` grows only when the meaning of a key changes, or when a trial can no longer be run again without a new key.
  Records of a higher version are listed and shown, but this hpo does not train from them.
"""

from __future__ import annotations

import json

from pydantic import Field, ValidationError

from hpo.errors import StorageError
from hpo.study.config import ConfigValues, TrainConfig
from hpo.study.stored import JsonObject, Part, StoredModel, faults, is_newer

RECORD_VERSION = 1
"""The version of records that this hpo writes."""


class Seeds(Part):
    """The seeds of a trial.

    Attributes:
        study_seed: seed of the study, from which the others follow.
        trial_seed: seed of everything random in training.
        scoring_seed: seed of the division into folds; None where the division is the study's.
    """

    study_seed: int
    trial_seed: int
    scoring_seed: int | None = None


class Provenance(Part):
    """Code, packages, device and data of a training.

    Attributes:
        code_version: commit of the code, or version of the package.
        dirty: whether the code had uncommitted changes.
        environment: versions of Python, packages and platform, device and threads, by name.
        data_md5: MD5 of the data file; empty in results from before it was kept.
    """

    code_version: str
    dirty: bool = False
    environment: dict[str, str] = Field(default_factory=dict)
    data_md5: str = ""


class ResourceUsage(Part):
    """What a training cost over all its attempts; None where it is not known.

    Attributes:
        seconds: wall time.
        energy_joules: energy by the device's own counter, this training's share.
        peak_memory: bytes of device memory (main memory on a CPU) at most in use.
    """

    seconds: float | None = None
    energy_joules: float | None = None
    peak_memory: int | None = None


class NetworkRecord(StoredModel):
    """What is stored of the training of a final network."""

    provenance: Provenance
    usage: ResourceUsage = ResourceUsage()


class TrialRecord(StoredModel):
    """What is stored of a trial.

    Attributes:
        config: the configuration as it was stored; `train_config` validates it.
        params: of it, the values of the searched settings; empty for a baseline.
        seeds: everything random follows from them.
        candidate: in a confirmation, the name of the candidate that is trained.
        repeat: in a confirmation, the number of the repeat, from 1.
        provenance: of the last attempt.
        lives: attempts, this one included: each worker that claims the trial makes one. None in the first records.
        usage: over all attempts.
        roc: true positive rates at `hpo.statistics.roc.ROC_GRID` at the last epoch, mean over folds.
        version: of the format, see `RECORD_VERSION`.
        unknown: keys that this hpo does not know.
    """

    config: ConfigValues
    params: ConfigValues
    seeds: Seeds
    candidate: str | None = None
    repeat: int | None = None
    provenance: Provenance
    lives: int | None = None
    usage: ResourceUsage = ResourceUsage()
    roc: tuple[float, ...] | None = None
    version: int = RECORD_VERSION
    unknown: JsonObject = Field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str, trial: str) -> TrialRecord:
        """Read a record as the database holds it.

        Args:
            text: JSON.
            trial: what the trial is called in the message of an error, such as `trial 3 of study breast`.

        Raises:
            StorageError: if it cannot be read.
        """
        try:
            stored = json.loads(text)
            return cls.model_validate(stored)
        except ValidationError as error:
            newer = _newer(stored["version"]) if is_newer(stored, RECORD_VERSION) else ""
            raise StorageError(f"{trial} has a record that cannot be read{newer}: {faults(error)}") from None
        except ValueError as error:
            raise StorageError(f"{trial} has a record that is not JSON: {error}") from None

    def to_json(self) -> str:
        """Write the record as the database holds it."""
        return json.dumps(self.model_dump(mode="json"))

    def train_config(self, trial: str) -> TrainConfig:
        """Validate the configuration, to train it.

        Args:
            trial: as for `from_json`.

        Raises:
            StorageError: if this hpo cannot train it, since another version stored it.
        """
        if self.version > RECORD_VERSION:
            raise StorageError(f"{trial} cannot be trained{_newer(self.version)}; update hpo")
        return stored_config(self.config, trial)


def stored_config(values: ConfigValues, trial: str) -> TrainConfig:
    """Validate a configuration that was stored, perhaps by another version of hpo.

    Args:
        values: settings by name; those that are missing take their defaults.
        trial: as for `TrialRecord.from_json`.

    Raises:
        StorageError: if this hpo has no such setting, or does not allow its value.
    """
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise StorageError(
            f"{trial} has a configuration that this version of hpo cannot train: {faults(error)}; use the version "
            "that stored it"
        ) from None


def _newer(version: int) -> str:
    return f" (a newer hpo stored it: version {version} of records, this one reads {RECORD_VERSION})"
