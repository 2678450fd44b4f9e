"""Pictures without labels become what `hpo data import` makes of the same files for training."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpo.data.importing.folder import Request, import_folder
from hpo.data.importing.pictures import Form
from hpo.data.importing.unlabelled import find_pictures, read_unlabelled
from hpo.data.importing.writing import write_arrays
from hpo.errors import DataError, UsageError
from hpo.study.catalogue import Dataset, find_dataset
from tests.mention import unmentioned

RANDOM = np.random.default_rng(5)
COUNT = 12


def oblong(kind: str) -> np.ndarray:
    if kind == "deep":
        return RANDOM.integers(0, 60_000, (14, 9), dtype=np.uint16)
    shape = (14, 9, 3) if kind == "rgb" else (14, 9)
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def pictures(folder: Path, kind: str) -> Path:
    """Pictures in a folder and one below it, whose names are in another order than they were made."""
    (folder / "below").mkdir(parents=True)
    for number in range(COUNT):
        place = folder / "below" if number % 3 == 0 else folder
        Image.fromarray(oblong(kind)).save(place / f"{99 - number}.png")
    return folder


def imported(folder: Path, **form: Any) -> tuple[Dataset, dict[str, np.ndarray], list[str]]:
    """The data set of a folder of pictures, all of them in train, and their names in its order."""
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.png"))]
    lines = ["file,label,split", *(f"{name},{number % 2},train" for number, name in enumerate(names))]
    table = folder.parent / "labels.csv"
    table.write_text("\n".join(lines))
    arrays, _ = import_folder(Request(folder=folder, table=table, name="made", form=Form(**form)))
    out = folder.parent / "made.npz"
    write_arrays(out, arrays)
    return find_dataset(str(out)), arrays, names


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("grey", {"size": 8}),
        ("grey", {"size": 8, "fit": "crop"}),
        ("grey", {"size": 20, "fit": "stretch", "window": (50.0, 200.0)}),
        ("rgb", {"size": 8}),
        ("rgb", {"size": 8, "colour": "grey"}),
        ("deep", {"size": 8}),
        ("deep", {"size": 8, "window": (1000.0, 50_000.0)}),
    ],
    ids=str,
)
def test_they_become_the_same_bytes_as_in_training(tmp_path: Path, kind: str, form: dict[str, Any]) -> None:
    folder = pictures(tmp_path / "photos", kind)
    dataset, arrays, names = imported(folder, **form)
    found = find_pictures([folder])
    assert [name for name, _ in found.files] == names
    np.testing.assert_array_equal(read_unlabelled(found, dataset), arrays["train_images"])


def test_grey_pictures_have_three_channels_for_a_network_of_colours(tmp_path: Path) -> None:
    dataset, _, _ = imported(pictures(tmp_path / "photos", "rgb"), size=8)
    grey = pictures(tmp_path / "grey", "grey")
    images = read_unlabelled(find_pictures([grey]), dataset)
    assert images.shape == (COUNT, 8, 8, 3)
    assert (images == images[..., :1]).all()


@pytest.mark.parametrize(("trained", "given"), [("grey", "deep"), ("deep", "grey")])
def test_another_depth_than_in_training_needs_a_window(tmp_path: Path, trained: str, given: str) -> None:
    dataset, _, _ = imported(pictures(tmp_path / "photos", trained), size=8)
    found = find_pictures([pictures(tmp_path / "new", given)])
    with pytest.raises(UsageError, match="--window"):
        read_unlabelled(found, dataset)
    assert read_unlabelled(found, dataset, window=(0.0, 255.0)).shape == (COUNT, 8, 8)


def test_pictures_are_not_volumes(tmp_path: Path) -> None:
    found = find_pictures([pictures(tmp_path / "new", "grey")])
    with pytest.raises(DataError):
        read_unlabelled(found, find_dataset("nodule3d"))


def test_volumes_are_refused_by_no_option_of_the_import(tmp_path: Path) -> None:
    dataset, _, _ = imported(pictures(tmp_path / "photos", "rgb"), size=8)
    pages = [Image.fromarray(oblong("grey")) for _ in range(5)]
    pages[0].save(tmp_path / "volume.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError) as refused:
        read_unlabelled(find_pictures([tmp_path / "volume.tif"]), dataset)
    assert unmentioned(refused.value, "images", "volumes") == []
    assert "--" not in str(refused.value)


def test_pictures_that_do_not_fit_in_memory_are_refused_by_no_option_of_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(DataError) as refused:
        read_unlabelled(find_pictures([pictures(tmp_path / "new", "grey")]), find_dataset("breast"))
    assert unmentioned(refused.value, COUNT, 28) == []
    assert "--" not in str(refused.value)


def test_files_and_folders_are_named_as_they_were_given_and_taken_once(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "new", "grey")
    (folder / "notes.txt").touch()
    (folder / ".hidden.png").touch()
    found = find_pictures([folder / "98.png", folder])
    assert found.files[0] == (str(folder / "98.png"), folder / "98.png")
    assert len(found.files) == COUNT
    assert all(Path(name) == path for name, path in found.files)
    assert found.others == 1


def test_what_cannot_be_read_is_told_all_at_once(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "new", "grey")
    for name in ("a.png", "b.jpg"):
        (folder / name).write_text("no picture")
    with pytest.raises(DataError) as caught:
        read_unlabelled(find_pictures([folder]), find_dataset("breast"))
    assert all(name in str(caught.value) for name in ("a.png", "b.jpg"))
    (tmp_path / "empty").mkdir()
    for sources in ([tmp_path / "empty"], [tmp_path / "gone"]):
        with pytest.raises(DataError):
            find_pictures(sources)


def test_how_pixels_were_made_is_no_part_of_a_fingerprint_and_may_be_missing(tmp_path: Path) -> None:
    from hpo.study.files import default_spec

    dataset, arrays, _ = imported(pictures(tmp_path / "photos", "deep"), size=8)
    assert dataset.own is not None
    assert dataset.own.pixels is not None
    assert dataset.own.pixels.is_deep
    assert "pixels" not in default_spec(dataset.source).canonical()["own"]
    write_arrays(tmp_path / "made.npz", arrays | {"pixels": np.zeros(3)})
    other = find_dataset(str(tmp_path / "made.npz"))
    assert other.own is not None
    assert other.own.pixels is None


def test_a_folder_that_cannot_be_read_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "photos", "grey")
    listed = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("below"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr("os.scandir", scandir)
    with pytest.raises(DataError, match="below"):
        find_pictures([tmp_path / "photos"])
