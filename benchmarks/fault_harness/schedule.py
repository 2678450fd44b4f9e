"""When which fault strikes whom: drawn once from a seed, so that two systems meet the same faults."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Kind = Literal["kill", "terminate", "freeze", "restart", "full disk", "relaunch", "cut", "wall clock", "database clock"]

EVERY_SECONDS: dict[Kind, float] = {
    "kill": 1.5,
    "terminate": 3.0,
    "freeze": 2.0,
    "restart": 11.0,
    "full disk": 7.0,
    "relaunch": 19.0,
    "cut": 3.0,
    "wall clock": 1.0,
    "database clock": 4.0,
}
"""Mean seconds between two faults of a kind; some come regularly, the others at random."""

_REGULAR = ("restart", "full disk", "relaunch", "database clock")


@dataclass(frozen=True)
class Fault:
    """A fault at some second of the run. slot: which worker, or the first living one after it. seconds: how long."""

    at: float
    kind: Kind
    slot: int = 0
    seconds: float = 0.0


def draw(seed: int, seconds: float, workers: int, lease: float, kinds: tuple[Kind, ...]) -> list[Fault]:
    """The faults of one run in order. A freeze lasts 1.2 to 3 leases, a full disk one lease."""
    faults = []
    for kind in kinds:
        chance = random.Random(f"{seed}:{kind}")
        at = 0.0
        while True:
            mean = EVERY_SECONDS[kind]
            at += mean if kind in _REGULAR else chance.expovariate(1 / mean)
            if at >= seconds:
                break
            lasts = {"freeze": lease * chance.uniform(1.2, 3.0), "full disk": lease}.get(kind, 0.0)
            faults.append(Fault(at, kind, chance.randrange(workers), lasts))
    return sorted(faults, key=lambda fault: fault.at)
