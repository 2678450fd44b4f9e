"""Implement `hpo data duplicates`: find near-duplicates in the development set of a dataset."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from hpo.cli.common import UserPath, data_dir_option, json_option, print_json
from hpo.cli.completers import complete_datasets
from hpo.cli.render.page import page
from hpo.cli.render.progress import progress
from hpo.cli.streams import say, show
from hpo.data.development import load_development
from hpo.data.folder import data_folder
from hpo.data.survey import SampleGroup, Survey, survey
from hpo.files import require_place
from hpo.study.catalogue import NEAR_DUPLICATE, find_dataset

_MOST_GROUPS, _MOST_SAMPLES = 10, 6


@click.command()
@click.argument("name", metavar="DATASET|FILE.npz", shell_complete=complete_datasets)
@click.option(
    "--threshold",
    metavar="R",
    type=click.FloatRange(0.5, 1.0),
    default=NEAR_DUPLICATE,
    show_default=True,
    help="Pearson correlation of all pixels from which two samples count as near-duplicates.",
)
@click.option(
    "--picture",
    metavar="FILE",
    type=UserPath(dir_okay=False),
    help="Draw pairs side by side into a PNG file.",
)
@data_dir_option
@json_option
def duplicates(name: str, threshold: float, picture: Path | None, data_dir: str | None, as_json: bool) -> None:
    """Find near-duplicate samples of DATASET, with pictures.

    Looks at the development set. The test set stays sealed: which of its samples have a near-duplicate is said by the
    report, once it has been opened. Takes seconds, and for the 89,687 images of ChestMNIST some minutes.
    """
    if picture is not None:
        require_place(picture)
    development = load_development(find_dataset(name), data_folder(data_dir), "none")
    with progress() as beat:
        found, pairs = survey(development, threshold, lambda share: beat(f"pairs of {development.dataset.name}", share))
    if picture is not None and not len(pairs):
        say("there are no pairs to draw")
    elif picture is not None:
        # Imported late: Matplotlib is needed on this path only.
        from hpo.cli.render.contact_sheet import draw_pairs

        say(f"{draw_pairs(development, pairs, picture)} of {len(pairs)} pairs are in {picture}")
    if as_json:
        print_json(found)
    else:
        _print(found, development.dataset.near_duplicates)


def _print(found: Survey, used: float | None) -> None:
    counts = Table("correlation at least", "pairs", "of different labels", title=f"{found.dataset}: near-duplicates")
    for level in found.levels:
        correlation = "exact" if level.correlation >= 1 else f"{level.correlation:g}"
        counts.add_row(correlation, f"{level.pairs:,}", f"{level.label_conflicts:,}")
    page().print(counts)
    for line in _sentences(found, used):
        show(line)
    if found.groups:
        groups = Table("samples", "correlations", "members (labels)", title="largest groups")
        for group in found.groups[:_MOST_GROUPS]:
            groups.add_row(str(len(group.samples)), f"{group.lowest:.3f} to {group.highest:.3f}", _members(group))
        page().print(groups)


def _sentences(found: Survey, used: float | None) -> list[str]:
    """Say what was found; `used` is the correlation from which studies keep samples together, None if they do not."""
    lines = []
    if found.complete_from > found.threshold:
        lines.append(f"More pairs than are kept: counted from {found.complete_from:g} on.")
    lines.append(
        f"Pairs: {found.within_train:,} within train, {found.within_val:,} within val, {found.across:,} across; "
        "the test set is sealed."
    )
    if found.grouped_from > found.threshold:
        lines.append(
            f"At {found.threshold:g} different samples are chained into large groups: groups are formed from "
            f"{found.grouped_from:g} on."
        )
    lines.append(
        f"Groups: {len(found.groups):,}, with {found.samples_in_groups:,} of {found.samples:,} samples; "
        f"{found.official_crossings:,} validation samples have one of their group in train."
    )
    if found.fold_crossings is None or found.grouped_fold_crossings is None:
        lines.append("Five folds: a class has too few samples for them.")
    else:
        lines.append(
            f"Five folds: {found.fold_crossings:.1%} of validation samples have one of their group in the training "
            "part if they are divided without regard to groups, "
            f"{found.grouped_fold_crossings:.1%} if groups stay together."
        )
    if used is None:
        lines.append(
            f"Studies of {found.dataset} do not keep near-duplicates together: images of different origin may be so "
            "similar."
        )
    elif used != found.threshold:
        lines.append(f"Studies keep samples together from a correlation of {used:g} on.")
    return lines


def _members(group: SampleGroup) -> str:
    shown = [f"{name} ({label})" for name, label in zip(group.samples, group.labels, strict=True)]
    more = len(shown) - _MOST_SAMPLES
    return ", ".join(shown[:_MOST_SAMPLES]) + (f" and {more} more" if more > 0 else "")
