"""`locate`: the files that a table names."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from hpo.data.importing.finding import locate


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("benign/000.png", "benign/001.png", "malignant/002.png", "malignant/003.nii.gz", "root.png"):
        path = tmp_path / "data" / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "data" / "photos"


def test_names_are_relative_to_the_folder(photos: Path) -> None:
    found = locate(photos, ["benign/000.png", "root", "malignant/000.png"])
    assert found.files == [photos / "benign" / "000.png", photos / "root.png", None]
    assert found.naming == "relative"


@pytest.mark.parametrize("prefix", ["photos", "./photos", "data/photos"])
def test_names_may_begin_with_the_folder(prefix: str, photos: Path) -> None:
    found = locate(photos, [f"{prefix}/benign/000.png", f"{prefix}/benign/999.png"])
    assert found.files == [photos / "benign" / "000.png", None]
    assert found.naming == "with the folder"


def test_a_relative_folder_has_a_name_too(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    assert locate(Path(), ["photos/benign/000.png"]).files == [Path("benign/000.png")]


def test_bare_names_are_found_in_sub_folders(photos: Path) -> None:
    found = locate(photos, ["000.png", "003", "999.png"])
    assert found.files == [photos / "benign" / "000.png", photos / "malignant" / "003.nii.gz", None]
    assert found.naming == "bare"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["gut/Müller.png", "gut/Müller", "Müller.png"])
def test_an_accent_may_be_a_character_of_its_own(name: str, form: Literal["NFC", "NFD"], tmp_path: Path) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    path = tmp_path / "gut" / unicodedata.normalize(other, "Müller.png")
    path.parent.mkdir()
    path.touch()
    assert locate(tmp_path, [unicodedata.normalize(form, name)]).files == [path]


def test_bare_names_that_several_folders_have_are_not_guessed(photos: Path) -> None:
    (photos / "malignant" / "000.png").touch()
    found = locate(photos, ["000.png", "001.png"])
    assert found.files == [None, photos / "benign" / "001.png"]
    assert found.repeated == {"000.png"}


def test_one_name_that_is_there_as_written_makes_all_relative(photos: Path) -> None:
    assert locate(photos, ["root.png", "000.png"]).files == [photos / "root.png", None]


@pytest.mark.parametrize(
    "name",
    [
        r"benign\000.png",
        r"photos\benign\000",
        r"C:\Users\anna\photos\benign\000.png",
        "C:/Users/anna/photos/benign/000.png",
        "/home/anna/photos/benign/000.png",
    ],
)
def test_names_may_be_those_of_windows_or_of_another_computer(name: str, photos: Path) -> None:
    found = locate(photos, [name, r"malignant\999.png"])
    assert found.files == [photos / "benign" / "000.png", None]
