"""Implement `hpo predict`: score images with exported networks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from hpo.cli.common import UserPath, device_option
from hpo.cli.csv_file import STDOUT, write_csv
from hpo.cli.render.progress import progress
from hpo.cli.streams import say
from hpo.data.described import shown_labels
from hpo.data.importing.unlabelled import Found, find_pictures, read_unlabelled
from hpo.errors import OutputError, UsageError
from hpo.files import expanded, require_new, why_unwritable
from hpo.outcome.prediction import load_models, read_images, score_lines, write_scores
from hpo.outcome.prediction import predict as score
from hpo.study.catalogue import Dataset
from hpo.study.own import SUFFIX, Fit
from hpo.text import counted


@click.command()
@click.argument("model", metavar="MODEL", type=UserPath())
@click.argument("sources", metavar="FILE.npz|FOLDER|FILE...", nargs=-1, required=True, type=UserPath())
@click.option("--array", metavar="NAME", help="Which array of FILE.npz holds the images.  [default: its only one]")
@click.option(
    "--fit",
    type=click.Choice(["pad", "crop", "stretch"]),
    help="How a picture becomes square.  [default: as the data of MODEL were imported, else pad]",
)
@click.option(
    "--window",
    metavar="LOW HIGH",
    type=float,
    nargs=2,
    help="Values that become black and white.  [default: as the data of MODEL were imported]",
)
@click.option(
    "--out",
    metavar="FILE.csv",
    default="scores.csv",
    show_default=True,
    type=UserPath(),
    help="File of the scores, or - for standard output.",
)
@click.option("--force", is_flag=True, help="Replace FILE.csv.")
@device_option
def predict(
    model: Path,
    sources: tuple[Path, ...],
    array: str | None,
    fit: Fit | None,
    window: tuple[float, float] | None,
    out: Path,
    force: bool,
    device: str,
) -> None:
    """Score images with the networks of `hpo export`.

    MODEL is one file, or a folder, whose networks are averaged. Images are PNG, JPEG, TIFF, BMP or NIfTI files, or all
    of them below a folder, which become what MODEL was trained on; the output has a header and a line for each: file,
    score. Or they are an array of a FILE.npz; then the output has the format of medmnist.Evaluator, which expects the
    name FLAG_SPLIT@RUN.csv.

    \b
    hpo predict hpo-results/mine/export photos
    hpo predict hpo-results/mine/export a.png b.png --out two.csv
    """
    arrays = [source for source in sources if source.suffix == SUFFIX and not source.is_dir()]
    _check_options(sources, arrays, array, fit, window)
    out = expanded(out)
    _check_output(out, force)
    images = read_images(arrays[0], array) if arrays else None
    found = None if arrays else find_pictures(sources)

    # Imported late: torch takes seconds, which --help, completion and missing files need not wait for.
    from hpo.training.machine.device import set_up_process

    set_up_process(None)
    models = load_models(model)
    dataset = models[0].dataset
    with progress() as beat:
        if found is not None:
            images = read_unlabelled(
                found, dataset, fit=fit, window=window, progress=lambda share: beat("reading images", share)
            )
        assert images is not None
        scores = score(models, images, device, lambda share: beat("scoring", share))
    if found is None and str(out) == STDOUT:
        print(score_lines(scores), end="", flush=True)
    elif found is None:
        write_scores(scores, out)
        say(f"{out}: {counted(len(scores), 'row')}")
    else:
        if found.others:
            say(f"left out: {counted(found.others, 'file')} with other endings")
        _write_table(found, dataset, scores, out)


def _check_output(out: Path, force: bool) -> None:
    """Raise OutputError, before the long work, if the scores cannot be written."""
    if str(out) == STDOUT:
        return
    if problem := why_unwritable(out.parent):
        raise OutputError(f"{out} cannot be written: {problem}; give another FILE to --out")
    require_new(out, force)


def _check_options(
    sources: tuple[Path, ...],
    arrays: list[Path],
    array: str | None,
    fit: Fit | None,
    window: tuple[float, float] | None,
) -> None:
    """Raise UsageError unless the options go with what is scored."""
    if arrays and len(sources) > 1:
        raise UsageError(f"{arrays[0]} is scored by itself: give one FILE.npz, or pictures and folders of them")
    if arrays and (fit, window) != (None, None):
        raise UsageError("--fit and --window are for pictures; an array of FILE.npz is scored as it is")
    if not arrays and array is not None:
        raise UsageError("--array names an array of a FILE.npz; leave it out for pictures")
    if window is not None and not window[0] < window[1]:
        raise UsageError(f"--window {window[0]:g} {window[1]:g}: LOW must be below HIGH")


def _write_table(found: Found, dataset: Dataset, scores: NDArray[np.float64], out: Path) -> None:
    labels = shown_labels(dataset) if dataset.labels > 1 else ("score",)
    file, *columns = _distinct(["path" if "file" in labels else "file", *labels])
    rows = [
        {file: name} | {column: repr(float(value)) for column, value in zip(columns, values, strict=True)}
        for (name, _), values in zip(found.files, scores, strict=True)
    ]
    # One that cannot be made is told by the file that cannot be written.
    with suppress(OSError):
        out.parent.mkdir(parents=True, exist_ok=True)
    write_csv(str(out), rows, option="--out")


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names of columns, of which those that are there already get a number: nobody checks names of labels."""
    found: list[str] = []
    for name in names:
        others = (f"{name} ({number})" for number in count(2))
        found.append(next(one for one in chain([name], others) if one not in found))
    return found
