"""`import_folder`: what pictures and a table become, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpo.data.importing.folder import Alike, Imported, Request, import_folder
from hpo.data.importing.pictures import Form
from hpo.data.importing.table import Columns
from hpo.errors import DataError, UsageError

RANDOM = np.random.default_rng(11)


def noise(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape or (10, 10), dtype=np.uint8)


def write(folder: Path, pictures: dict[str, np.ndarray], header: str, rows: list[str]) -> None:
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / name)
    (folder / "labels.csv").write_text("\n".join([header, *rows]))


def asked(folder: Path, columns: Columns | None = None, **changes: Any) -> Request:
    return Request(folder=folder, table=folder / "labels.csv", name="made", columns=columns or Columns(), **changes)


def made(folder: Path, count: int = 20, **changes: Any) -> tuple[dict[str, np.ndarray], Imported]:
    """Import `count` noise images, of labels 0 1 0 1 ..."""
    images = {f"{number}.png": noise() for number in range(count)}
    write(folder, images, "file,label", [f"{number}.png,{number % 2}" for number in range(count)])
    return import_folder(asked(folder, **changes))


def test_samples_keep_the_order_of_the_table(tmp_path: Path) -> None:
    images = {f"{number}.png": noise() for number in range(6)}
    rows = ["4.png,1,train", "1.png,1,test", "0.png,0,train", "3.png,0,test", "2.png,1,train", "5.png,0,test"]
    write(tmp_path, images, "file,label,split", rows)
    arrays, told = import_folder(asked(tmp_path))
    np.testing.assert_array_equal(arrays["train_images"], [images[f"{number}.png"] for number in (4, 0, 2)])
    np.testing.assert_array_equal(arrays["test_images"], [images[f"{number}.png"] for number in (1, 3, 5)])
    assert arrays["train_labels"].tolist() == [[1], [0], [1]]
    assert not told.are_drawn
    assert "val_images" not in arrays


def test_shares_are_those_that_were_asked_for(tmp_path: Path) -> None:
    arrays, told = made(tmp_path, 40, test_share=0.25, val_share=0.1)
    assert [(part.part, part.samples) for part in told.parts] == [("train", 26), ("val", 4), ("test", 10)]
    assert arrays["test_labels"].sum() == 5
    assert arrays["val_labels"].sum() == 2


def test_without_a_test_share_there_is_no_test_part(tmp_path: Path) -> None:
    arrays, told = made(tmp_path, test_share=0.0)
    assert [part.part for part in told.parts] == ["train"]
    assert "test_images" not in arrays


def test_patients_are_never_divided_and_their_names_are_not_kept(tmp_path: Path) -> None:
    images = {f"{number}.png": noise() for number in range(30)}
    rows = [f"{number}.png,{number % 2},{'' if number == 29 else f'Miller {number // 5}'}" for number in range(30)]
    write(tmp_path, images, "file,label,patient", rows)
    arrays, told = import_folder(asked(tmp_path, Columns(group="patient"), test_share=0.3))
    assert not {*arrays["train_groups"][arrays["train_groups"] >= 0]} & {*arrays["test_groups"]}
    assert sorted([*arrays["train_groups"], *arrays["test_groups"]]) == [-1, *np.repeat(range(5), 5), *[5] * 4]
    assert arrays["train_groups"].dtype == np.int64
    assert (told.groups, told.largest_group, told.ungrouped, told.in_several_parts) == (6, 5, 1, 0)


def test_patients_that_the_table_divides_are_told(tmp_path: Path) -> None:
    write(
        tmp_path,
        {f"{number}.png": noise() for number in range(4)},
        "file,label,split,patient",
        ["0.png,0,train,A", "1.png,1,train,B", "2.png,0,test,B", "3.png,1,test,C"],
    )
    assert import_folder(asked(tmp_path, Columns(group="patient")))[1].in_several_parts == 1


def test_near_duplicates_stay_in_one_part(tmp_path: Path) -> None:
    first = [noise() for _ in range(10)]
    images = {f"{number}.png": first[number % 10] for number in range(30)}
    write(tmp_path, images, "file,label", [f"{number}.png,{number % 2}" for number in range(30)])
    arrays, told = import_folder(asked(tmp_path, test_share=0.3))
    parts = [{image.tobytes() for image in arrays[f"{part}_images"]} for part in ("train", "test")]
    assert not parts[0] & parts[1]
    assert (told.near_duplicates.correlation, told.near_duplicates.samples) == (0.95, 30)
    assert import_folder(asked(tmp_path, test_share=0.3, near_duplicates=None))[1].near_duplicates is None


def test_patients_that_near_duplicates_would_chain_stay_apart(tmp_path: Path) -> None:
    """All images look alike: at .95 everything would be one group, and no part could be drawn."""
    plain = np.add.outer(np.arange(10), np.arange(10)) * 10
    images = {f"{number}.png": (plain + noise() % 24).astype(np.uint8) for number in range(40)}
    rows = [f"{number}.png,{number % 2},{number // 4}" for number in range(40)]
    write(tmp_path, images, "file,label,patient", rows)
    _, told = import_folder(asked(tmp_path, Columns(group="patient")))
    assert told.near_duplicates.correlation > 0.95
    assert {part.part: part.samples for part in told.parts}["test"] == 8


def test_a_column_split_is_used_unless_parts_are_to_be_drawn(tmp_path: Path) -> None:
    write(
        tmp_path,
        {f"{number}.png": noise() for number in range(20)},
        "file,label,split",
        [f"{number}.png,{number % 2},{'val' if number < 4 else 'train'}" for number in range(20)],
    )
    assert [part.part for part in import_folder(asked(tmp_path))[1].parts] == ["train", "val"]
    assert [part.part for part in import_folder(asked(tmp_path, draw=True))[1].parts] == ["train", "test"]
    for useless in ({"test_share": 0.2}, {"seed": 3}):
        with pytest.raises(UsageError, match="split"):
            import_folder(asked(tmp_path, **useless))


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_of_one_class_is_refused(part: str, tmp_path: Path) -> None:
    other = "test" if part == "train" else "train"
    rows = [f"0.png,0,{part}", f"1.png,0,{part}", f"2.png,0,{other}", f"3.png,1,{other}"]
    write(tmp_path, {f"{number}.png": noise() for number in range(4)}, "file,label,split", rows)
    with pytest.raises(DataError, match=part):
        import_folder(asked(tmp_path))


def test_a_part_for_which_groups_leave_no_samples_is_said_to_be_empty(tmp_path: Path) -> None:
    images = {f"{number}.png": noise() for number in range(20)}
    write(tmp_path, images, "file,label,patient", [f"{number}.png,{number % 2},A" for number in range(20)])
    with pytest.raises(DataError, match=r"no samples are left for test; .* the largest with 20 of 20 samples"):
        import_folder(asked(tmp_path, Columns(group="patient")))


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"good.png": noise(), "twice.png": noise()},
        "file,label",
        [
            "good.png,1",
            "twice.png,0",
            "twice,0",
            "gone.png,1",
            "bad.png,0",
            "empty.png,",
            "good.png,1",
            f"{'x' * 300},0",
        ],
    )
    (tmp_path / "bad.png").write_bytes(b"not an image")
    (tmp_path / "empty.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    with pytest.raises(DataError) as refused:
        import_folder(asked(tmp_path))
    # The last name is longer than that of any file.
    for fact in (
        "gone.png (line 5)",
        "xx (line 9)",
        "bad.png (line 6)",
        "lines 2 and 8",
        "lines 3 and 4",
        "empty.png (line 7), col",
    ):
        assert fact in str(refused.value)


def test_a_name_without_an_ending_that_fits_two_files_is_not_guessed(tmp_path: Path) -> None:
    images = {f"{number}.{ending}": noise() for number in range(4) for ending in ("jpg", "png")}
    write(tmp_path, images, "file,label", ["0,1", "1,0", "2.jpg,1", "3.png,0"])
    with pytest.raises(DataError, match=r"2 problems.*\n.*several files"):
        import_folder(asked(tmp_path))


def test_wrong_labels_are_told_before_images_are_read(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": noise()}, "file,label", ["a.png,mel", "b.png,nv"])
    with pytest.raises(DataError) as refused:
        import_folder(asked(tmp_path), progress=lambda _: pytest.fail("an image was read"))
    assert "--positive" in str(refused.value)


def test_the_default_size_is_28_and_less_for_smaller_images(tmp_path: Path) -> None:
    arrays, told = made(tmp_path)
    assert arrays["train_images"].shape[1:] == (10, 10)
    assert (told.read.size, told.read.shrunk, told.read.enlarged) == (10, 0, 0)
    large = {"0.png": noise(40, 30), "1.png": noise(20, 20)}
    write(tmp_path, large, "file,label", ["0.png,0", "1.png,1"])
    arrays, told = import_folder(asked(tmp_path, test_share=0.0))
    assert arrays["train_images"].shape == (2, 28, 28)
    assert (told.read.shrunk, told.read.enlarged, told.read.reshaped) == (1, 1, 1)
    assert (told.read.smallest, told.read.largest) == (20, 40)
    assert arrays["train_images"][0, :, :3].max() == 0


def test_colours_are_kept_made_grey_or_given_to_all(tmp_path: Path) -> None:
    write(tmp_path, {"0.png": noise(8, 8, 3), "1.png": noise(8, 8)}, "file,label", ["0.png,0", "1.png,1"])
    auto, told = import_folder(asked(tmp_path, test_share=0.0))
    assert auto["train_images"].shape == (2, 8, 8, 3)
    assert told.channels == 3
    grey, told = import_folder(asked(tmp_path, test_share=0.0, form=Form(colour="grey")))
    assert told.channels == 1
    expected = np.array(Image.open(tmp_path / "0.png").convert("L")).astype(int)
    assert np.abs(grey["train_images"][0] - expected).max() <= 1
    write(tmp_path, {"0.png": noise(8, 8)}, "file,label", ["0.png,0", "1.png,1"])
    assert import_folder(asked(tmp_path, test_share=0.0))[0]["train_images"].shape == (2, 8, 8)
    forced, _ = import_folder(asked(tmp_path, test_share=0.0, form=Form(colour="rgb")))
    assert forced["train_images"].shape == (2, 8, 8, 3)
    assert (np.ptp(forced["train_images"], axis=-1) == 0).all()


def deep(folder: Path) -> list[np.ndarray]:
    """Four images of 16 bits, the last one much brighter and in the test part."""
    images = [RANDOM.integers(1000, 3000, (8, 8)).astype(np.uint16) for _ in range(3)]
    images.append(np.full((8, 8), 60_000, dtype=np.uint16))
    images.append(images[0] + 1)
    rows = ["0.png,0,train", "1.png,1,train", "2.png,0,test", "3.png,1,test", "4.png,1,val"]
    write(folder, {f"{n}.png": image for n, image in enumerate(images)}, "file,label,split", [*rows, "5.png,0,val"])
    Image.fromarray(images[1]).save(folder / "5.png")
    return images


def test_sixteen_bits_are_scaled_by_percentiles_of_the_development_set(tmp_path: Path) -> None:
    images = deep(tmp_path)
    arrays, told = import_folder(asked(tmp_path))
    pixels = np.concatenate([images[0], images[1], images[4], images[1]]).astype(np.float32)
    low, high = np.percentile(pixels, [0.5, 99.5])
    assert told.window == pytest.approx((low, high))
    expected = np.clip((images[1].astype(float) - low) * 255 / (high - low), 0, 255)
    assert np.abs(arrays["train_images"][1] - expected).max() <= 0.51
    assert arrays["test_images"][1].min() == 255


def test_a_window_is_taken_as_given(tmp_path: Path) -> None:
    images = deep(tmp_path)
    arrays, told = import_folder(asked(tmp_path, form=Form(window=(1000.0, 3040.0))))
    assert told.window == (1000.0, 3040.0)
    np.testing.assert_array_equal(arrays["train_images"][0], np.floor((images[0] - 1000) / 8 + 0.5))


def test_padding_does_not_count_in_percentiles(tmp_path: Path) -> None:
    images = {f"{number}.png": RANDOM.integers(1000, 3000, (8, 4)).astype(np.uint16) for number in range(2)}
    write(tmp_path, images, "file,label", ["0.png,0", "1.png,1"])
    arrays, told = import_folder(asked(tmp_path, test_share=0.0))
    assert told.window[0] >= 1000
    assert arrays["train_images"][:, :, :2].max() == 0


def test_images_of_different_depth_or_kind_are_refused(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"0.png": noise(), "1.png": noise().astype(np.uint16) * 100},
        "file,label",
        ["0.png,0", "1.png,1"],
    )
    with pytest.raises(DataError, match="--window"):
        import_folder(asked(tmp_path))
    pages = [Image.fromarray(noise()) for _ in range(3)]
    pages[0].save(tmp_path / "1.tif", save_all=True, append_images=pages[1:])
    (tmp_path / "labels.csv").write_text("file,label\n0.png,0\n1.tif,1\n")
    with pytest.raises(DataError, match="volumes"):
        import_folder(asked(tmp_path))


def test_stacks_of_pages_become_cubes(tmp_path: Path) -> None:
    for number in range(2):
        pages = [Image.fromarray(noise(8, 8)) for _ in range(4)]
        pages[0].save(tmp_path / f"{number}.tif", save_all=True, append_images=pages[1:])
    (tmp_path / "labels.csv").write_text("file,label\n0.tif,0\n1.tif,1\n")
    arrays, told = import_folder(asked(tmp_path, test_share=0.0))
    assert arrays["train_images"].shape == (2, 8, 8, 8)
    assert told.read.dimensions == 3
    assert arrays["train_images"][:, :2].max() == 0
    with pytest.raises(DataError, match="--rgb"):
        import_folder(asked(tmp_path, test_share=0.0, form=Form(colour="rgb")))


def test_images_that_are_constant_need_a_window(tmp_path: Path) -> None:
    flat = {f"{number}.png": np.full((8, 8), 700, dtype=np.uint16) for number in range(2)}
    write(tmp_path, flat, "file,label", ["0.png,0", "1.png,1"])
    with pytest.raises(DataError, match="--window"):
        import_folder(asked(tmp_path, test_share=0.0, near_duplicates=None))
    with pytest.raises(DataError, match="--window"):
        import_folder(asked(tmp_path, test_share=0.0))


def test_volumes_of_nifti_files_are_imported(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    for number in range(2):
        values = RANDOM.integers(-1000, 1000, (6, 6, 3)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 2.0, 1.0])), tmp_path / f"{number}.nii.gz")
    (tmp_path / "labels.csv").write_text("file,label\n0,0\n1,1\n")
    arrays, _ = import_folder(asked(tmp_path, test_share=0.0, form=Form(window=(-1000.0, 1000.0))))
    assert arrays["train_images"].shape == (2, 6, 6, 6)
    assert arrays["train_images"].std() > 30


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        import_folder(Request(folder=tmp_path / "nowhere", table=tmp_path / "labels.csv", name="made"))


def test_near_duplicates_across_parts_of_the_table_are_counted(tmp_path: Path) -> None:
    same = noise()
    images = {"0.png": same, "1.png": noise(), "2.png": same, "3.png": noise()}
    write(tmp_path, images, "file,label,split", ["0.png,0,train", "1.png,1,train", "2.png,0,test", "3.png,1,test"])
    _, told = import_folder(asked(tmp_path))
    assert told.part_column == "split"
    assert told.near_duplicates == Alike(correlation=0.95, asked=0.95, samples=2, across=1)
    assert import_folder(asked(tmp_path, near_duplicates=None))[1].near_duplicates is None


def test_a_raised_correlation_is_told_with_the_one_that_was_asked_for(tmp_path: Path) -> None:
    base = noise(16, 16).astype(int)
    images = {f"{n}.png": np.clip(base + RANDOM.normal(0, 12, base.shape), 0, 255).astype(np.uint8) for n in range(60)}
    write(tmp_path, images, "file,label", [f"{n}.png,{n % 2}" for n in range(60)])
    _, told = import_folder(asked(tmp_path))
    assert told.near_duplicates is not None
    assert told.near_duplicates.correlation > told.near_duplicates.asked == 0.95


@pytest.mark.parametrize(
    ("column", "group", "expected"),
    [
        *(("patient", None, "patient"), ("Subject_ID", None, "Subject_ID"), ("caseno", None, "caseno")),
        *(("patient", "patient", None), ("hospital", None, None)),
    ],
)
def test_a_column_of_patients_that_is_not_used_is_noticed(
    column: str, group: str | None, expected: str | None, tmp_path: Path
) -> None:
    write(tmp_path, {f"{n}.png": noise() for n in range(8)}, f"file,label,{column}", [
        f"{n}.png,{n % 2},P{n // 2}" for n in range(8)
    ])  # fmt: skip
    assert import_folder(asked(tmp_path, Columns(group=group), test_share=0.0))[1].unused_groups == expected


def test_a_column_of_patients_with_one_image_each_is_not_needed(tmp_path: Path) -> None:
    write(tmp_path, {"0.png": noise(), "1.png": noise()}, "file,label,patient", ["0.png,0,a", "1.png,1,b"])
    assert import_folder(asked(tmp_path, test_share=0.0))[1].unused_groups is None
