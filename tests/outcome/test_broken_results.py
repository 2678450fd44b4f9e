"""Final results that were damaged, or that no hpo wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hpo.errors import DataError
from hpo.outcome.final import load, results_folder, store
from tests.outcome import simulated


@pytest.mark.parametrize("name", ["../../etc", "/etc", "..", "a/../../..", "/"])
def test_no_name_leaves_the_folder_of_results(name: str) -> None:
    inside = Path("/x") / results_folder(name)
    assert Path(os.path.normpath(inside)).parent == Path("/x/hpo-results")
    assert results_folder("a/b") == Path("hpo-results/a/b")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("winner", value) for value in ("nobody", None, 3)),
        *(("entries", value) for value in ([], {}, [{}])),
        *(("version", value) for value in ("x", 99)),
        *(("protocol", value) for value in ({}, "x")),
    ],
)
def test_a_description_that_no_hpo_wrote_is_refused(key: str, value: object, tmp_path: Path) -> None:
    store(simulated.final(), tmp_path)
    path = tmp_path / "final.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(DataError):
        load(tmp_path)


@pytest.mark.parametrize("place", ["input_size", "file"])
def test_a_description_with_a_value_of_another_kind_is_refused(place: str, tmp_path: Path) -> None:
    store(simulated.final(), tmp_path)
    path = tmp_path / "final.json"
    stored = json.loads(path.read_text())
    if place == "file":
        stored["entries"][0]["networks"][0]["file"] = "../../x"
    else:
        stored["entries"][0]["config"]["input_size"] = "x"
    path.write_text(json.dumps(stored))
    with pytest.raises(DataError):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK", b"[" * 100_000, b"\xff", b"null", b"[]", b"9" * 5000])
@pytest.mark.parametrize("name", ["final.json", "scores.npz"])
def test_a_damaged_result_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    store(simulated.final(), tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError):
        load(tmp_path)


@pytest.mark.parametrize("name", ["final.json", "scores.npz"])
def test_files_of_two_results_are_refused(name: str, tmp_path: Path) -> None:
    """As after an end between the two, or of two processes that write at the same time."""
    first, second = (simulated.changed(simulated.final(gain), access=f"{gain}") for gain in (1.0, 2.0))
    store(second, tmp_path)
    later = (tmp_path / name).read_bytes()
    store(first, tmp_path)
    (tmp_path / name).write_bytes(later)
    with pytest.raises(DataError, match="interrupted"):
        load(tmp_path)
    store(second, tmp_path)
    assert load(tmp_path) is not None


@pytest.mark.parametrize("shape", [(), (3,), (300, 1), (4, 299, 1), (4, 300, 2)])
def test_scores_that_do_not_fit_the_labels_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    made = simulated.final()
    store(made, tmp_path)
    np.savez_compressed(tmp_path / "scores.npz", labels=made.labels, scores_0=np.zeros(shape), scores_1=np.zeros(shape))
    with pytest.raises(DataError):
        load(tmp_path)
