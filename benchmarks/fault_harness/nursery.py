"""Starts worker processes quickly: everything heavy is imported once, and each worker is a fork of that.

Reads one JSON object a line: {"start": Orders, "log": FILE} answers {"pid": N}; {"ended": true} answers
{"ended": {PID: exit status or -signal}} with those that ended since it was last asked. Ends when its input does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Any

from benchmarks.fault_harness import hpo_worker, stock_worker
from benchmarks.fault_harness.orders import Orders


def main() -> None:
    """Serves until its input ends, then kills what is left."""
    living: set[int] = set()
    # A worker that was just started has no handlers yet, which set its clock.
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, Any]
        if "start" in asked:
            process = _start(Orders(**asked["start"]), asked["log"])
            living.add(process)
            answer = {"pid": process}
        else:
            ended = _ended(living)
            living -= ended.keys()
            answer = {"ended": ended}
        print(json.dumps(answer), flush=True)
    for process in living:
        os.kill(process, signal.SIGKILL)


def _start(orders: Orders, log: str) -> int:
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = (hpo_worker if orders.system == "hpo" else stock_worker).work(orders)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _ended(living: set[int]) -> dict[int, int]:
    found = {}
    for process in living:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            found[process] = os.waitstatus_to_exitcode(status)
    return found


if __name__ == "__main__":
    main()
