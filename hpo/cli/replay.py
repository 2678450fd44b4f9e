"""Implement `hpo replay`: retrain a trial from its record, and compare."""

from __future__ import annotations

import click

from hpo.cli.common import (
    MOST_SHARES,
    data_dir_option,
    device_option,
    json_option,
    print_json,
    storage_option,
    study_argument,
    trial_argument,
)
from hpo.cli.looking import look_at_study
from hpo.cli.streams import say, show
from hpo.data.folder import data_folder
from hpo.errors import StudyStoppedError
from hpo.search.worker.replay import ReplayedEpoch
from hpo.search.worker.replay import replay as replay_trial
from hpo.search.worker.trainer import make_trainer
from hpo.text import auc, counted


@click.command()
@study_argument
@trial_argument
@click.option(
    "--threads",
    metavar="N",
    type=click.IntRange(1, MOST_SHARES),
    help="CPU threads, each of which trains a fold; the results do not depend on it.  [default: one per core]",
)
@storage_option
@data_dir_option
@device_option
@json_option
def replay(
    study_name: str,
    number: int,
    threads: int | None,
    storage: str | None,
    data_dir: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Train TRIAL of STUDY again from its record, and compare. Every report is bit-equal on the same CPU."""
    study = look_at_study(study_name, storage)

    # Imported late: torch takes seconds, which --help, completion and wrong names need not wait for.
    from hpo.training.machine.device import set_up_process

    set_up_process(threads)
    train = make_trainer(study.spec, data_folder(data_dir), device)
    try:
        result = replay_trial(study, number, train, _say_epoch)
    except train.failure as failure:
        raise StudyStoppedError(
            f"{study.trial_name(number)} failed here before the last of its recorded epochs: {failure}"
        ) from None
    for line in result.changed:
        say(f"changed since: {line}")
    if as_json:
        print_json(result)
    else:
        equal = "bit-equal" if result.bit_equal else f"largest difference {result.max_difference:.2g}"
        show(f"trial {number}: {counted(len(result.epochs), 'epoch')} again, {equal}")


def _say_epoch(epoch: ReplayedEpoch) -> None:
    if epoch.difference is None:
        difference = "nothing to compare with"
    else:
        difference = "equal" if epoch.difference == 0.0 else f"difference {epoch.difference:+.2g}"
    say(f"epoch {epoch.epoch}: then {auc(epoch.then)}, now {auc(epoch.now)}, {difference}")
