"""Slurm's commands exit with 1 whatever failed, so `backends.slurm.client` knows a forgotten job by its text alone.

A test that fails here says that there is a code to go by, or that the text has changed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.errors import UsageError
from hpo.launch.backends.slurm import client
from tests.slurm.cluster import Cluster, cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Slurm."""
    yield from cluster(tmp_path_factory.mktemp("slurm"))


def test_an_unknown_job_is_reported_by_text_and_by_no_code(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    monkeypatch.setenv("LANGUAGE", "de")
    codes = [_exit_code("squeue", "--jobs=99999999"), _exit_code("squeue", "--no-such-option")]
    assert codes == [1, 1]
    assert client.tasks(["99999999"]) == []
    client.cancel(["99999999"])
    damaged = tmp_path / "slurm.conf"
    damaged.write_text("Nonsense=1\n")
    monkeypatch.setenv("SLURM_CONF", str(damaged))
    with pytest.raises(client.SlurmSilentError):
        client.tasks(["99999999"])
    with pytest.raises(UsageError):
        client.cancel(["99999999"])


def _exit_code(*command: str) -> int:
    return subprocess.run(command, env=os.environ, capture_output=True, check=False).returncode
