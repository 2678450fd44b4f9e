"""The functions behind `import hpo`, from a study to its report; docs/python-api.md shows them at work."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hpo.errors import UsageError
from hpo.study import files
from hpo.study.catalogue import Dataset, find_dataset
from hpo.study.config import TrainConfig
from hpo.study.spec import Scoring, StudySpec

if TYPE_CHECKING:
    from pandas import DataFrame

    from hpo.outcome.finalization import Finalization
    from hpo.outcome.leaderboard import Confirmation
    from hpo.outcome.method_effects import MethodTable
    from hpo.search.queries.trials import Ranking
    from hpo.search.study import BudgetRule, Study
    from hpo.search.worker.loop import WorkerSummary
    from hpo.search.worker.trainer import Trainer
    from hpo.training.report import EpochReport


def load_spec(source: str | Path, overrides: Mapping[str, object] | None = None) -> StudySpec:
    """Read and check a study file, or the one that ships for a dataset.

    Args:
        source: name of a dataset, or path of a study file; a text that ends in .toml is a path.
        overrides: entries to change first, by their keys as `--set` takes them.

    Raises:
        StudyFileError: with every fault at once.
        UsageError: for a dataset or a key that there is not.

    Example:
        >>> import hpo
        >>> spec = hpo.load_spec("digits", {"budget.epochs": 3, "fixed.loss": "aucm_v2"})
        >>> spec.budget.epochs, spec.fixed["loss"]
        (3, 'aucm_v2')
    """
    # JSON's numbers, texts, truth values and lists are TOML's.
    changes = tuple(f"{key}={json.dumps(value)}" for key, value in (overrides or {}).items())
    if isinstance(source, Path) or source.endswith(".toml"):
        return files.load_spec(Path(source), changes)
    return files.default_spec(source, changes)


def create_study(
    spec: StudySpec | str | Path,
    storage: str | None = None,
    name: str | None = None,
    trials: int | None = None,
    *,
    start_from: Study | str | Sequence[Study | str] = (),
    start_top: int = 3,
) -> Study:
    """Create a study, or open it if it exists with the same spec.

    Args:
        spec: from `load_spec`, or what `load_spec` takes.
        storage: address of the database, `sqlite:///FILE` or of a PostgreSQL or MySQL server; None for $HPO_STORAGE,
            else hpo.sqlite3 in the current folder.
        name: of the study; None for that of the dataset.
        trials: number of trials to finish; a larger one extends a study that exists. None as the spec says, or as
            stored.
        start_from: a study or its name, or several, whose best trials a new study starts from; of any dataset and
            space. Values are moved to the nearest ones that this space has. A study that exists keeps its start points.
        start_top: number of trials of each of them.

    Raises:
        StudyConflictError: if the study exists with another spec, or with more trials.
        StudyNotFoundError: if there is no study in `start_from` of that name.
        StudyFileError, UsageError, StorageError, OutputError.

    Example:
        >>> import hpo
        >>> study = hpo.create_study("digits", storage="sqlite:///example.sqlite3", name="first", trials=4)
        >>> study.name, study.spec.budget.trials
        ('first', 4)
    """
    from hpo.launch.starting import with_starts_from
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.study import Study, create_or_open

    spec = _whole_spec(spec, trials)
    name = spec.data.name if name is None else name
    if start_from:
        sources = [start_from] if isinstance(start_from, (Study, str)) else start_from
        spec = with_starts_from(spec, sources, name=name, storage=storage, count=start_top)
    database = open_database(resolve_address(storage), create=True)
    return create_or_open(database, name, spec, budget=_budget_rule(trials), code_version=_code_version())


def open_study(name: str, storage: str | None = None) -> Study:
    """Open a study that exists.

    Args:
        name: of the study.
        storage: as for `create_study`.

    Raises:
        StudyNotFoundError: with the nearest name.
        UsageError: if a plug-in that the study uses is neither installed nor imported.
        StorageError: if the database is not there.

    Example:
        >>> import hpo
        >>> _ = hpo.create_study("digits", storage="sqlite:///example.sqlite3", name="first")
        >>> hpo.open_study("first", storage="sqlite:///example.sqlite3").spec.dataset
        'digits'
    """
    from hpo.search.study import open_named_study

    return open_named_study(name, storage)


def launch(
    spec: StudySpec | str | Path,
    storage: str | None = None,
    name: str | None = None,
    trials: int | None = None,
    *,
    on: str = "local",
    workers: int | Literal["auto"] | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
    checkpoint_dir: str | Path | None = None,
    hours: float | None = None,
    extend: bool = False,
) -> Study:
    """Create or resume a study and start workers for it, as `hpo launch` does.

    Workers are processes of their own: what they need of this program's registrations has to be a plug-in by entry
    point. `run_worker` trains in this process.

    Args:
        spec: as for `create_study`.
        storage: as for `create_study`.
        name: as for `create_study`.
        trials: as for `create_study`.
        on: local: processes of this machine, which have ended when this returns; slurm: jobs of a cluster; none: the
            study only, once its data have been checked; or a backend of `register_backend`.
        workers: how many in all; None for one on each GPU, or one on the CPU; auto measures how many are fastest.
        device: auto, cpu, cuda or cuda:N.
        data_dir: as for `run_worker`.
        checkpoint_dir: as for `run_worker`; on a path that all hosts share.
        hours: after which local workers end; without `trials`, as many trials as fit by estimate. None for no limit.
        extend: whether wider ranges and more choices widen a study that exists.

    Raises:
        UsageError, StudyFileError, DataError, StorageError, StudyConflictError, DeviceError, OutputError: before
            anything is trained.
        WorkersFailedError: if local workers ended with an error.

    Example:
        >>> import hpo
        >>> hpo.launch("digits", storage="sqlite:///example.sqlite3", name="launched", on="none").spec.budget.trials
        12
    """
    from hpo.data.folder import data_folder
    from hpo.launch import session
    from hpo.launch.backends.base import LaunchRequest

    spec = _whole_spec(spec, trials)
    launched = session.launch(
        spec,
        LaunchRequest(
            study=spec.data.name if name is None else name,
            storage=storage,
            data_dir=data_folder(_text(data_dir)),
            workers=workers,
            device=device,
            checkpoint_dir=_text(checkpoint_dir),
            hours=hours,
            sets_trials=hours is not None and trials is None,
        ),
        on=on,
        budget=_budget_rule(trials),
        extend=extend,
    )
    return launched.study


def run_worker(
    study: Study,
    device: str = "auto",
    limit: int | None = None,
    *,
    data_dir: str | Path | None = None,
    checkpoint_dir: str | Path | None = None,
    trainer: Trainer | None = None,
) -> WorkerSummary:
    """Train trials of a study in this process until none is left; any number of processes may do so at once.

    An interruption from the keyboard gives the trial back with its checkpoint.

    Args:
        study: from `create_study` or `open_study`.
        device: auto, cpu, cuda or cuda:N.
        limit: number of trials after which to end.
        data_dir: folder of the data files; None for $HPO_DATA_DIR, else ~/.medmnist.
        checkpoint_dir: folder of checkpoints; "none" keeps none; None for $HPO_CHECKPOINT_DIR, else hpo-checkpoints in
            the current folder.
        trainer: what trains the trials, instead of networks on the data of the study.

    Returns:
        What the worker did, and why it ended.

    Raises:
        StudyStoppedError: if too many trials failed by their own fault.
        DataError, DeviceError, StorageError.

    Example:
        >>> import hpo
        >>> study = hpo.create_study("digits", storage="sqlite:///example.sqlite3", name="first")
        >>> hpo.run_worker(study, limit=1).finished
        1
    """
    from hpo.launch.backends.local import checkpoint_folder
    from hpo.outcome.network_training import trainer_of
    from hpo.search.queue.workers import this_process
    from hpo.search.worker import loop

    folder = checkpoint_folder(_text(checkpoint_dir), study.folder)
    train = trainer or trainer_of(study, data_dir, device, folder)
    return loop.run_worker(study, identity=this_process(device=device), train=train, limit=limit)


def train_trial(
    config: TrainConfig,
    dataset: str | Dataset,
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
        dataset: its name, or a `Dataset`.
        epochs: number of epochs.
        scoring: which samples of the development set are scored; None for five folds.
        seed: of weights, batches and augmentation; equal arguments give equal reports on a CPU.
        device: auto, cpu, cuda or cuda:N.
        data_dir: as for `run_worker`.

    Returns:
        A report after each epoch: mean AUC with its standard error, AUC of each fold, loss.

    Raises:
        TrainingFailure: if the configuration diverges or asks for more memory than there is.
        DataError, DeviceError.

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
    from hpo.training.loop import trial

    found = find_dataset(dataset) if isinstance(dataset, str) else dataset
    scoring = scoring or Scoring()
    folder = data_folder(_text(data_dir))
    development = load_development(found, folder, scoring.groups)
    others = others_of(config, found, load_others(other_datasets(config.co_training, found), folder))
    folds = scoring_folds(development, scoring, seed)
    return trial.train_trial(config, development, folds, epochs, seed, device, others=others)


def best(study: Study, count: int = 10) -> Ranking:
    """Return the best complete trials with their configurations, best first.

    The first of many noisy values is too high: `note` says so, `corrected` says by how much where the scores of at
    least two trials are kept, and `hpo confirm` trains the best again.

    Args:
        study: from `create_study` or `open_study`.
        count: number of trials at most.

    Example:
        >>> import hpo
        >>> study = hpo.create_study("digits", storage="sqlite:///example.sqlite3", name="ranked")
        >>> _ = hpo.run_worker(study, limit=2)
        >>> ranking = hpo.best(study, count=1)
        >>> ranking.trials[0].rank, ranking.chosen_from
        (1, 2)
    """
    from hpo.outcome.selection import with_correction
    from hpo.search.queries.trials import read_best

    return with_correction(study, read_best(study, count))


def trials_dataframe(study: Study) -> DataFrame:
    """Return a pandas table with a row for each trial, by number.

    Columns: number, state, auc, standard_error, epochs, folds, training_auc, reference, start, candidate, repeat,
    network, started and ended in UTC, seconds, peak_memory in bytes, worker, reason; and params_NAME for each searched
    setting, empty where it has no effect. `auc` is that of the last report, of so many `epochs` and `folds`: only
    complete trials compare.

    Args:
        study: from `create_study` or `open_study`.

    Example:
        >>> import hpo
        >>> study = hpo.create_study("digits", storage="sqlite:///example.sqlite3", name="table")
        >>> _ = hpo.run_worker(study, limit=2)
        >>> hpo.trials_dataframe(study)[["number", "state"]].values.tolist()
        [[0, 'complete'], [1, 'complete']]
    """
    import pandas as pd

    from hpo.search.queries.trials import read_trials

    names = ["number", "state", "auc", "standard_error", "epochs", "folds", "training_auc", "reference", "start"]
    names += ["candidate", "repeat", "network", "started", "ended", "seconds", "peak_memory", "worker", "reason"]
    settings = list(study.spec.space)
    rows: list[dict[str, Any]] = [
        {name: getattr(trial, name) for name in names} | {f"params_{name}": trial.params.get(name) for name in settings}
        for trial in read_trials(study)
    ]
    table = pd.DataFrame(rows, columns=[*names, *(f"params_{name}" for name in settings)])
    for name in ("started", "ended"):
        table[name] = pd.to_datetime(table[name], unit="s", utc=True)
    return table


def confirm(
    study: Study,
    top: int | None = None,
    seeds: int | None = None,
    *,
    racing: bool = True,
    per_family: int | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
    trainer: Trainer | None = None,
) -> Confirmation:
    """Train the best configurations of a search and its baselines again, on new seeds and folds, and compare them.

    They are trained in this process; `hpo confirm` and `hpo worker` share the work among several. Called again it
    continues; a larger `seeds` adds repeats.

    Args:
        study: the search.
        top: number of configurations besides the baselines; None as the spec says.
        seeds: repeats of each; None as the spec says.
        racing: whether candidates that are clearly worse are dropped, where the spec allows it.
        per_family: number of best configurations of each loss family that are among them; None as the spec says.
        device: auto, cpu, cuda or cuda:N.
        data_dir: as for `run_worker`.
        trainer: as for `run_worker`.

    Returns:
        How the candidates stand.

    Raises:
        UsageError: if the search has nothing to confirm.
        StudyConflictError, DataError, DeviceError, StorageError.

    Example:
        >>> import hpo
        >>> spec = hpo.load_spec("digits", {"search.pruner": "none", "budget.trials": 4})
        >>> study = hpo.create_study(spec, storage="sqlite:///example.sqlite3", name="to-confirm")
        >>> _ = hpo.run_worker(study)
        >>> confirmation = hpo.confirm(study, top=1, seeds=2, per_family=0)
        >>> len(confirmation.leaderboard), confirmation.winner is not None
        (3, True)
    """
    from hpo.outcome import confirmation
    from hpo.search.study import create_or_open

    def train(spec: StudySpec, name: str) -> None:
        planned = create_or_open(study.database, name, spec, code_version=_code_version())
        run_worker(planned, device, data_dir=data_dir, trainer=trainer)

    return confirmation.confirm(study, train=train, top=top, seeds=seeds, racing=racing, per_family=per_family)


def methods(
    source: Study | str | Path,
    names: Sequence[str] = (),
    seeds: int | None = None,
    *,
    epochs: int | None = None,
    folds: int | None = None,
    overrides: Mapping[str, object] | None = None,
    storage: str | None = None,
    name: str | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
    trainer: Trainer | None = None,
) -> MethodTable:
    """Measure what each training method does in a good recipe of either loss family.

    The best configuration of each family, or the start point of a study file, is trained with and without each method,
    in this process; `hpo methods` and `hpo worker` share the work among several. Called again it continues; a larger
    `seeds` adds repeats, further names are trained in every repeat.

    Args:
        source: a search, or the name of one in `storage`; or of a dataset; or the path of a study file.
        names: of the methods, as `hpo methods` lists them; none for all that apply.
        seeds: repeats of each; None for 3, or as many as were planned before.
        epochs: of each trial; None as the study says.
        folds: of each repeat; None as the study says.
        overrides: of a study file, as for `load_spec`.
        storage: as for `create_study`; of no meaning for an open study.
        name: of the study of methods; None for NAME-methods.
        device: auto, cpu, cuda or cuda:N.
        data_dir: as for `run_worker`.
        trainer: as for `run_worker`.

    Returns:
        For each recipe the effect of each method, with interval and cost.

    Raises:
        UsageError: for a name that is no method, or one that makes no difference.
        StudyConflictError, StudyNotFoundError, StudyFileError, DataError, DeviceError, StorageError.

    Example:
        >>> import hpo
        >>> table = hpo.methods("digits", ["ema"], seeds=1, storage="sqlite:///example.sqlite3", name="averaged")
        >>> [(recipe.family, effect.method, effect.in_recipe) for recipe in table.recipes for effect in recipe.effects]
        [('aucm', 'ema', False), ('cross_entropy', 'ema', True)]
    """
    from hpo.outcome import method_study
    from hpo.outcome.method_plan import MethodWishes, Source
    from hpo.search.study import Study, create_or_open

    if isinstance(source, Study):
        if overrides:
            raise UsageError("an open study stays as it is; leave out overrides, or give a study file")
        database, found = source.database, Source(source.name, source.spec, source)
    else:
        changes = tuple(f"{key}={json.dumps(value)}" for key, value in (overrides or {}).items())
        database, found = method_study.find_source(str(source), storage, changes)

    def train(spec: StudySpec, name: str) -> None:
        planned = create_or_open(database, name, spec, code_version=_code_version())
        run_worker(planned, device, data_dir=data_dir, trainer=trainer)

    wishes = MethodWishes(tuple(names), seeds, epochs, folds, overrides=bool(overrides))
    return method_study.measure_methods(database, found, wishes, train=train, name=name)


def finalize(
    study: Study,
    seeds: int = 5,
    *,
    trial: int | None = None,
    baseline_epochs: int | None = None,
    reopen: str = "",
    results: str | Path | None = None,
    device: str = "auto",
    data_dir: str | Path | None = None,
) -> Finalization:
    """Train the winner and the baselines again, then open the test set, once, and score every network on it.

    The best of each other loss family is trained and scored, too, so that tuned AUCM is tested against tuned
    cross-entropy. The opening is logged in the database before any test sample is read. Called again it continues.
    Networks are trained in this process; `hpo finalize` and `hpo worker` share the work among several.

    Args:
        study: the search, confirmed by `confirm`.
        seeds: networks of each configuration.
        trial: number of the trial to take as the winner; None for the winner of the confirmation.
        baseline_epochs: epochs of the baselines; None for 100, as their authors train them.
        reopen: why a test set that was opened before, for other networks, is opened again.
        results: folder of the result; None for hpo-results/NAME.
        device: auto, cpu, cuda or cuda:N.
        data_dir: as for `run_worker`.

    Returns:
        The networks, the result, and the comparison of the winner with each baseline.

    Raises:
        UsageError: if there is no winner yet, or the test set was opened before and `reopen` is empty.
        StudyStoppedError: if a network cannot be trained.
        StudyConflictError, DataError, DeviceError, OutputError, StorageError, StudyNotFoundError.

    Example:
        >>> import hpo
        >>> study = hpo.open_study("to-confirm", storage="sqlite:///example.sqlite3")  # doctest: +SKIP
        >>> hpo.finalize(study, seeds=5).folder  # doctest: +SKIP
        PosixPath('hpo-results/to-confirm')
    """
    from hpo.control import StopReason
    from hpo.outcome import finalization
    from hpo.search.study import open_study as open_planned

    def train(_spec: StudySpec, name: str) -> None:
        done = run_worker(open_planned(study.database, name), device, data_dir=data_dir)
        if done.ended is StopReason.SIGNAL:
            raise KeyboardInterrupt

    return finalization.finalize(
        study,
        train=train,
        seeds=seeds,
        trial=trial,
        baseline_epochs=baseline_epochs,
        reopen=reopen,
        results=None if results is None else Path(results),
        data_dir=_text(data_dir),
        device=device,
    )


def report(study: Study, results: str | Path | None = None, out: str | Path | None = None) -> tuple[Path, ...]:
    """Write the report of a study in its present state: report.html, and report.md with figures/.

    Args:
        study: the search.
        results: folder of the final result; None for hpo-results/NAME. There need not be one yet.
        out: folder of the report; None for `results`.

    Returns:
        Paths of the pages.

    Raises:
        UsageError: if `study` is itself a confirmation.
        DataError, OutputError, StorageError.

    Example:
        >>> import hpo
        >>> study = hpo.create_study("digits", storage="sqlite:///example.sqlite3", name="reported")
        >>> _ = hpo.run_worker(study, limit=3)
        >>> [path.name for path in hpo.report(study, out="reported")]
        ['report.html', 'report.md']
    """
    from hpo.outcome.report import writing

    paths = (None if path is None else Path(path) for path in (results, out))
    return writing.report(study, results=next(paths), out=next(paths))


def _whole_spec(spec: StudySpec | str | Path, trials: int | None) -> StudySpec:
    """Return the spec itself, or that of a dataset or study file; with another number of trials if one is given."""
    if not isinstance(spec, StudySpec):
        spec = load_spec(spec)
    if trials is None:
        return spec
    if trials < 1:
        raise UsageError(f"trials = {trials}: give a number from 1")
    return spec.model_copy(update={"budget": spec.budget.model_copy(update={"trials": trials})})


def _budget_rule(trials: int | None) -> BudgetRule:
    return "keep" if trials is None else "extend"


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)


def _code_version() -> str:
    from hpo.revision import code_version

    return code_version()[0]
