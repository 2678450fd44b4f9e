"""One cell of the table: a system, a number of workers, a number of finished trials; in processes of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

from benchmarks.cost.systems import Name, Step, System, connect, share_cache

_fork = multiprocessing.get_context("fork")

STEPS: tuple[Step, ...] = ("claim", "suggest", "report", "tell")


@dataclass(frozen=True)
class Cell:
    """What is measured. seconds: for how long trials are begun."""

    system: Name
    address: str
    workers: int
    seconds: float


def in_a_child(work: Callable[[], Any]) -> Any:
    """What `work` returns, from a process of its own: the parent of all forks never opens a database."""
    mine, theirs = _fork.Pipe(duplex=False)
    child = _fork.Process(target=lambda: theirs.send(work()))
    child.start()
    theirs.close()
    try:
        return mine.recv()
    except EOFError:
        raise RuntimeError("a measuring process died; its error is above") from None
    finally:
        child.join()


def measure(cell: Cell) -> dict[str, Any]:
    """Milliseconds of each step, steps per second of all workers together, and a worker's first trial in seconds.

    The first trial, which reads all finished ones, is made once; the workers inherit its list of them.
    """
    start = time.perf_counter()
    warm = connect(cell.system, cell.address, "warm")
    ready: list[float] = []
    warm.trial(lambda step, _: ready.append(time.perf_counter() - start) if step == "suggest" else None, lambda: False)
    warm.close()
    # hpo closes idle connections from a thread, which must have ended before the fork.
    time.sleep(1.5)
    barrier = _fork.Barrier(cell.workers)
    pipes, children = [], []
    for number in range(cell.workers):
        mine, theirs = _fork.Pipe(duplex=False)
        child = _fork.Process(target=_work, args=(cell, f"w{number}", warm, barrier, theirs))
        child.start()
        theirs.close()
        pipes.append(mine)
        children.append(child)
    taken: dict[str, list[float]] = defaultdict(list)
    walls = []
    for pipe in pipes:
        times, wall = pipe.recv()
        walls.append(wall)
        for step, values in times.items():
            taken[step] += values
    for child in children:
        child.join()
    figures = {step: _figures(taken[step], max(walls)) for step in (*STEPS, "claim and suggest")}
    return {"first_trial_seconds": round(ready[0], 3), "trials": len(taken["tell"]), "steps": figures}


def _work(cell: Cell, worker: str, warm: System, barrier: Barrier, pipe: Connection) -> None:
    system = connect(cell.system, cell.address, worker)
    share_cache(warm, system)
    times: dict[str, list[float]] = defaultdict(list)
    barrier.wait()
    start = time.perf_counter()

    def over() -> bool:
        return time.perf_counter() - start > cell.seconds

    while not over():
        system.trial(lambda step, seconds: times[step].append(seconds), over)
    times["claim and suggest"] = [sum(pair) for pair in zip(times["claim"], times["suggest"], strict=True)]
    pipe.send((dict(times), time.perf_counter() - start))
    system.close()


def _figures(seconds: list[float], wall: float) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "count": len(ordered),
        "per_second": round(len(ordered) / wall, 2),
        "p50_ms": round(1000 * ordered[len(ordered) // 2], 2),
        "p95_ms": round(1000 * ordered[int(len(ordered) * 0.95)], 2),
    }
