"""From a searched study to its result and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.api.arguments import (
    as_changes,
    as_path,
    as_text,
    as_tuple,
    as_whole,
    check_study,
    check_texts,
    check_type,
    running_code,
)
from hpo.api.training import train_planned
from hpo.errors import UsageError
from hpo.study.ranges import ANY_COUNT
from hpo.study.spec import StudySpec

if TYPE_CHECKING:
    from pandas import DataFrame

    from hpo.outcome.finalization import Finalization
    from hpo.outcome.leaderboard import Confirmation
    from hpo.outcome.method_table import MethodTable
    from hpo.search.queries.trial_rows import Ranking
    from hpo.search.study import Study
    from hpo.search.worker.trainer import Trainer


def best(study: Study, count: int = 10) -> Ranking:
    """Return the best complete trials with their configurations, best first.

    The first of many noisy values is too high: `note` says so, `corrected` says by how much where the scores of at
    least two trials are kept, and `hpo confirm` trains the best again.

    Args:
        study: from `create_study` or `open_study`.
        count: number of trials at most, from 1.

    Raises:
        UsageError: for another count.

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

    ANY_COUNT.check("--count", count)
    check_study(study)
    return with_correction(study, read_best(study, count))


def trials_dataframe(study: Study) -> DataFrame:
    """Return a pandas table with a row for each trial, by number.

    Columns: number, state, auc, standard_error, epochs, folds, training_auc, reference, start, candidate, repeat,
    network, started and ended in UTC, seconds, peak_memory in bytes, worker, reason; and params_NAME for each searched
    setting, empty where it has no effect. `auc` and `training_auc` are those of the last report, of so many `epochs`
    and `folds`: only complete trials compare.

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

    from hpo.search.queries.tables import TIMES, number_columns, trial_columns, trial_rows

    check_study(study)
    table = pd.DataFrame(trial_rows(study), columns=list(trial_columns(study)))
    for name in TIMES:
        table[name] = pd.to_datetime(table[name], unit="s", utc=True)
    for name in number_columns(study):
        # Where nothing is known yet, pandas takes a column for one of objects, which has no mean.
        if table[name].isna().all():
            table[name] = table[name].astype(float)
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
        seeds: repeats of each, at most 50; None as the spec says.
        racing: whether candidates that are clearly worse are dropped, where the spec allows it.
        per_family: number of best configurations of each loss family that are among them; None as the spec says.
        device: auto, cpu, cuda or cuda:N.
        data_dir: as for `run_worker`.
        trainer: as for `run_worker`.

    Returns:
        How the candidates stand.

    Raises:
        UsageError: if the search has nothing to confirm, or for a number out of range.
        KeyboardInterrupt: after Ctrl-C; the trial keeps its checkpoint, and the same call continues.
        StudyStoppedError: if too many trials failed, or all.
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
    from hpo.search.creation import create_or_open

    check_study(study)
    check_texts(device=device)

    def train(spec: StudySpec, name: str) -> None:
        planned = create_or_open(study.database, name, spec, code_version=running_code())
        train_planned(planned, device, data_dir=data_dir, trainer=trainer)

    return confirmation.confirm(
        study,
        train=train,
        top=as_whole(top),
        seeds=as_whole(seeds),
        racing=racing,
        per_family=as_whole(per_family),
    )


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
        names: of the methods, as `hpo methods` lists them, or changes of your own, `"SETTING=VALUE,SETTING=VALUE"`;
            none for all that apply.
        seeds: repeats of each, at most 50; None for 3, or as many as were planned before.
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
        UsageError: for a name that is no method, or one that makes no difference, or a number out of range.
        KeyboardInterrupt, StudyStoppedError: as `confirm`.
        StudyConflictError, StudyNotFoundError, StudyFileError, DataError, DeviceError, StorageError.

    Example:
        >>> import hpo
        >>> table = hpo.methods("digits", ["ema"], seeds=1, storage="sqlite:///example.sqlite3", name="averaged")
        >>> [(recipe.family, effect.method, effect.in_recipe) for recipe in table.recipes for effect in recipe.effects]
        [('aucm', 'ema', False), ('cross_entropy', 'ema', True)]
    """
    from hpo.outcome import method_study
    from hpo.outcome.method_plan import MethodWishes, Source
    from hpo.search.creation import create_or_open
    from hpo.search.study import Study

    check_type("source", source, (Study, str, Path), "a Study, the name of a study or dataset, or the path of a file")
    check_texts(storage=storage, name=name, device=device)
    changes = as_changes(overrides)
    given = as_tuple("names", names, (str,), 'a list of methods, such as ["ema"]')
    wishes = MethodWishes(given, as_whole(seeds), as_whole(epochs), as_whole(folds), overrides=bool(overrides))
    if isinstance(source, Study):
        if overrides:
            raise UsageError("an open study stays as it is; leave out overrides, or give a study file")
        database, found = source.database, Source(source.name, source.spec, source)
    else:
        database, found = method_study.find_source(str(source), storage, changes)

    def train(spec: StudySpec, name: str) -> None:
        planned = create_or_open(database, name, spec, code_version=running_code())
        train_planned(planned, device, data_dir=data_dir, trainer=trainer)

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
    Of data without a test set the winner alone is trained, and `untested` of what is returned has its cross-validated
    AUC.

    Args:
        study: the search, confirmed by `confirm`.
        seeds: networks of each configuration, at most 100.
        trial: number of the trial to take as the winner; None for the winner of the confirmation.
        baseline_epochs: epochs of the baselines; None for 100, as their authors train them.
        reopen: why a test set that was opened before, for other networks, is opened again.
        results: folder of the result; None for hpo-results/NAME.
        device: auto, cpu, cuda or cuda:N.
        data_dir: as for `run_worker`.

    Returns:
        The networks, the result, and the comparison of the winner with each baseline.

    Raises:
        UsageError: for a number out of range, before anything else; if there is no winner yet, or the test set was
            opened before and `reopen` is empty.
        StudyStoppedError: if a network cannot be trained.
        KeyboardInterrupt: as `confirm`; the test set stays sealed.
        StudyConflictError, DataError, DeviceError, OutputError, StorageError, StudyNotFoundError.

    Example:
        >>> import hpo
        >>> study = hpo.open_study("to-confirm", storage="sqlite:///example.sqlite3")  # doctest: +SKIP
        >>> hpo.finalize(study, seeds=5).folder  # doctest: +SKIP
        PosixPath('hpo-results/to-confirm')
    """
    from hpo.outcome import finalization
    from hpo.search.study import open_study as open_planned

    check_study(study)
    check_texts(device=device, reopen=reopen)

    def train(_spec: StudySpec, name: str) -> None:
        train_planned(open_planned(study.database, name), device, data_dir=data_dir)

    return finalization.finalize(
        study,
        train=train,
        seeds=as_whole(seeds),
        trial=as_whole(trial),
        baseline_epochs=as_whole(baseline_epochs),
        reopen=reopen,
        results=as_path("results", results),
        data_dir=as_text("data_dir", data_dir),
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

    check_study(study)
    return writing.report(study, results=as_path("results", results), out=as_path("out", out))
