"""Train: trials of a study in this process, or one configuration without a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.api.arguments import as_text, as_tuple, as_whole, check_study, check_texts, check_type
from hpo.control import StopReason
from hpo.errors import UsageError
from hpo.study.catalogue import Dataset, find_dataset
from hpo.study.config import TrainConfig
from hpo.study.ranges import ANY_COUNT, EPOCHS, SEED
from hpo.study.spec import Scoring

if TYPE_CHECKING:
    from hpo.search.study import Study
    from hpo.search.worker.loop import WorkerSummary
    from hpo.search.worker.reporter import Reporter
    from hpo.search.worker.trainer import Trainer
    from hpo.training.report import EpochReport


def run_worker(
    study: Study,
    device: str = "auto",
    limit: int | None = None,
    *,
    data_dir: str | Path | None = None,
    checkpoint_dir: str | Path | None = None,
    trainer: Trainer | None = None,
    progress: bool | None = None,
    reporters: Sequence[Reporter | str] = (),
) -> WorkerSummary:
    """Train trials of a study in this process until none is left; any number of processes may do so at once.

    An interruption from the keyboard releases the trial with its checkpoint.

    Args:
        study: from `create_study` or `open_study`.
        device: auto, cpu, cuda or cuda:N.
        limit: number of trials after which to end, from 1.
        data_dir: folder of the data files; None for $HPO_DATA_DIR, else ~/.medmnist.
        checkpoint_dir: folder of checkpoints; "none" keeps none; None for $HPO_CHECKPOINT_DIR, else hpo-checkpoints in
            the current folder.
        trainer: what trains the trials, instead of networks on the data of the study.
        progress: whether to show a bar; None for one in a notebook or a terminal.
        reporters: told of every trial and epoch: objects, or names as `--reporter` takes them.

    Returns:
        What the worker did, and why it ended.

    Raises:
        UsageError: for another limit.
        StudyStoppedError: if too many trials failed by their own fault, or none is left and all have failed.
        DataError, DeviceError, StorageError.

    Example:
        >>> import hpo
        >>> study = hpo.create_study("digits", storage="sqlite:///example.sqlite3", name="first")
        >>> hpo.run_worker(study, limit=1).finished
        1
    """
    from hpo.search.worker.reporter import Reporter, all_reporters

    check_study(study)
    check_texts(device=device)
    ANY_COUNT.check("--limit", limit)
    wanted = 'a list of reporters or their names, such as ["tensorboard=/DIR"]'
    given = as_tuple("reporters", reporters, (Reporter, str), wanted)
    told = [*all_reporters(given), *_bars(study, progress)]
    summary = _work(study, device, data_dir, checkpoint_dir, trainer, told, limit)
    if summary.ended == "done":
        _check_failed(study)
    return summary


def train_planned(
    study: Study, device: str = "auto", *, data_dir: str | Path | None = None, trainer: Trainer | None = None
) -> None:
    """Train what is left of a confirmation, of a study of methods, or of final networks, in this process.

    Args:
        study: made from a plan.
        device, data_dir, trainer: as for `run_worker`.

    Raises:
        KeyboardInterrupt: after an interruption from the keyboard, once the trial is released with its checkpoint.
        StudyStoppedError: as `run_worker`; not for final networks, of which `finalize` names those that failed.
    """
    summary = _work(study, device, data_dir, None, trainer, _bars(study, None))
    if summary.ended is StopReason.SIGNAL:
        raise KeyboardInterrupt
    plan = study.spec.plan
    if summary.ended == "done" and (plan is None or plan.final is None):
        _check_failed(study)


def _work(
    study: Study,
    device: str,
    data_dir: str | Path | None,
    checkpoint_dir: str | Path | None,
    trainer: Trainer | None,
    reporters: Sequence[Reporter],
    limit: int | None = None,
) -> WorkerSummary:
    from hpo.launch.backends.local import checkpoint_folder
    from hpo.outcome.network_training import trainer_of
    from hpo.search.queue.workers import this_process
    from hpo.search.worker import loop

    folder = checkpoint_folder(as_text("checkpoint_dir", checkpoint_dir), study.folder)
    train = trainer or trainer_of(study, as_text("data_dir", data_dir), device, folder)
    return loop.run_worker(study, identity=this_process(device=device), train=train, limit=limit, reporters=reporters)


def _check_failed(study: Study) -> None:
    from hpo.launch.failed import check_failed
    from hpo.search.queries.status import read_status

    check_failed(study, read_status(study))


def _bars(study: Study, progress: bool | None) -> list[Reporter]:
    from hpo.api.progress import ProgressBar, is_watched

    return [ProgressBar(study)] if progress or (progress is None and is_watched()) else []


def train_trial(
    config: TrainConfig,
    dataset: str | Path | Dataset,
    *,
    epochs: int = 10,
    scoring: Scoring | None = None,
    seed: int = 0,
    device: str = "auto",
    data_dir: str | Path | None = None,
) -> Iterator[EpochReport]:
    """Train one configuration on every fold, without a study; stop by leaving the iterator.

    Args:
        config: the settings; those that are not given have LibAUC's defaults.
        dataset: its name, the path of a data file of your own, or a `Dataset`.
        epochs: number of epochs, from 1 to 10,000.
        scoring: which samples of the development set are scored; None for five folds.
        seed: of weights, batches and augmentation, from 0; equal arguments give equal reports on a CPU.
        device: auto, cpu, cuda or cuda:N.
        data_dir: as for `run_worker`.

    Returns:
        A report after each epoch: mean AUC with its standard error, AUC of each fold, loss.

    Raises:
        UsageError: for another number of epochs or seed, or a configuration that does not suit data and folds, with
            every reason; at the call, before any data are read.
        DataError: at the call, if the data are missing or do not suit `scoring`.
        TrainingFailure: if the configuration diverges, asks for more memory than there is, or a plug-in of it fails.
        DeviceError.

    Example:
        >>> import hpo
        >>> config = hpo.TrainConfig(loss="cross_entropy", optimizer="adam", learning_rate=1e-3)
        >>> scoring = hpo.Scoring(rows="holdout", share=0.25)
        >>> [report.epoch for report in hpo.train_trial(config, "digits", epochs=2, scoring=scoring)]
        [1, 2]
    """
    from hpo.data.development import load_development
    from hpo.data.folder import data_folder
    from hpo.data.folds import scoring_folds
    from hpo.data.others import load_others, others_of
    from hpo.study.co_training import other_datasets
    from hpo.study.consistency import problems_on
    from hpo.training.loop import trial

    check_type("config", config, (TrainConfig,), "a TrainConfig")
    check_type("dataset", dataset, (str, Path, Dataset), "the name of a dataset, the path of a data file, or a Dataset")
    check_type("scoring", scoring, (Scoring, type(None)), "a Scoring")
    check_texts(device=device)
    EPOCHS.check("epochs", epochs)
    check_type("seed", seed, (Integral,), "a whole number")
    SEED.check("seed", seed)
    found = dataset if isinstance(dataset, Dataset) else find_dataset(str(dataset))
    scoring = scoring or Scoring()
    if problems := problems_on(config, found, scoring):
        raise UsageError("\n  ".join([f"this configuration cannot be trained on {found.name}:", *problems]))
    folder = data_folder(as_text("data_dir", data_dir))
    development = load_development(found, folder, scoring.groups)
    others = others_of(config, found, load_others(other_datasets(config.co_training, found), folder))
    folds = scoring_folds(development, scoring, seed)
    return trial.train_trial(config, development, folds, as_whole(epochs), as_whole(seed), device, others=others)
