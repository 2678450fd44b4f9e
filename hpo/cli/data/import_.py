"""Implement `hpo data import`: make a dataset of a folder of images and their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from hpo.cli.common import UserPath, json_option, print_json
from hpo.cli.render.page import page
from hpo.cli.render.progress import progress
from hpo.cli.streams import say, show
from hpo.data.importing.folder import DEFAULT_TEST_SHARE, PERCENTILES, Alike, Imported, Request, import_folder
from hpo.data.importing.pictures import DEFAULT_SIZE, Form
from hpo.data.importing.reading import ENDINGS
from hpo.data.importing.table import Columns
from hpo.data.importing.writing import require_writable, write_arrays
from hpo.errors import UsageError
from hpo.study.catalogue import NEAR_DUPLICATE
from hpo.text import brief, counted, shell

NONE = "none"
"""Value of options that switches off what they name."""

_NAMINGS = {
    "with the folder": "Files: their names in the table begin with the folder, which was left out.",
    "bare": "Files: found by their bare names in sub-folders, each of which is there once.",
}
_SHARE = click.FloatRange(0.0, 0.9)


class _ShareOrNone(click.ParamType):  # type: ignore[type-arg]
    """A correlation, or `none`."""

    name = "correlation or none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """Return the number, or the word."""
        return NONE if value == NONE else float(click.FloatRange(0.5, 1.0).convert(value, param, ctx))


@click.command("import")
@click.argument("folder", metavar="FOLDER", type=UserPath())
@click.option(
    "--labels",
    "table",
    metavar="FILE.csv",
    type=UserPath(),
    help="A table with a row for each image.  [default: the names of FOLDER's sub-folders are the labels]",
)
@click.option("--out", metavar="FILE.npz", required=True, type=UserPath(), help="The file to write.")
@click.option("--force", is_flag=True, help="Replace FILE.npz.")
@click.option(
    "--file-column", metavar="COLUMN", default="file", show_default=True, help="File names, relative to FOLDER."
)
@click.option(
    "--label-column",
    "label_columns",
    metavar="COLUMN",
    multiple=True,
    help="Labels; repeat it for several.  [default: label]",
)
@click.option("--labels-columns", metavar="A,B,...", help="The same for several labels, in one word.")
@click.option(
    "--positive",
    metavar="VALUE",
    multiple=True,
    help="This value is 1 and all others are 0; repeat it for several.  [default: labels are 0 and 1]",
)
@click.option("--group", metavar="COLUMN", help="What belongs together, such as patients: never divided.")
@click.option(
    "--split-column",
    metavar="COLUMN",
    help="train, val or test (or training, valid, validation, testing) for each image; none: draw the "
    "parts.  [default: split, if there is such a column]",
)
@click.option(
    "--test-share",
    metavar="SHARE",
    type=_SHARE,
    help=f"Draw this share of samples as test part.  [default: {DEFAULT_TEST_SHARE:g} without a split column]",
)
@click.option(
    "--val-share", metavar="SHARE", type=_SHARE, help="Draw this share as val part.  [default: no val part is drawn]"
)
@click.option("--seed", metavar="N", type=click.IntRange(min=0), help="Of the draw.  [default: 0]")
@click.option(
    "--near-duplicates",
    metavar="R",
    type=_ShareOrNone(),
    default=str(NEAR_DUPLICATE),
    show_default=True,
    help="Images of this correlation stay in one part when parts are drawn; none: they need not, and are not looked "
    "for.",
)
@click.option(
    "--size",
    metavar="N",
    type=click.IntRange(4, 224),
    help=f"Pixels an edge.  [default: {DEFAULT_SIZE}, or less if all images are smaller]",
)
@click.option(
    "--fit",
    type=click.Choice(["pad", "crop", "stretch"]),
    default="pad",
    show_default=True,
    help="How an image becomes square: add black, cut, or distort it.",
)
@click.option("--grey", "colour", flag_value="grey", help="Turn colours into grey.")
@click.option("--rgb", "colour", flag_value="rgb", help="Three channels.  [default: if any image has colours]")
@click.option(
    "--window",
    metavar="LOW HIGH",
    type=float,
    nargs=2,
    help="Values that become black and white.  [default: 8 bits stay as they are; of more bits, percentiles "
    f"{PERCENTILES[0]:g} and {PERCENTILES[1]:g} of train and val]",
)
@click.option("--name", metavar="NAME", help="Name of the dataset.  [default: that of FILE.npz]")
@json_option
def import_(
    folder: Path,
    table: Path | None,
    out: Path,
    force: bool,
    file_column: str,
    label_columns: tuple[str, ...],
    labels_columns: str | None,
    positive: tuple[str, ...],
    group: str | None,
    split_column: str | None,
    test_share: float | None,
    val_share: float | None,
    seed: int | None,
    near_duplicates: float | str,
    size: int | None,
    fit: str,
    colour: str | None,
    window: tuple[float, float] | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Make a dataset of FOLDER's images and a table of labels.

    Without a table the sub-folders are the labels: photos/benign/*.png, photos/malignant/*.png.

    FOLDER holds PNG, JPEG, TIFF or BMP images, or NIfTI volumes (pip install nibabel). The table has a header and a row
    for each image: its file, its label, and as you like its patient and its part.

    \b
    file,label,patient
    a/001.png,1,P17
    a/002.png,0,P17

    \b
    hpo data import photos --labels labels.csv --group patient --out mine.npz
    hpo data import photos --positive malignant --out mine.npz
    hpo data describe mine.npz --picture mine.png

    Nothing is written unless every row can be used; all problems are told at once, with exit code 4.
    """
    require_writable(out, force)
    if window is not None and not window[0] < window[1]:
        raise UsageError(f"--window {window[0]:g} {window[1]:g}: LOW must be below HIGH")
    if (val_share or 0.0) + (test_share or 0.0) >= 1:
        raise UsageError("--val-share and --test-share together must be below 1")
    request = Request(
        folder=folder,
        table=table,
        name=name or out.stem,
        columns=Columns(
            file=file_column,
            labels=_labels(label_columns, labels_columns),
            part=None if split_column == NONE else split_column,
            group=group,
        ),
        positive=positive,
        form=Form(size, fit, colour or "auto", window),  # type: ignore[arg-type]  # click checks the choices
        draw=split_column == NONE,
        val_share=val_share,
        test_share=test_share,
        seed=seed,
        near_duplicates=None if isinstance(near_duplicates, str) else near_duplicates,
    )
    with progress() as beat:
        arrays, imported = import_folder(request, beat)
    write_arrays(out, arrays)
    if as_json:
        print_json(imported)
    else:
        _print(imported, out, seed or 0)


