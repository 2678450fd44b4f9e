"""The command `hpo`: a file per command, which parses, calls one function, prints and returns an exit code."""

from hpo.cli.main import main

__all__ = ["main"]
