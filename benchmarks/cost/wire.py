"""Round trips counted on the wire: a relay between a worker and its server that sees who speaks after whom."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Collection
from typing import Any

from sqlalchemy.engine import make_url

from benchmarks.cost.question import EPOCHS, STUDY
from benchmarks.cost.systems import Stock, free_report
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queue.workers import this_process
from hpo.search.study import open_study
from hpo.search.worker.loop import run_worker
from hpo.search.worker.trainer import Task
from hpo.study.record import Provenance


class Relay:
    """Passes on what a client and a server say. round_trips: how often the client spoke after the server had."""

    def __init__(self, host: str, port: int) -> None:
        self.round_trips = 0
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Takes no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                turn = {"server spoke": True}
                threading.Thread(target=self._pass, args=(client, server, turn, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, turn, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, turn: dict[str, bool], asks: bool) -> None:
        with contextlib.suppress(OSError):
            while said := source.recv(1 << 16):
                if asks and turn["server spoke"]:
                    self.round_trips += 1
                turn["server spoke"] = not asks
                target.sendall(said)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class FreeTrainer:
    """Stands in for training: reports come at once."""

    def __init__(self) -> None:
        self.provenance = Provenance(code_version="benchmark")
        self.failure: type[Exception] = ZeroDivisionError
        self.checkpoints: str | None = None

    def __call__(self, task: Task) -> Any:
        """Reports that get better and better, so that none is pruned."""
        for epoch in range(1, EPOCHS + 1):
            yield free_report(epoch, 0.9 + 0.001 * epoch + 1e-6 * task.number)

    def kept(self) -> set[int]:
        """Nothing."""
        return set()

    def forget(self, number: int, attempts: Collection[str]) -> None:
        """There is nothing to forget."""

    def peak_memory(self) -> int | None:
        """There is no device."""
        return None

    def needs_restart(self) -> bool:
        """It never runs out of memory."""
        return False

    def energy(self) -> float | None:
        """There is no device."""
        return None


def round_trips(address: str, trials: int = 5) -> dict[str, float]:
    """Round trips for a trial of ten settings and twenty reports, over some trials after a first one."""
    url = make_url(address)
    relay = Relay(url.host or "127.0.0.1", url.port or 5432)
    through = url.set(host="127.0.0.1", port=relay.port).render_as_string(hide_password=False)
    try:
        study = open_study(open_database(resolve_address(through), create=False), STUDY)
        found = {}
        for counted, limit in ((False, 1), (True, trials)):
            before = relay.round_trips
            run_worker(study, identity=this_process("wire"), train=FreeTrainer(), limit=limit)
            if counted:
                found["hpo"] = (relay.round_trips - before) / trials
        study.database.close()
        for name, median in (("stock", False), ("stock median", True)):
            stock = Stock(through, name, median=median)
            stock.trial(lambda *_: None, lambda: False)
            before = relay.round_trips
            for _ in range(trials):
                stock.trial(lambda *_: None, lambda: False)
            found[name] = (relay.round_trips - before) / trials
            stock.close()
        return found
    finally:
        relay.close()