def _labels(columns: tuple[str, ...], in_one_word: str | None) -> tuple[str, ...]:
    more = tuple(name.strip() for name in in_one_word.split(",")) if in_one_word is not None else ()
    chosen = (*columns, *more) or ("label",)
    if "" in chosen or len(set(chosen)) < len(chosen):
        raise UsageError(f"--label-column, --labels-columns: {brief(list(chosen))} has an empty or repeated name")
    return chosen


def _print(imported: Imported, out: Path, seed: int) -> None:
    counts = Table("part", "samples", "positives", title=str(out))
    for part in imported.parts:
        counts.add_row(part.part, f"{part.samples:,}", _positives(imported, part.positives))
    page().print(counts)
    for line in _sentences(imported, seed):
        show(line)
    for line in _warnings(imported):
        say(f"warning: {line}")
    show(f"next: hpo data describe {shell(str(out))}")


def _positives(imported: Imported, positives: tuple[int, ...] | None) -> str:
    if positives is None:
        return "sealed"
    if len(positives) == 1:
        return f"{positives[0]:,} ({imported.label_names[0]})"
    return ", ".join(f"{name} {count:,}" for name, count in zip(imported.label_names, positives, strict=True))


def _sentences(imported: Imported, seed: int) -> list[str]:
    read = imported.read
    kind, colours = ("images", "grey" if imported.channels == 1 else "RGB") if read.dimensions == 2 else ("volumes", "")
    shape = " x ".join([str(read.size)] * read.dimensions)
    edges = f"{read.smallest}" if read.smallest == read.largest else f"{read.smallest} to {read.largest}"
    changes = [
        f"{count:,} {what}"
        for count, what in ((read.shrunk, "shrunk"), (read.enlarged, "enlarged"), (read.reshaped, "made square"))
        if count
    ]
    lines = [
        f"{kind.capitalize()}: {shape} {colours}".rstrip()
        + (f", from {edges} pixels at the longest edge ({', '.join(changes)})." if changes else ", as they were.")
    ]
    if not imported.has_table:
        lines.append(
            "Labels: the sub-folders. Which images are of one patient is not known; a table says it (--labels)."
        )
    if imported.naming in _NAMINGS:
        lines.append(_NAMINGS[imported.naming])
    if imported.window is not None:
        how = "percentiles of train and val" if read.is_deep else "as given"
        lines.append(f"Values: {imported.window[0]:g} became 0, and {imported.window[1]:g} became 255 ({how}).")
    if imported.are_drawn:
        lines.append(f"Parts: drawn with seed {seed}, stratified by label.")
    else:
        lines.append(f"Parts: as the column {imported.part_column!r} of the table gives them.")
    if imported.groups is not None:
        largest = counted(imported.largest_group, "sample")
        kept = "each in one part" if not imported.in_several_parts else "not all in one part"
        lines.append(f"Groups: {imported.groups:,}, the largest of {largest}, {kept}.")
    if imported.near_duplicates is not None:
        lines.append(_near_duplicates(imported.near_duplicates, imported.are_drawn))
    return lines


def _near_duplicates(alike: Alike, are_drawn: bool) -> str:
    found = f"{alike.samples:,} samples have" if alike.samples else "no sample has"
    kept = ", and are in one part with it" if alike.samples and are_drawn else ""
    line = f"Near-duplicates: {found} a correlation of {alike.correlation:g} or more with another one{kept}."
    if alike.correlation > alike.asked:
        line += f" It was raised from {alike.asked:g}, at which similar images chain into groups too large for a part."
    return line


def _warnings(imported: Imported) -> list[str]:
    lines = []
    if imported.in_several_parts:
        lines.append(
            f"samples of {counted(imported.in_several_parts, 'group')} are in more than one part, as the table divides "
            "them: AUCs will be too high; --split-column none draws parts that keep groups whole"
        )
    if imported.left_out:
        lines.append(f"left out: {counted(imported.left_out, 'file')}; endings that are read: {', '.join(ENDINGS)}")
    alike = imported.near_duplicates
    if alike is not None and alike.across:
        lines.append(
            f"the table divides {counted(alike.across, 'pair')} of near-duplicates: AUCs will be too high; "
            "--split-column none draws parts that keep them together"
        )
    if imported.unused_groups is not None:
        lines.append(
            f"the column {imported.unused_groups!r} is not used, so that images of one {imported.unused_groups} may be "
            "in different parts and folds, and AUCs too high; "
            f"--group {shell(imported.unused_groups)} keeps them together"
        )
    if imported.ungrouped:
        without = counted(imported.ungrouped, "sample")
        lines.append(f"{without} without a group in the table: each is taken as one by itself")
    if all(part.part != "test" for part in imported.parts):
        lines.append("there is no test part, so that no result can be tested on samples that the search has not seen")
    return lines
