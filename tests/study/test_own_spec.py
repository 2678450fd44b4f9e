"""A study of one's own data file keeps what the file was, whatever becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import StudyConflictError, StudyFileError
from hpo.outcome.report.result.sections import ledger, no_result
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.study import open_study
from hpo.study.baselines import baselines
from hpo.study.files import default_spec, load_spec
from hpo.study.spec import StudySpec
from tests.own_files import own_file


def test_the_shipped_file_of_a_similar_dataset_is_used(tmp_path: Path) -> None:
    spec = default_spec(str(own_file(tmp_path / "mine.npz")))
    assert spec.data.study_name == "mine"
    assert spec.own is not None
    assert spec.own.path == str(tmp_path / "mine.npz")
    assert set(spec.space) == set(default_spec("breast").space)
    assert spec.data.source == str(tmp_path / "mine.npz")


def test_a_stored_spec_needs_no_file(tmp_path: Path) -> None:
    spec = default_spec(str(own_file(tmp_path / "mine.npz")))
    (tmp_path / "mine.npz").unlink()
    stored = StudySpec.from_json(spec.model_dump_json())
    assert stored == spec
    assert stored.data.rows == (20, 8, 8)
    assert default_spec(stored.data) == spec


def test_the_place_of_the_file_is_no_part_of_the_fingerprint_and_its_content_is(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    here = default_spec(str(own_file(tmp_path / "mine.npz")))
    there = default_spec(str(own_file(tmp_path / "a" / "mine.npz")))
    other = default_spec(str(own_file(tmp_path / "mine.npz", seed=1)))
    assert here.fingerprint() == there.fingerprint() != other.fingerprint()


def test_studies_of_built_in_datasets_keep_their_fingerprint() -> None:
    assert "own" not in default_spec("breast").canonical()


def test_a_changed_file_is_another_study(tmp_path: Path) -> None:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/a.sqlite3"), create=True)
    spec = default_spec(str(own_file(tmp_path / "mine.npz")))
    create_or_open(database, "mine", spec)
    assert open_study(database, "mine").spec.own == spec.own
    changed = default_spec(str(own_file(tmp_path / "mine.npz", seed=1)))
    with pytest.raises(StudyConflictError, match=r"own\.md5"):
        create_or_open(database, "mine", changed)


def test_a_study_that_is_resumed_with_a_moved_file_looks_for_it_there(tmp_path: Path) -> None:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/a.sqlite3"), create=True)
    create_or_open(database, "mine", default_spec(str(own_file(tmp_path / "mine.npz"))))
    (tmp_path / "moved").mkdir()
    moved = default_spec(str((tmp_path / "mine.npz").rename(tmp_path / "moved" / "mine.npz")))
    create_or_open(database, "mine", moved)
    own = open_study(database, "mine").spec.own
    assert own is not None
    assert own.path == str(tmp_path / "moved" / "mine.npz")


def test_a_data_file_is_looked_for_beside_its_study_file(tmp_path: Path) -> None:
    own_file(tmp_path / "mine.npz")
    (tmp_path / "mine.toml").write_text('dataset = "mine.npz"\n')
    assert load_spec(tmp_path / "mine.toml").data.source == str(tmp_path / "mine.npz")


def test_without_val_nothing_needs_official_validation_samples(tmp_path: Path) -> None:
    path = str(own_file(tmp_path / "mine.npz", rows=(30, 0, 0)))
    spec = default_spec(path)
    assert "official" not in getattr(spec.space["resplit"], "choices", ())
    assert all(start.values.get("resplit") != "official" for start in spec.start)
    assert {config.resplit for config in baselines(spec).values()} == {"holdout"}
    for wrong in ("scoring.rows=official", "fixed.resplit=official", 'space.resplit.choices=["none", "grouped"]'):
        with pytest.raises(StudyFileError, match="val_images"):
            default_spec(path, (wrong,))


def test_a_report_of_data_without_a_test_set_promises_none(tmp_path: Path) -> None:
    without = default_spec(str(own_file(tmp_path / "mine.npz", rows=(30, 0, 0)))).data
    with_test = default_spec(str(own_file(tmp_path / "other.npz"))).data
    assert without.study_name == "mine"
    for section in (no_result("mine", confirmed=True, dataset=without), ledger(without, ())):
        assert "has no test set" in str(section)
    assert "hpo finalize" in str(no_result("mine", confirmed=True, dataset=with_test))


@pytest.mark.parametrize(("rows", "how"), [((30, 0, 0), "kfold"), ((6001, 0, 0), "holdout"), ((20, 8, 8), "official")])
def test_several_labels_without_val_are_scored_on_parts_that_are_drawn(
    rows: tuple[int, int, int], how: str, tmp_path: Path
) -> None:
    assert default_spec(str(own_file(tmp_path / "mine.npz", rows=rows, labels=3))).scoring.rows == how
