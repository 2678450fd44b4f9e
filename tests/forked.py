"""Processes forked from one which has loaded what hpo trains with, where starting Python is not what is tested.

Loading takes 4 s of CPU of each process that trains.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import types
from multiprocessing.process import BaseProcess
from pathlib import Path

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["hpo.launch.attach", "hpo.training.loop.trial", "hpo.training.loop.refit", "tests.search.process"]
)


def fork_hpo(*arguments: str, cwd: Path, environment: dict[str, str]) -> BaseProcess:
    """Start `hpo ARGUMENTS` in a folder and with an environment, without a word on its streams."""
    process = PROCESSES.Process(target=_run, args=(arguments, str(cwd), environment))
    process.start()
    return process


def _run(arguments: tuple[str, ...], cwd: str, environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    # click names the program after the main module.
    sys.argv, sys.modules["__main__"] = ["hpo", *arguments], types.ModuleType("__main__")
    from hpo.cli import main

    main()
