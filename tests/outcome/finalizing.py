"""A search on the digits to finalize, and workers of this process that train its networks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from hpo.outcome.finalization import Finalization, finalize
from hpo.outcome.network_training import trainer_of
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import Database, open_database
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, open_study
from hpo.search.worker.loop import WorkerSummary, run_worker
from hpo.study.spec import StudySpec
from hpo.testing.trainer import FakeTrainer, make_spec


def searched(database: Database, name: str = "digits", *, references: bool = True) -> Study:
    """A finished search of four trials, whose trial 3 is no baseline; networks are linear, for two epochs."""
    spec = make_spec(4, epochs=2, references=references)
    spec = spec.model_copy(update={"dataset": "digits", "fixed": {**spec.fixed, "network": "linear"}})
    study = create_or_open(database, name, spec)
    run_worker(study, identity=this_process("w"), train=FakeTrainer(2))
    return study


@cache
def _searched_sqlite() -> bytes:
    """The file of a database with the finished search: made once, since its trials take .3 s and a copy takes none."""
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(resolve_address(f"sqlite:///{folder}/hpo.sqlite3"), create=True)
        searched(database)
        database.close()
        assert [file.name for file in Path(folder).iterdir()] == ["hpo.sqlite3"], "a log would be lost"
        return Path(folder, "hpo.sqlite3").read_bytes()


def searched_copy(folder: Path) -> Study:
    """The same search as `searched`, in a database of its own in a folder."""
    (folder / "hpo.sqlite3").write_bytes(_searched_sqlite())
    return open_study(open_database(resolve_address(f"sqlite:///{folder}/hpo.sqlite3"), create=False), "digits")


def work(database: Database, name: str, limit: int | None = None, data_dir: Path | None = None) -> WorkerSummary:
    """Train networks of a study in this process."""
    study = open_study(database, name)
    return run_worker(study, identity=this_process("w"), train=trainer_of(study, data_dir, "cpu"), limit=limit)


def finalizing(
    study: Study, results: Path, limit: int | None = None, data_dir: Path | None = None
) -> Callable[..., Finalization]:
    """Finalize trial 3 with one network of each configuration, unless said otherwise; the test set stays sealed.

    Args:
        limit: of the networks that are trained.
    """

    def train(_spec: StudySpec, name: str) -> None:
        if limit != 0:
            work(study.database, name, limit, data_dir)

    options = {"seeds": 1, "baseline_epochs": 1, "trial": 3, "device": "cpu", "train_only": True}
    options |= {} if data_dir is None else {"data_dir": str(data_dir)}
    return partial(finalize, study, **{"train": train, "results": results, **options})
