"""Attaching a worker: whether it waits for a database that does not answer when it starts."""

from __future__ import annotations

import os

import pytest

from hpo.errors import StorageError
from hpo.launch import attach as attach_module
from hpo.launch.attach import attach
from hpo.search.database import retry
from tests.clock import Clock
from tests.search.proxy import Proxy


@pytest.mark.parametrize(("parent", "waits"), [(os.getpid(), True), (None, False)], ids=["of a launch", "by hand"])
def test_only_a_worker_that_a_launch_started_waits_for_a_server_that_is_away(
    parent: int | None, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg")
    clock = Clock(1000.0)
    monkeypatch.setattr(retry, "time", clock)
    for name in ("set_up_process", "limit_memory"):
        monkeypatch.setattr(attach_module, name, lambda *_: None)
    with Proxy("127.0.0.1", 1) as proxy, pytest.raises(StorageError):
        attach("study", storage=f"postgresql://nobody@127.0.0.1:{proxy.port}/x", device="cpu", parent=parent)
    assert (clock.now >= 1000.0 + retry.OUTAGE_SECONDS) == waits
