"""An import without a table: the names of the sub-folders are the labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpo.data.importing.folder import Request, import_folder
from hpo.data.importing.table import Columns
from hpo.errors import DataError, UsageError

RANDOM = np.random.default_rng(5)


def photos(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RANDOM.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    return folder


def two_classes(folder: Path) -> Path:
    return photos(folder, *(f"benign/{n}.png" for n in range(6)), *(f"malignant/{n}.png" for n in range(4)))


def asked(folder: Path, *positive: str, **changes: Any) -> Request:
    return Request(folder=folder, table=None, name="made", positive=positive, **changes)


def test_names_of_sub_folders_are_labels(tmp_path: Path) -> None:
    arrays, told = import_folder(asked(two_classes(tmp_path), "malignant", test_share=0.0))
    assert arrays["train_labels"].sum() == 4
    assert arrays["label_names"].tolist() == ["malignant"]
    assert (told.has_table, told.groups, told.unused_groups) == (False, None, None)


@pytest.mark.parametrize(("typed", "there"), [("b\u00f6se", "bo\u0308se"), ("bo\u0308se", "b\u00f6se")])
def test_a_sub_folder_with_an_accent_is_found_however_it_is_typed(typed: str, there: str, tmp_path: Path) -> None:
    photos(tmp_path, "gut/0.png", "gut/1.png", f"{there}/0.png")
    arrays, _ = import_folder(asked(tmp_path, typed, test_share=0.0))
    assert arrays["train_labels"].sum() == 1


def test_sub_folders_0_and_1_need_no_choice(tmp_path: Path) -> None:
    arrays, _ = import_folder(asked(photos(tmp_path, "0/a.png", "0/b.png", "1/a.png"), test_share=0.0))
    assert arrays["train_labels"].ravel().tolist() == [0, 0, 1]


def test_without_a_positive_one_the_sub_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sub-folders 'benign' \(6\), 'malignant' \(4\).*--positive 'malignant'"):
        import_folder(asked(two_classes(tmp_path)))
    with pytest.raises(DataError, match="sub-folders"):
        import_folder(asked(tmp_path, "malign"))


@pytest.mark.parametrize("name", ["stray.png", "benign/deeper/a.png"])
def test_images_elsewhere_need_a_table(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--labels.*file,label"):
        import_folder(asked(photos(two_classes(tmp_path), name), "malignant"))


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "photos")
    (folder / "unclear").symlink_to(photos(tmp_path / "elsewhere", "0.png", "1.png"))
    (folder / "benign" / "back").symlink_to(folder)
    arrays, _ = import_folder(asked(folder, "malignant", test_share=0.0))
    assert len(arrays["train_labels"]) == 12


def test_columns_need_a_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--labels"):
        import_folder(asked(two_classes(tmp_path), "malignant", columns=Columns(group="patient")))


def test_other_files_are_counted_and_hidden_ones_are_not(tmp_path: Path) -> None:
    folder = two_classes(tmp_path)
    for name in ("notes.txt", "benign/a.dcm", ".DS_Store"):
        (folder / name).touch()
    assert import_folder(asked(folder, "malignant"))[1].left_out == 2


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "benign").mkdir()
    with pytest.raises(DataError, match=r"\.png"):
        import_folder(asked(tmp_path, "benign"))


@pytest.mark.parametrize("threshold", [0.95, None])
def test_progress_is_told_of_reading_and_of_comparing(threshold: float | None, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    request = asked(two_classes(tmp_path), "malignant", test_share=0.0, near_duplicates=threshold)
    import_folder(request, lambda what, share: told.append((what, share)))
    steps = ["reading images", *([] if threshold is None else ["comparing images"])]
    assert list(dict(told)) == steps
    assert [dict(told)[step] for step in steps] == [1.0] * len(steps)
