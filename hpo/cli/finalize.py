"""Implement `hpo finalize`: train a study's final networks, and evaluate them on the test set."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from hpo.cli.common import (
    confirmation_option,
    json_option,
    print_json,
    results_option,
    study_argument,
    trial_option,
)
from hpo.cli.next_steps import exporting, with_results
from hpo.cli.render.judgement import judgement_table
from hpo.cli.render.page import page
from hpo.cli.render.progress import download_bar
from hpo.cli.streams import say, show
from hpo.cli.work import Work, exit_code, network_work_options, start
from hpo.data.folder import data_folder
from hpo.data.missing import fetch_missing
from hpo.errors import DataError
from hpo.outcome.families import answer_sentences
from hpo.outcome.final import Final, load, results_folder
from hpo.outcome.finalization import NETWORKS, Finalization
from hpo.outcome.finalization import finalize as finalize_search
from hpo.outcome.judgement import Judgement
from hpo.outcome.networks import MODELS, TrainingSamples
from hpo.search.study import Study, open_named_study
from hpo.study.baselines import shown_name
from hpo.study.ranges import EPOCHS, FINAL_NETWORKS
from hpo.text import counted, shell, timestamp


@click.command()
@study_argument
@click.option(
    "--networks",
    "--seeds",
    "networks",
    metavar="N",
    default=NETWORKS,
    show_default=True,
    type=click.IntRange(*FINAL_NETWORKS),
    help="Networks of each configuration.",
)
@click.option(
    "--baseline-epochs",
    metavar="N",
    type=click.IntRange(*EPOCHS),
    help="Epochs of the baselines.  [default: 100, as their authors train them]",
)
@click.option(
    "--rows",
    type=click.Choice(("development", "training")),
    default="development",
    show_default=True,
    help="Train on the whole development set, or as MedMNIST does: on the official training set, with the epoch chosen "
    "on the validation set.",
)
@trial_option
@click.option("--train-only", is_flag=True, help="Train the networks and leave the test set sealed.")
@click.option("--reopen", metavar="WHY", default="", help="Reason for opening a test set that was opened before.")
@confirmation_option
@click.option("--name", metavar="STUDY", help="Name of the study of the networks.  [default: STUDY-final]")
@results_option
@network_work_options
@json_option
def finalize(
    study_name: str,
    networks: int,
    baseline_epochs: int | None,
    rows: TrainingSamples,
    trial: int | None,
    train_only: bool,
    reopen: str,
    confirmation: str | None,
    name: str | None,
    results: Path | None,
    work: Work,
    as_json: bool,
) -> int:
    """Retrain the winner of STUDY, then open the test set once.

    The best of each other loss family and the baselines are retrained and tested, too. The networks are a study of
    their own, which any worker can join that reaches the folder of the result. Ctrl-C stops cleanly; the same command
    resumes, and opens the test set once all networks are there. The access is recorded in the test-set access log
    before any test sample is read. If the data have no test set, the winner alone is retrained, for `hpo export` and
    `hpo predict`, and its cross-validated AUC is the result.
    """
    study = open_named_study(study_name, work["storage"])
    fetch_missing((study.spec.data, *study.spec.other_datasets()), data_folder(work["data_dir"]), download_bar)

    # Imported late: torch takes seconds, which --help, completion and wrong names need not wait for.
    from hpo.training.machine.device import set_up_process

    set_up_process(None)
    before = _stored(study, results)
    done = finalize_search(
        study,
        train=partial(start, work=work, budget="set"),
        name=name,
        seeds=networks,
        baseline_epochs=baseline_epochs,
        rows=rows,
        trial=trial,
        confirmation=confirmation,
        train_only=train_only,
        reopen=reopen,
        results=results,
        data_dir=work["data_dir"],
        device=work["device"],
    )
    if not done.missing:
        if line := repeated(before, done.final):
            say(line)
        _show(done, study, results, as_json=as_json)
        return 0
    sealed = "; the test set is sealed until the same command finds them all" if study.spec.data.has_test else ""
    say(f"{done.missing} of {done.missing + len(done.networks)} networks are still to be trained{sealed}")
    return exit_code(work, is_done=False)


def repeated(before: Final | None, after: Final | None) -> str:
    """Say that a result is the one that was there before, of the same access to the test set; "" if it is not."""
    if before is None or after is None:
        return ""
    first, second = ((final.result.ledger_row, final.result.access) for final in (before, after))
    if first != second:
        return ""
    when = timestamp(before.result.time)
    return f"the same networks and result as at {when}: no other access to the test set, no new entry in its log"


def _stored(study: Study, results: Path | None) -> Final | None:
    """Return the result that is there before this command; None if there is none that can be read."""
    with suppress(DataError):
        return load(results_folder(study.name, results, study.former_names))
    return None


def _show(done: Finalization, study: Study, results: Path | None, *, as_json: bool) -> None:
    """Print what is known of networks that are all there: a result, tested or not, or that the test set is sealed."""
    name, where = shell(study.name), with_results(results)
    networks, exported = counted(len(done.networks), "network"), exporting(study.name, done.folder, results)
    if done.judgement is not None:
        if as_json:
            print_json(done.judgement)
        else:
            _show_judgement(done.judgement, study, len(done.final.labels) if done.final is not None else 0)
            say(f"next: hpo report {name}{where}, {exported}")
    elif done.untested is not None:
        if as_json:
            print_json(done.untested.model_dump(mode="json"))
            return
        say(f"{done.folder / MODELS}: {networks}; there is no test set; next: {exported}")
        show(f"{shown_name(done.untested.entry.name, done.untested.epochs)}: {done.untested.sentence()}")
    else:
        say(f"{done.folder / MODELS}: {networks}; the test set is still sealed")
        say("next: the same command without --train-only")


def _show_judgement(judgement: Judgement, study: Study, samples: int) -> None:
    # Imported late: Matplotlib is needed on this path only.
    from hpo.outcome.report.result.sections import verdicts
    from hpo.outcome.report.result.twins import twin_sentences

    page().print(judgement_table(study.name, judgement))
    if judgement.families is not None:
        show(answer_sentences(judgement.families, None))
    for sentence in (*verdicts(judgement, study.spec.data), *twin_sentences(judgement, samples)):
        show(sentence)
