"""`hpo predict`: scores of images by exported networks."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.common import device_option
from hpo.cli.render.progress import progress
from hpo.outcome.prediction import predict as score
from hpo.outcome.prediction import read_images, write_scores


@click.command()
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@click.argument("images", metavar="FILE.npz", type=click.Path(path_type=Path))
@click.option("--array", metavar="NAME", help="Which array of the file holds the images.  [default: its only one]")
@click.option("--out", metavar="FILE.csv", required=True, type=click.Path(path_type=Path), help="Where the scores go.")
@device_option
def predict(model: Path, images: Path, array: str | None, out: Path, device: str) -> None:
    """Score images with the networks of `hpo export`.

    MODEL is one file, or a folder, whose networks are averaged. The lines are those that medmnist.Evaluator reads; it
    wants the name FLAG_SPLIT@RUN.csv.
    """
    found = read_images(images, array)

    # Torch takes seconds to load; --help, completion and a file that is not there do without.
    from hpo.training.machine.device import set_up_process

    set_up_process(None)
    with progress() as beat:
        scores = score(model, found, device, lambda share: beat("scoring", share))
    write_scores(scores, out)
    print(out)
