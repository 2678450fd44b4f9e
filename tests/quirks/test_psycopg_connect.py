"""psycopg keeps no SQLSTATE of a connection that the server refused, nor the resolver's error for an unknown host.

So `hpo.search.database.refusal` reads the code in the trace of a second try, and `hpo.search.database.engine` gives
the error a cause. A test that fails here says that this is no longer needed.
"""

from __future__ import annotations

import psycopg
import pytest

from tests.search.proxy import Proxy


def test_a_refused_connection_has_no_sqlstate() -> None:
    with Proxy("127.0.0.1", 1) as proxy:
        proxy.refusals = ["57P03"]
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect(host="127.0.0.1", port=proxy.port, user="u")
    assert (caught.value.sqlstate, caught.value.diag.sqlstate) == (None, None)
    assert caught.value.pgconn is not None


def test_an_unknown_host_has_neither_connection_nor_cause() -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(host="host.invalid", user="u")
    error = caught.value
    assert (error.pgconn, error.sqlstate, error.__cause__, error.__context__) == (None, None, None, None)
