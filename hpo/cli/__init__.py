"""Implement the command `hpo`: one file per command, which parses, calls one function, prints and returns a code."""

from hpo.cli.main import main

__all__ = ["main"]
