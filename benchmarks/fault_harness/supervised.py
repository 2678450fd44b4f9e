"""`hpo worker` with a stand-in for training, started as `hpo launch` starts it; its orders are in FAULTS_ORDERS."""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.fault_harness.hpo_worker import write_down
from benchmarks.fault_harness.journal import Journal
from benchmarks.fault_harness.orders import Orders
from benchmarks.fault_harness.stand_in import StandIn
from hpo.launch import attach
from hpo.search.database.database import open_database
from hpo.search.study import open_study

ORDERS, PATIENCE = "FAULTS_ORDERS", "FAULTS_PATIENCE"


def main() -> None:
    """Run the command, whose arguments are Python's up to `-m hpo`."""
    orders = Orders(**json.loads(os.environ[ORDERS]))
    sys.argv = sys.argv[sys.argv.index("hpo") :]
    name = sys.argv[sys.argv.index("--worker-name") + 1]
    write_down(Journal(Path(orders.journals), name))
    changes: dict[str, Any] = {
        "set_up_process": lambda *_: None,
        "limit_memory": lambda *_: None,
        "trainer_of": lambda *_: StandIn(orders.epochs, orders.epoch_seconds, Path(orders.checkpoints)),
        "open_study": functools.partial(open_study, lease=orders.lease),
        "open_database": functools.partial(open_database, outage=float(os.environ[PATIENCE])),
    }
    for attribute, value in changes.items():
        getattr(attach, attribute)
        setattr(attach, attribute, value)
    from hpo.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
