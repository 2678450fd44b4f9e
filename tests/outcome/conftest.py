"""A database for tests of results."""

from tests.search.conftest import database

__all__ = ["database"]
