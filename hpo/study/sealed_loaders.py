"""Where the functions are registered that load test arrays; only `hpo.data.sealed` may read it, a contract checks."""

from __future__ import annotations

from typing import Any

from hpo.registry import Registry

TEST_LOADERS: Registry[Any] = Registry("loader of test arrays for data set")
"""Functions of a folder, by the name of their dataset, see `hpo.data.loaders.Loader`."""
