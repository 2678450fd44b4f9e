"""Commands that end in a result: `hpo finalize|report|export|predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.cli.completion import complete_studies
from hpo.cli.options import data_dir_option, device_option, json_option, print_json, storage_option
from hpo.cli.progress import progress

if TYPE_CHECKING:
    from hpo.outcome.networks import Entry
    from hpo.search.study import Study

_RESULTS = Path("hpo-results")

_results_option = click.option(
    "--results",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of the final result.  [default: hpo-results/STUDY]",
)
_confirmation_option = click.option(
    "--confirmation", metavar="STUDY", help="Name of the confirmation.  [default: STUDY-confirm]"
)


@click.command()
@click.argument("study_name", metavar="STUDY", shell_complete=complete_studies)
@click.option(
    "--seeds", metavar="N", default=5, show_default=True, type=click.IntRange(1, 100), help="Networks of each."
)
@click.option(
    "--rows",
    type=click.Choice(("development", "training")),
    default="development",
    show_default=True,
    help="Train on all development rows, or as MedMNIST does: on training rows, the epoch by validation rows.",
)
@click.option("--trial", metavar="N", type=click.IntRange(min=0), help="Take this trial, without a confirmation.")
@click.option("--train-only", is_flag=True, help="Train the networks and leave the test rows sealed.")
@click.option("--reopen", metavar="WHY", default="", help="Open test rows again that were opened before, and why.")
@_confirmation_option
@_results_option
@storage_option
@data_dir_option
@device_option
@json_option
def finalize(
    study_name: str,
    seeds: int,
    rows: str,
    trial: int | None,
    train_only: bool,
    reopen: str,
    confirmation: str | None,
    results: Path | None,
    storage: str | None,
    data_dir: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Train the winner of STUDY and its references anew, then open the test rows, once.

    Ctrl-C stops cleanly; the same command goes on. Before any test row is read the opening is written to the ledger.
    """
    from hpo.data.development import load_development
    from hpo.data.folder import data_folder
    from hpo.outcome.judgement import judge_final
    from hpo.outcome.networks import Protocol, train_networks
    from hpo.outcome.opening import open_and_score
    from hpo.outcome.report.result.sections import verdicts
    from hpo.training.machine.device import set_up_process
    from hpo.training.machine.provenance import code_version

    study = _open(study_name, storage)
    entries = _entries(study, trial, confirmation)
    folder, data = results or _RESULTS / study_name, data_folder(data_dir)
    protocol = Protocol("training" if rows == "training" else "development", study.spec.budget.epochs, seeds,
                        study.spec.search.seed)  # fmt: skip
    set_up_process(None)
    development = load_development(study.spec.data, data)
    with progress() as beat:
        networks = train_networks(entries, protocol, development, folder, device, beat, _talk)
    if train_only:
        _talk(f"{len(networks)} networks lie in {folder / 'models'}; the test rows are still sealed")
        return
    commit, dirty = code_version()
    version = f"{commit}{' with uncommitted changes' if dirty else ''}"
    final = open_and_score(study, entries, protocol, networks, data, folder, version, reopen, device)
    judgement = judge_final(final)
    if as_json:
        print_json(judgement)
        return
    from hpo.cli.judged import judgement_table
    from hpo.cli.view import page

    page().print(judgement_table(study_name, judgement))
    for sentence in verdicts(judgement, study.spec.data):
        print(sentence)


@click.command()
@click.argument("study_name", metavar="[STUDY]", required=False, shell_complete=complete_studies)
@click.option("--all", "of_all", is_flag=True, help="One page over all datasets that have a final result.")
@click.option(
    "--out", metavar="DIR", type=click.Path(path_type=Path), help="Where to.  [default: where the results are]"
)
@_confirmation_option
@_results_option
@storage_option
def report(
    study_name: str | None,
    of_all: bool,
    out: Path | None,
    confirmation: str | None,
    results: Path | None,
    storage: str | None,
) -> None:
    """Write the technical report of STUDY as it stands: one HTML page, and Markdown with figures.

    With --all: the table over datasets, from the final results in the folders below --results.  [default: hpo-results]
    """
    from hpo.errors import UsageError
    from hpo.outcome.report.document import write

    if of_all == (study_name is not None):
        raise UsageError("give a STUDY, or --all for one page over all datasets")
    if study_name is None:
        from hpo.outcome.report.overview import gather_rows, overview

        folder = results or _RESULTS
        document = overview(gather_rows(folder))
    else:
        from hpo.outcome.report.build import build
        from hpo.outcome.report.gather import gather

        folder = results or _RESULTS / study_name
        document = build(gather(_open(study_name, storage), folder, confirmation))
    for path in write(document, out or folder):
        print(path)


@click.command()
@click.argument("study_name", metavar="STUDY", shell_complete=complete_studies)
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Where to.  [default: RESULTS/export]")
@_results_option
def export(study_name: str, out: Path | None, results: Path | None) -> None:
    """Write the final networks of STUDY's winner: weights, configuration, model card and a check."""
    from hpo.outcome.export import export as write_export

    folder = results or _RESULTS / study_name
    for path in write_export(folder, out or folder / "export"):
        print(path)


@click.command()
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@click.argument("images", metavar="FILE.npz", type=click.Path(path_type=Path))
@click.option("--array", metavar="NAME", help="Which array of the file holds the images.  [default: its only one]")
@click.option("--out", metavar="FILE.csv", required=True, type=click.Path(path_type=Path), help="Where the scores go.")
@device_option
def predict(model: Path, images: Path, array: str | None, out: Path, device: str) -> None:
    """Score images with MODEL, a file or a folder of `hpo export`, whose networks are averaged.

    The lines are those that medmnist.Evaluator reads; it wants the name FLAG_SPLIT@RUN.csv.
    """
    from hpo.outcome.prediction import predict as score
    from hpo.outcome.prediction import read_images, write_scores
    from hpo.training.machine.device import set_up_process

    set_up_process(None)
    found = read_images(images, array)
    with progress() as beat:
        scores = score(model, found, device, lambda share: beat("scoring", share))
    write_scores(scores, out)
    print(out)


def _open(study_name: str, storage: str | None) -> Study:
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.study import open_study

    return open_study(open_database(resolve_address(storage), create=False), study_name)


def _entries(study: Study, trial: int | None, confirmation: str | None) -> list[Entry]:
    from hpo.outcome.winner import by_hand, confirmed

    return by_hand(study, trial) if trial is not None else confirmed(study, confirmation)


def _talk(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
