"""Implement `hpo data describe`: what is in a dataset, or in a data file of one's own."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from hpo.cli.common import UserPath, data_dir_option, json_option, print_json
from hpo.cli.completers import complete_datasets
from hpo.cli.csv_file import check_formats, csv_option, write_csv
from hpo.cli.render.page import page
from hpo.cli.render.progress import progress
from hpo.cli.streams import say, show
from hpo.data.described import read_described
from hpo.data.description import Description, PartCount
from hpo.data.description import describe as described
from hpo.data.folder import data_folder
from hpo.files import require_place
from hpo.text import counted

_COLUMNS = ("dataset", "part", "label", "samples", "positives")


@click.command()
@click.argument("name", metavar="DATASET|FILE.npz", shell_complete=complete_datasets)
@click.option(
    "--picture",
    metavar="FILE.png",
    type=UserPath(dir_okay=False),
    help="Draw samples of each class into a PNG file.",
)
@click.option("--quick", is_flag=True, help="Do not look for near-duplicates.")
@data_dir_option
@json_option
@csv_option
def describe(
    name: str, picture: Path | None, quick: bool, data_dir: str | None, as_json: bool, csv_file: str | None
) -> None:
    """Describe a dataset or file: classes, pixels, groups, warnings.

    Everything is of train and val. The test part stays sealed: only its number of samples is told. Takes seconds, and
    minutes for the 89,687 images of ChestMNIST unless --quick is given. With --csv: a row for each part and label.
    """
    check_formats(as_json=as_json, csv_file=csv_file)
    if picture is not None:
        require_place(picture)
    data = read_described(name, data_folder(data_dir))
    with progress() as beat:
        found = described(data, not quick, lambda share: beat(f"pairs of {data.name}", share))
    if picture is not None:
        # Imported late: Matplotlib is needed on this path only.
        from hpo.cli.render.class_sheet import draw_classes

        say(f"{draw_classes(data, picture)} samples are in {picture}")
    if csv_file is not None:
        write_csv(csv_file, _rows(found), _COLUMNS)
        for line in found.warnings:
            say(f"warning: {line}")
    elif as_json:
        print_json(found)
    else:
        _print(found)


def _rows(found: Description) -> list[dict[str, object]]:
    """Return a row for each part and label; what the test part holds of each is not told."""
    return [
        {
            "dataset": found.name,
            "part": part.part,
            "label": label,
            "samples": part.samples,
            "positives": None if part.positives is None else part.positives[number],
        }
        for part in found.parts
        for number, label in enumerate(found.label_names)
    ]


def _print(found: Description) -> None:
    counts = Table("part", "samples", *found.label_names, title=found.name)
    for part in found.parts:
        counts.add_row(part.part, f"{part.samples:,}", *_shares(part, len(found.label_names)))
    page().print(counts)
    for line in _sentences(found):
        show(line)
    for line in found.warnings:
        show(f"warning: {line}")


def _shares(part: PartCount, labels: int) -> list[str]:
    if part.positives is None:
        return ["sealed"] * labels
    return [f"{positives:,} ({positives / part.samples:.1%})" for positives in part.positives]


def _sentences(found: Description) -> list[str]:
    colours = "RGB" if len(found.shape) > found.dimensions else "grey"
    kind = "volumes" if found.dimensions == 3 else "images"
    shape = " x ".join(map(str, found.shape[: found.dimensions]))
    lines = [f"Pixels: {colours} {kind} of {shape}, values {found.lowest} to {found.highest}, mean {found.mean:.1f}."]
    if found.groups is not None:
        largest = counted(found.largest_group, "sample")
        lines.append(f"Groups: {found.groups:,} in train and val, the largest of {largest}.")
    twins = found.near_duplicates
    if twins is not None:
        lines.append(
            f"Near-duplicates: {counted(twins.pairs, 'pair')} of a correlation of {twins.correlation:g} or more, with "
            f"{twins.samples:,} samples; {twins.exact:,} identical, {twins.conflicts:,} of different labels."
        )
        if twins.kept_together > twins.correlation:
            lines.append(
                f"Folds keep those of {twins.kept_together:g} or more together: at {twins.correlation:g} similar "
                "images chain into groups too large for a fold."
            )
    return lines
