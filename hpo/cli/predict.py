"""Implement `hpo predict`: score images with exported networks."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.common import device_option
from hpo.cli.render.progress import progress
from hpo.cli.streams import show
from hpo.outcome.prediction import predict as score
from hpo.outcome.prediction import read_images, write_scores


@click.command()
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@click.argument("images", metavar="FILE.npz", type=click.Path(path_type=Path))
@click.option("--array", metavar="NAME", help="Which array of the file holds the images.  [default: its only one]")
@click.option("--out", metavar="FILE.csv", required=True, type=click.Path(path_type=Path), help="File of the scores.")
@device_option
def predict(model: Path, images: Path, array: str | None, out: Path, device: str) -> None:
    """Score images with the networks of `hpo export`.

    MODEL is one file, or a folder, whose networks are averaged. The output has the format of medmnist.Evaluator,
    which expects the name FLAG_SPLIT@RUN.csv.
    """
    found = read_images(images, array)

    # Imported late: torch takes seconds, which --help, completion and missing files need not wait for.
    from hpo.training.machine.device import set_up_process

    set_up_process(None)
    with progress() as beat:
        scores = score(model, found, device, lambda share: beat("scoring", share))
    write_scores(scores, out)
    show(out)
