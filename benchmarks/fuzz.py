"""Try broken input of every kind with a fixed seed, and count exit codes: `python -m benchmarks.fuzz [--seed N]`.

An exit code of 1, a traceback, or a control character of stored text that reaches the terminal is a failure.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.inputs import files, results, stored, surroundings, text
from benchmarks.inputs.tally import Tally

COUNTS = {
    "study files": 1500,
    "--set": 1500,
    "addresses": 800,
    "command lines": 1500,
    "arrays": 800,
    "models": 300,
    "damaged databases": 100,
    "stored rows": 150,
    "final results": 400,
    "reports": 40,
}
"""Inputs of each kind at scale 1."""


SEED = [0]
"""Seed of the run; the same inputs follow from the same seed."""


def tried(strategy: st.SearchStrategy[Any], count: int, use: Callable[[Any], None]) -> None:
    """Call `use` for `count` examples of a strategy, the same ones in each run."""

    @seed(SEED[0])
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(example: Any) -> None:
        use(example)

    run()


def run_all(scale: float, only: str, folder: Path) -> list[Tally]:
    """Try all kinds, or one; print a line for each."""
    done = []
    for kind, count in COUNTS.items():
        if not only or only in kind:
            tally, started = Tally(kind), time.monotonic()
            KINDS[kind](tally, max(1, int(scale * count)), folder)
            done.append(tally)
            print(tally.line(), f"{time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    if not only or only in "surroundings":
        tally = Tally("surroundings")
        address = f"sqlite:///{folder}/surroundings.sqlite3"
        files.study_in_a_file(folder / "surroundings.sqlite3")
        surroundings.try_surroundings(tally, address, folder)
        done.append(tally)
    return done


def _study_files(tally: Tally, count: int, folder: Path) -> None:
    tried(text.study_files, count, lambda example: text.check_file(tally, example, folder))


def _overrides(tally: Tally, count: int, folder: Path) -> None:
    tried(text.overrides, count, lambda example: text.check_overrides(tally, example))


def _addresses(tally: Tally, count: int, folder: Path) -> None:
    tried(text.addresses, count, lambda example: text.try_address(tally, example))


def _command_lines(tally: Tally, count: int, folder: Path) -> None:
    tried(text.command_lines(), count, tally.call)


def _arrays(tally: Tally, count: int, folder: Path) -> None:
    files.small_model(folder / "model.safetensors")

    def use(how: tuple[Any, ...]) -> None:
        (folder / "images.npz").write_bytes(files.broken_npz(how))
        tally.call(["predict", "model.safetensors", "images.npz", "--out", "scores.csv", "--device", "cpu"], how)

    tried(files.arrays, count, use)


def _models(tally: Tally, count: int, folder: Path) -> None:
    good = files.small_model(folder / "good.safetensors")
    (folder / "images.npz").write_bytes(files.broken_npz(("other", "uint8", (4, 8, 8))))

    def use(how: tuple[Any, ...]) -> None:
        (folder / "model.safetensors").write_bytes(files.broken_model(good, how))
        tally.call(["predict", "model.safetensors", "images.npz", "--out", "scores.csv", "--device", "cpu"], how)

    tried(files.models, count, use)


def _damaged_databases(tally: Tally, count: int, folder: Path) -> None:
    good = files.study_in_a_file(folder / "good.sqlite3")

    def use(how: tuple[Any, ...]) -> None:
        path = _fresh(folder / "damaged.sqlite3", files.damaged(good, *how))
        files.read_everything(tally, path, how)

    tried(st.tuples(files.changes, files.cuts), count, use)


def _stored_rows(tally: Tally, count: int, folder: Path) -> None:
    good = files.study_in_a_file(folder / "whole.sqlite3")

    def use(cell: tuple[tuple[str, str], Any]) -> None:
        path = _fresh(folder / "rows.sqlite3", good)
        stored.change(path, cell)
        files.read_everything(tally, path, cell)

    tried(stored.cells, count, use)


def _results(tally: Tally, count: int, folder: Path) -> None:
    results.small_result(folder / "good-result")
    (folder / "results").mkdir()

    def use(how: tuple[Any, ...]) -> None:
        results.read_result(tally, folder / "good-result", how, folder / "results")

    tried(results.broken, count, use)


def _reports(tally: Tally, count: int, folder: Path) -> None:
    good = files.study_in_a_file(folder / "told.sqlite3")

    def use(cell: tuple[tuple[str, str], Any]) -> None:
        path = _fresh(folder / "report.sqlite3", good)
        stored.change(path, cell)
        tally.call(["report", "study", "--storage", f"sqlite:///{path}", "--out", "report"], cell)

    tried(stored.cells, count, use)


def _fresh(path: Path, content: bytes) -> Path:
    for leftover in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + leftover).unlink(missing_ok=True)
    path.write_bytes(content)
    return path


KINDS: dict[str, Callable[[Tally, int, Path], None]] = {
    "study files": _study_files,
    "--set": _overrides,
    "addresses": _addresses,
    "command lines": _command_lines,
    "arrays": _arrays,
    "models": _models,
    "damaged databases": _damaged_databases,
    "stored rows": _stored_rows,
    "final results": _results,
    "reports": _reports,
}


def main() -> int:
    """Run the kinds that are asked for; return 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="multiple of the number of inputs")
    parser.add_argument("--seed", type=int, default=0, help="another seed, for other inputs")
    parser.add_argument("--only", default="", help="part of the name of the only kind to try")
    asked = parser.parse_args()
    SEED[0] = asked.seed
    with tempfile.TemporaryDirectory(prefix="hpo-fuzz-") as name:
        os.chdir(name)
        done = run_all(asked.scale, asked.only, Path(name))
        os.chdir("/")
    print("| kind | inputs | exit codes | failures |\n|---|---:|---|---:|")
    for tally in done:
        print(tally.line())
    for tally in done:
        for failure in tally.failures[:20]:
            print(f"{tally.kind}: {failure}".encode("utf-8", "backslashreplace").decode())
    return 1 if any(tally.failures for tally in done) else 0


if __name__ == "__main__":
    sys.exit(main())
