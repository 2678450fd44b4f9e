"""One worker of hpo with a stand-in for training, and a journal of everything that the database accepted from it."""

from __future__ import annotations

import functools
import logging
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.fault_harness.clocks import ClockFile, shift_database_clock, skew_clock
from benchmarks.fault_harness.journal import Journal
from benchmarks.fault_harness.orders import Orders
from benchmarks.fault_harness.stand_in import StandIn
from hpo.control import Stop, StopReason
from hpo.errors import HpoError
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queue import claiming, reporting
from hpo.search.queue.workers import this_process
from hpo.search.study import open_study
from hpo.search.worker.loop import run_worker

INTERRUPTED = 130


def work(orders: Orders) -> int:
    """Works until the study is finished or SIGTERM comes; returns an exit code of hpo."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(message)s")
    stop = Stop()
    signal.signal(signal.SIGTERM, lambda *_: stop.request(StopReason.SIGNAL))
    journal = Journal(Path(orders.journals), orders.worker)
    write_down(journal)
    skew_clock(orders.clock_offset)
    train = StandIn(orders.epochs, orders.epoch_seconds, Path(orders.checkpoints))
    try:
        database = open_database(resolve_address(orders.address), create=False)
        shift_database_clock(database.engine, ClockFile(Path(orders.clock_file)).ahead)
        study = open_study(database, orders.study, lease=orders.lease)
        run_worker(study, identity=this_process(orders.worker), train=train, stop=stop)
    except HpoError as error:
        print(error)
        return error.exit_code
    return INTERRUPTED if stop.requested else 0


def write_down(journal: Journal) -> None:
    """Has every claim, and every write under a lease that was accepted, noted with its fencing number."""

    def noted(event: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def wrapper(first: Any, *arguments: Any, **named: Any) -> Any:
            began = time.monotonic()
            result = call(first, *arguments, **named)
            held = result if event == "claim" else first
            # A report that is told False is accepted and pruned; any other write that is told False is refused.
            if hasattr(held, "fence") and (event == "report" or getattr(result, "held", result) is not False):
                journal.note(event, began, trial=held.number, fence=held.fence, **_more(event, arguments))
            return result

        return wrapper

    _replace(claiming.claim, noted("claim", claiming.claim))
    _replace(claiming.renew, noted("renew", claiming.renew))
    _replace(claiming.release, noted("release", claiming.release))
    _replace(reporting.record_report, noted("report", reporting.record_report))
    _replace(reporting.finish, noted("finish", reporting.finish))


def _more(event: str, arguments: tuple[Any, ...]) -> dict[str, Any]:
    if event == "report":
        return {"epoch": arguments[0].epoch, "auc": arguments[0].auc}
    return {"outcome": arguments[0]} if event == "finish" else {}


def _replace(original: Any, wrapper: Any) -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith("hpo.search"):
            for attribute, value in list(vars(module).items()):
                if value is original:
                    setattr(module, attribute, wrapper)
