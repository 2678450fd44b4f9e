"""A dashboard, and requests to it as its pages send them."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from hpo.search.dashboard.server import serve_dashboard
from hpo.search.database.database import Database


class Pages:
    """Sends requests to a dashboard at an address."""

    def __init__(self, address: str) -> None:
        self._place = urlsplit(address)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and JSON of the answer."""
        connection = http.client.HTTPConnection(self._place.hostname or "", self._place.port, timeout=120)
        try:
            kind = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), kind)
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if text else {}
        finally:
            connection.close()


@contextmanager
def dashboard(database: Database) -> Iterator[Pages]:
    """Serve a dashboard on any free port."""
    ready = threading.Event()
    found: list[Any] = []

    def note(item: Any) -> None:
        found.append(item)
        if len(found) == 2:
            ready.set()

    options = {"port": 0, "on_ready": note, "on_server": note, "draw": lambda *_: "<svg/>"}
    thread = threading.Thread(target=serve_dashboard, args=(database,), kwargs=options)
    thread.start()
    try:
        if not ready.wait(120):
            raise RuntimeError("the dashboard did not start")
        yield Pages(str(found[0]))
    finally:
        found[1].shutdown()
        thread.join()
