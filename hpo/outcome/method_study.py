"""Measure methods from begin to end: find the recipes, plan the study, train what is left, read the table."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from hpo.errors import StudyNotFoundError, UsageError
from hpo.outcome.method_effects import read_methods
from hpo.outcome.method_plan import MethodWishes, Source, methods_name, prepare_methods
from hpo.outcome.method_table import MethodTable
from hpo.search.admin.extension import extend_plan
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.queries.status import read_status
from hpo.search.study import open_study
from hpo.study.catalogue import is_dataset
from hpo.study.files import default_spec, load_spec
from hpo.study.misnamed import files_meant
from hpo.study.own import split_source
from hpo.study.spec import StudySpec

_log = logging.getLogger(__name__)

Train = Callable[[StudySpec, str], object]
"""Trains the remaining trials of a planned study, as in `hpo.outcome.confirmation`."""


def find_source(name: str, storage: str | None, overrides: tuple[str, ...] = ()) -> tuple[Database, Source]:
    """Return the study of that name, else the study file of the data set of that name, else the study file itself.

    Args:
        name: of a study or data set; or the path of a study file, which ends in .toml, or of a data file, in .npz.
        storage: as for `--storage`.
        overrides: of the study file, as for `--set`.

    Raises:
        UsageError: for `overrides` of a study.
        StudyNotFoundError: if it is none of them.
        StudyFileError, StorageError.
    """
    is_file = name.endswith(".toml")
    database = open_database(resolve_address(storage), create=is_file or is_dataset(name))
    if not is_file and split_source(name) is None:
        try:
            study = open_study(database, name)
        except StudyNotFoundError as error:
            if not is_dataset(name):
                if files := files_meant(name):
                    raise StudyNotFoundError(f"{error}; or did you mean {files}?") from None
                raise
        else:
            if overrides:
                raise UsageError(f"{name} is a study, whose settings stay; leave out --set, or give a study file")
            return database, Source(name, study.spec, study)
    spec = load_spec(Path(name), overrides) if is_file else default_spec(name, overrides)
    return database, Source(spec.data.study_name, spec)


def measure_methods(
    database: Database, source: Source, wishes: MethodWishes, *, train: Train, name: str | None = None
) -> MethodTable:
    """Train a good recipe of each loss family with and without each method, in a study of its own, and compare.

    A repeated call resumes; a larger `seeds` adds repeats, further methods are trained in every repeat.

    Args:
        train: called once, if trials are left to train.
        name: of the study; None for NAME-methods.

    Returns:
        What was measured; not `done` if `train` returns before everything is trained.

    Raises:
        UsageError, StudyConflictError, StorageError: see `prepare_methods`; and what `train` raises.
    """
    name = name or methods_name(source.name)
    prepared = prepare_methods(database, source, name, wishes)
    for note in prepared.notes:
        _log.info(note)
    spec, stored = prepared.spec, prepared.stored
    if stored is not None and spec.plan is not None and spec.plan != stored.spec.plan:
        extend_plan(stored, spec.plan)
    if stored is None or read_status(stored).finished < spec.budget.trials:
        train(spec, name)
    return read_methods(open_study(database, name))
