"""Registry of the functions that load test sets; import-linter checks that only `hpo.data.sealed` calls them."""

from __future__ import annotations

from typing import Any

from hpo.registry import Registry

TEST_LOADERS: Registry[Any] = Registry("loader of test arrays for data set")
"""Functions of the data folder, by dataset name, see `hpo.data.loaders.Loader`."""
