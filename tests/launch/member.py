"""A process that trains with others, for one forked from a process which has loaded torch."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

from hpo.launch.sizing import worker_pool

run = worker_pool._member


def member(pipe: Connection, _: int, rehearsal: worker_pool.WorkerPool) -> None:
    """Be one that lives as long as the fork server, its parent, and measures as few steps as it may."""
    worker_pool.MEASURED_SECONDS = 0.0
    run(pipe, os.getppid(), rehearsal)
