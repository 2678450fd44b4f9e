"""Create, open and launch studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hpo.api.arguments import as_changes, as_text, as_tuple, as_whole, check_texts, check_type, running_code
from hpo.study import files
from hpo.study.own import split_source
from hpo.study.ranges import TRIALS
from hpo.study.spec import StudySpec

_REPORTERS = 'a list of names, such as ["tensorboard=/DIR"]'

if TYPE_CHECKING:
    from hpo.api.study import Study
    from hpo.search.creation import BudgetRule
    from hpo.search.study import Study as SearchStudy


def load_spec(source: str | Path, overrides: Mapping[str, object] | None = None) -> StudySpec:
    """Read and check a study file, or the one that ships for a dataset.

    Args:
        source: name of a dataset, path of a data file of your own, FILE.npz or FILE.npz:LABEL, or path of a study file;
            a text that ends in .toml is a path.
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
    check_type("source", source, (str, Path), "the name of a dataset, or the path of a data file or study file")
    changes = as_changes(overrides)
    if isinstance(source, Path) and split_source(str(source)) is not None:
        return files.default_spec(str(source), changes)
    if isinstance(source, Path) or source.endswith(".toml"):
        return files.load_spec(Path(source), changes)
    return files.default_spec(source, changes)


def create_study(
    spec: StudySpec | str | Path,
    storage: str | None = None,
    name: str | None = None,
    trials: int | None = None,
    *,
    start_from: SearchStudy | str | Sequence[SearchStudy | str] = (),
    start_top: int = 3,
) -> Study:
    """Create a study, or open it if it exists with the same spec.

    No data are read: `launch` with `on="none"` creates a study once its data have been found fit for it.

    Args:
        spec: from `load_spec`, or what `load_spec` takes.
        storage: address of the database, `sqlite:///FILE` or of a PostgreSQL or MySQL server; None for $HPO_STORAGE,
            else hpo.sqlite3 in the current folder.
        name: of the study; None for that of the dataset.
        trials: number of trials to finish; a larger one extends a study that exists. None as the spec says, or as
            stored.
        start_from: a study or its name, or several, whose best trials a new study starts from; of any dataset and
            space. Values are moved to the nearest ones that this space has. A study that exists keeps its start points.
        start_top: number of trials of each of them, at most 30.

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
    from hpo.api.study import Study
    from hpo.launch.starting import with_starts_from
    from hpo.search.creation import create_or_open
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.search.study import Study as SearchStudy

    check_texts(storage=storage, name=name)
    spec = _whole_spec(spec, trials)
    name = spec.data.study_name if name is None else name
    given = start_from or ()
    several = (given,) if isinstance(given, (SearchStudy, str)) else given
    if sources := as_tuple("start_from", several, (SearchStudy, str), "studies or their names"):
        spec = with_starts_from(spec, sources, name=name, storage=storage, count=as_whole(start_top))
    database = open_database(resolve_address(storage), create=True)
    found = create_or_open(database, name, spec, budget=_budget_rule(trials), code_version=running_code())
    return Study.of(found)


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
    from hpo.api.study import Study
    from hpo.search.study import open_named_study

    check_type("name", name, (str,), "the name of a study")
    check_texts(storage=storage)
    return Study.of(open_named_study(name, storage))


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
    reporters: Sequence[str] = (),
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
        workers: how many in all, from 1. None for one on each GPU, or, on a CPU, as many of one thread as cores and
            memory allow, but no more than trials are left; for slurm, one job. auto measures how many are fastest on a
            GPU.
        device: auto, cpu, cuda or cuda:N.
        data_dir: as for `run_worker`.
        checkpoint_dir: as for `run_worker`; on a path that all hosts share.
        hours: after which local workers end, above 0; without `trials`, as many trials as fit by estimate. None for no
            limit.
        extend: whether wider ranges and more choices widen a study that exists.
        reporters: told of every trial and epoch, as `--reporter` takes them: "tensorboard=/DIR".

    Raises:
        UsageError, StudyFileError, DataError, StorageError, StudyConflictError, DeviceError, OutputError: before
            anything is trained; UsageError also for a number of workers, trials or hours that is out of range.
        WorkersFailedError: if local workers ended with an error.
        StudyStoppedError: if the trials are finished and all of them failed, with the reason of the first.

    Example:
        >>> import hpo
        >>> hpo.launch("digits", storage="sqlite:///example.sqlite3", name="launched", on="none").spec.budget.trials
        12
    """
    from hpo.api.study import Study
    from hpo.data.folder import data_folder
    from hpo.launch import session
    from hpo.launch.backends.base import LaunchRequest

    check_texts(storage=storage, name=name, on=on, device=device)
    told = as_tuple("reporters", reporters, (str,), _REPORTERS)
    check_type("hours", hours, (Real, type(None)), "a number of hours")
    spec = _whole_spec(spec, trials)
    launched = session.launch(
        spec,
        LaunchRequest(
            study=spec.data.study_name if name is None else name,
            storage=storage,
            data_dir=data_folder(as_text("data_dir", data_dir)),
            workers=as_whole(workers),
            device=device,
            checkpoint_dir=as_text("checkpoint_dir", checkpoint_dir),
            hours=None if hours is None else float(hours),
            reporters=told,
            sets_trials=hours is not None and trials is None,
        ),
        on=on,
        budget=_budget_rule(trials),
        extend=extend,
    )
    return Study.of(launched.study)


def _whole_spec(spec: StudySpec | str | Path, trials: int | None) -> StudySpec:
    """Return the spec itself, or that of a dataset or study file; with another number of trials if one is given."""
    check_type("spec", spec, (StudySpec, str, Path), "what load_spec returns or takes")
    if not isinstance(spec, StudySpec):
        spec = load_spec(spec)
    if trials is None:
        return spec
    TRIALS.check("--trials", trials)
    return spec.model_copy(update={"budget": spec.budget.model_copy(update={"trials": as_whole(trials)})})


def _budget_rule(trials: int | None) -> BudgetRule:
    return "keep" if trials is None else "extend"
