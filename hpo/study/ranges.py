"""Ranges of whole numbers, shared by study files, options of commands and arguments of `import hpo`."""

from __future__ import annotations

from numbers import Integral
from typing import NamedTuple

from hpo.errors import UsageError
from hpo.text import brief


class Whole(NamedTuple):
    """Whole numbers from `low` to `high`, both included; without an upper end if `high` is None."""

    low: int
    high: int | None = None

    def check(self, option: str, value: object) -> None:
        """Check a number that was given; None, for none given, is allowed.

        Args:
            option: what the message calls it, such as `--seeds`.

        Raises:
            UsageError: if it is no whole number, or outside the range.
        """
        if value is None:
            return
        # NumPy's whole numbers are `Integral`, too; truth values are, but nobody means them.
        if isinstance(value, Integral) and not isinstance(value, bool):
            number = int(value)
            if number >= self.low and (self.high is None or number <= self.high):
                return
        end = "" if self.high is None else f" to {self.high:,}"
        raise UsageError(f"{option} {brief(value)}: give a whole number from {self.low}{end}")


TRIALS = Whole(1, 1_000_000)
EPOCHS = Whole(1, 10_000)
FOLDS = Whole(2, 20)

TOP = Whole(1, 30)
"""Configurations that a confirmation trains again, and best trials that a new study starts from."""

PER_FAMILY = Whole(0, 10)
REPEATS = Whole(1, 50)
"""Repeats of a confirmation, an ablation, or of methods: what options call seeds."""

FINAL_NETWORKS = Whole(1, 100)
"""Final networks of each configuration."""

WORKERS = Whole(1, 10_000)
"""Workers of one command."""

SEED = Whole(0)

ANY_COUNT = Whole(1)
"""Of what is shown, or done, at most."""
