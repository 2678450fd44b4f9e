"""One trial through the database, timed step by step: as hpo does it, and as stock Optuna does it."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import optuna

from benchmarks.cost.question import EPOCHS, FIRST_RUNG, REDUCTION, SPEC, STARTUP, STUDY, free_record, random_auc
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queue.claiming import claim, store_record
from hpo.search.queue.lease import Claim
from hpo.search.queue.reporting import finish, record_report
from hpo.search.strategy import sampler
from hpo.search.strategy.sampler import distribution, suggest
from hpo.search.strategy.seeds import trial_seed
from hpo.search.study import Study, open_study
from hpo.training.report import EpochReport

Step = Literal["claim", "suggest", "report", "tell"]
Note = Callable[[Step, float], None]
Name = Literal["hpo", "stock", "stock median"]

_CACHE = ("_studies", "_trial_id_to_study_id_and_number", "_study_id_and_number_to_trial_id")


def free_report(epoch: int, auc: float) -> EpochReport:
    """Make a report that cost no training."""
    return EpochReport(epoch, auc, 0.01, (auc,) * 5, 0.9, 0.1, 10.0)


class System(Protocol):
    """A worker that is connected to the study."""

    storage: Any

    def trial(self, note: Note, over: Callable[[], bool]) -> None:
        """One trial with EPOCHS reports, whatever is decided of it; fewer if it is `over`."""
        ...

    def close(self) -> None:
        """Closes its connections."""
        ...


class Hpo:
    """As `hpo.search.worker.loop` calls the database."""

    def __init__(self, study: Study, worker: str) -> None:
        self._study, self._worker, self._chance = study, worker, random.Random(worker)
        self.database, self.storage = study.database, study.database.optuna

    def trial(self, note: Note, over: Callable[[], bool]) -> None:
        """One trial."""
        with _timed(note, "claim"):
            held = claim(self._study, self._worker)
        if not isinstance(held, Claim):
            raise RuntimeError("the study that is measured has no trial left")
        with _timed(note, "suggest"):
            suggestion = suggest(self._study, held.number)
            params = suggestion.values
            store_record(held, free_record(params), drawn=suggestion.drawn)
        for epoch in _epochs(over):
            last = free_report(epoch, random_auc(self._chance))
            with _timed(note, "report"):
                record_report(held, last)
        with _timed(note, "tell"):
            finish(held, "complete", last, free_record(params))

    def close(self) -> None:
        """Closes its connections."""
        self._study.database.close()


class Stock:
    """Optuna as its documents say, with the same sampler settings; its pruner by halving, or by the median."""

    def __init__(self, address: str, worker: str, *, median: bool = False) -> None:
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        arguments = {"connect_args": {"timeout": 60}} if address.startswith("sqlite") else {}
        self._rdb = optuna.storages.RDBStorage(address, engine_kwargs=arguments, skip_table_creation=True)
        self.storage = optuna.storages.get_storage(self._rdb)
        self._chance = random.Random(worker)
        seed = trial_seed(0, self._chance.randrange(2**30), "sampler")
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, multivariate=True, group=True)
        pruner: optuna.pruners.BasePruner = optuna.pruners.SuccessiveHalvingPruner(FIRST_RUNG, REDUCTION)
        if median:
            pruner = optuna.pruners.MedianPruner()
        self._study = optuna.load_study(study_name=STUDY, storage=self.storage, sampler=sampler, pruner=pruner)
        self._space = {name: distribution(entry) for name, entry in SPEC.space.items()}

    def trial(self, note: Note, over: Callable[[], bool]) -> None:
        """One trial."""
        with _timed(note, "claim"):
            trial = self._study.ask()
        with _timed(note, "suggest"):
            for name, entry in self._space.items():
                trial._suggest(name, entry)
        auc = 0.0
        for epoch in _epochs(over):
            auc = random_auc(self._chance)
            with _timed(note, "report"):
                trial.report(auc, epoch)
                trial.should_prune()
        with _timed(note, "tell"):
            self._study.tell(trial, auc)

    def close(self) -> None:
        """Closes its connections."""
        self._rdb.scoped_session.remove()
        self._rdb.engine.dispose()


def connect(name: Name, address: str, worker: str) -> System:
    """A worker of this system."""
    if name == "hpo":
        return Hpo(open_study(open_database(resolve_address(address), create=False), STUDY), worker)
    return Stock(address, worker, median=name == "stock median")


def share_cache(warm: System, cold: System) -> None:
    """Gives a worker the list of finished trials that another has read, so that not each has to read them first."""
    if isinstance(warm, Hpo) and isinstance(cold, Hpo):
        # Each worker is a process of its own, so what they share here is a copy in each.
        sampler._histories[cold.database] = dict(sampler._histories.get(warm.database, {}))
        return
    for attribute in _CACHE:
        setattr(cold.storage, attribute, getattr(warm.storage, attribute))


def _epochs(over: Callable[[], bool], at_least: int = 3) -> Iterator[int]:
    for epoch in range(1, EPOCHS + 1):
        if epoch > at_least and over():
            return
        yield epoch


@contextmanager
def _timed(note: Note, step: Step) -> Iterator[None]:
    start = time.perf_counter()
    yield
    note(step, time.perf_counter() - start)
