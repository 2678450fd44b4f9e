"""Records of trials, of this hpo, of older ones and of newer ones."""

from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hpo.errors import StorageError
from hpo.study.config import TrainConfig
from hpo.study.record import (
    RECORD_VERSION,
    NetworkRecord,
    Provenance,
    ResourceUsage,
    Seeds,
    TrialRecord,
    stored_config,
)

TRIAL = "trial 3 of study breast"
RESULTS = sorted((Path(__file__).parents[2] / "docs" / "results").glob("*/study.sqlite3"))
FIRST = Path(__file__).parents[1] / "search" / "old" / "version-1.sql"

FULL: dict[str, Any] = {
    "config": TrainConfig(margin=0.5).model_dump(),
    "params": {"margin": 0.5, "loss": "aucm_v1", "batch_size": 32},
    "study_seed": 1,
    "trial_seed": 2,
    "scoring_seed": 3,
    "candidate": "trial 7",
    "repeat": 2,
    "code_version": "abc1234",
    "dirty": True,
    "environment": {"torch": "2.11.0", "device name": "AMD EPYC"},
    "data_md5": "d41d8",
    "lives": 2,
    "attempt_names": ["0a1b2c3d", "4e5f6a7b"],
    "seconds": 60.5,
    "energy_joules": 1000.0,
    "peak_memory": 1024,
    "roc": [0.0, 0.5, 1.0],
}
"""Every key that hpo has stored, in the order in which it stores them."""


def read(stored: dict[str, Any]) -> TrialRecord:
    return TrialRecord.from_json(json.dumps(stored), TRIAL)


def _stored(connection: sqlite3.Connection) -> list[str]:
    """All records in a database, which is closed."""
    texts = [text for (text,) in connection.execute("SELECT record FROM hpo_trial WHERE record IS NOT NULL")]
    connection.close()
    return texts


def test_every_key_has_its_place_and_is_written_as_it_was_read() -> None:
    record = read(FULL)
    assert record == TrialRecord(
        config=FULL["config"],
        params=FULL["params"],
        seeds=Seeds(study_seed=1, trial_seed=2, scoring_seed=3),
        candidate="trial 7",
        repeat=2,
        provenance=Provenance(
            code_version="abc1234",
            dirty=True,
            environment={"torch": "2.11.0", "device name": "AMD EPYC"},
            data_md5="d41d8",
        ),
        attempts=2,
        attempt_names=("0a1b2c3d", "4e5f6a7b"),
        usage=ResourceUsage(seconds=60.5, energy_joules=1000.0, peak_memory=1024),
        roc=(0.0, 0.5, 1.0),
    )
    assert record.to_json() == json.dumps(FULL)
    assert TrialRecord.from_json(record.to_json(), TRIAL) == record


@pytest.mark.parametrize("by_alias", [None, False, True])
def test_the_number_of_attempts_has_its_first_key_in_every_dump(by_alias: bool | None) -> None:
    dumped = read(FULL).model_dump(mode="json", by_alias=by_alias)
    assert dumped["lives"] == 2
    assert "attempts" not in dumped


def test_what_is_not_known_is_left_out() -> None:
    needed = ("config", "params", "study_seed", "trial_seed", "code_version", "dirty", "environment", "data_md5")
    stored = {key: FULL[key] for key in needed}
    record = read(stored)
    assert (record.candidate, record.repeat, record.attempts, record.roc) == (None, None, None, None)
    assert record.usage == ResourceUsage()
    assert json.loads(record.to_json()) == stored


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parent.name)
def test_the_committed_records_are_written_as_they_were_read_byte_for_byte(path: Path) -> None:
    texts = _stored(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True))
    assert len(texts) >= 24
    for text in texts:
        record = TrialRecord.from_json(text, TRIAL)
        assert record.to_json() == text
        assert record.train_config(TRIAL).identity() == record.config


def test_the_first_records_are_written_as_they_were_read_and_can_be_trained() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(FIRST.read_text())
    texts = _stored(connection)
    assert len(texts) == 3
    for text in texts:
        record = TrialRecord.from_json(text, TRIAL)
        assert record.to_json() == text
        assert "class_means" not in record.config
        assert record.train_config(TRIAL).class_means == "learned"


def test_keys_of_a_newer_hpo_are_kept_and_written_back() -> None:
    stored = {**FULL, "fold_seconds": [30.0, 30.5], "note": {"text": "x", "by": None}}
    record = read(stored).model_copy(update={"attempts": 3})
    assert record.unknown == {"fold_seconds": [30.0, 30.5], "note": {"text": "x", "by": None}}
    assert json.loads(record.to_json()) == {**stored, "lives": 3}
    assert record.train_config(TRIAL).margin == 0.5


def test_a_record_of_a_newer_version_is_shown_and_not_trained() -> None:
    stored = {**FULL, "version": RECORD_VERSION + 1, "augmentations": ["flip"]}
    record = read(stored)
    assert record.usage.seconds == 60.5
    assert json.loads(record.to_json()) == stored
    with pytest.raises(StorageError, match=f"{TRIAL}.*newer hpo"):
        record.train_config(TRIAL)


def test_a_newer_version_that_cannot_be_read_is_named_as_the_cause() -> None:
    with pytest.raises(StorageError, match=f"{TRIAL}.*newer hpo.*roc"):
        read({**FULL, "version": RECORD_VERSION + 1, "roc": {"folds": 5}})


@pytest.mark.parametrize("change", [{"nonsense": 1}, {"margin": 7.0}, {"loss": "hinge"}])
def test_a_configuration_that_is_no_longer_allowed_is_read_and_refused_where_it_is_trained(
    change: dict[str, Any],
) -> None:
    record = read({**FULL, "config": {**FULL["config"], **change}})
    assert record.config == {**FULL["config"], **change}
    (setting,) = change
    with pytest.raises(StorageError, match=f"{TRIAL}.*{setting}"):
        record.train_config(TRIAL)
    with pytest.raises(StorageError, match=f"{TRIAL}.*{setting}"):
        stored_config(record.config, TRIAL)


@pytest.mark.parametrize(
    "text",
    ["no JSON", "[]", "{}", json.dumps({**FULL, "seconds": "long"}), json.dumps({**FULL, "version": "two"})],
)
def test_a_damaged_record_is_named(text: str) -> None:
    with pytest.raises(StorageError, match=TRIAL):
        TrialRecord.from_json(text, TRIAL)


def test_values_keep_their_types() -> None:
    config = {"a": 1, "b": 1.0, "c": True, "d": "1"}
    read_config = read({**FULL, "config": config}).config
    assert [type(read_config[name]) for name in config] == [int, float, bool, str]


def test_numbers_that_are_not_finite_stay_numbers() -> None:
    record = read({**FULL, "seconds": math.inf, "roc": [math.nan, 1.0]})
    again = TrialRecord.from_json(record.to_json(), TRIAL)
    assert again.usage.seconds == math.inf
    assert again.roc is not None
    assert math.isnan(again.roc[0])


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        read(FULL).attempts = 9  # type: ignore[misc]


def test_the_record_of_a_network_is_flat_too() -> None:
    stored = {key: FULL[key] for key in ("code_version", "dirty", "environment", "data_md5", "seconds", "peak_memory")}
    record = NetworkRecord.model_validate(stored)
    assert record.provenance.environment["torch"] == "2.11.0"
    assert record.usage == ResourceUsage(seconds=60.5, peak_memory=1024)
    assert record.model_dump(mode="json") == stored
