"""The command `hpo`: parse, open heavy doors late, call one function, print, return a code."""

from hpo.cli.main import main

__all__ = ["main"]
