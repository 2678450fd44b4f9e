"""Find fonts of this machine for letters that the font of figures lacks, such as Chinese ones."""

from __future__ import annotations

import os
from functools import cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from hpo.text import escaped

FAMILY = "DejaVu Sans"
"""Family of all figures: Matplotlib brings it, so it is the same on every machine. It has Latin, Greek and Cyrillic."""

_PLACEHOLDERS = ("Last Resort", ".LastResort")
"""Begin the names of fonts that have a box for every letter."""

_REGULAR = (400, "normal", "regular")

_families: dict[str, str | None] = {}
"""The family found for each letter that FAMILY lacks; None where no font has it."""


def drawable(text: str) -> str:
    r"""Show every letter of a text that no font of this machine has as an escape, such as `\u4e2d`."""
    _look_for(text)
    return "".join(escaped(letter) if _families.get(letter, FAMILY) is None else letter for letter in text)


def use_fonts(figure: Figure) -> None:
    """Give every text of a figure the fonts that its letters need."""
    for text in figure.findobj(Text):
        found = {_families.get(letter) for letter in text.get_text()} - {None}
        if found:
            text.set_fontfamily([*text.get_fontfamily(), *sorted(filter(None, found))])


def _look_for(text: str) -> None:
    """Find families for letters that were not looked for before, with one look at each font: there may be thousands."""
    if text.isascii():
        return
    missing = {letter for letter in text if ord(letter) not in _letters_of_figures() and letter not in _families}
    for entry in _candidates() if missing else ():
        found = _drawn_by(entry.fname, missing)
        _families.update(dict.fromkeys(found, entry.name))
        missing -= found
        if not missing:
            return
    _families.update(dict.fromkeys(missing))


@cache
def _letters_of_figures() -> frozenset[int]:
    return frozenset(FT2Font(os.fspath(fontManager.findfont(FAMILY))).get_charmap())


def _candidates() -> list[FontEntry]:
    """Return all fonts: first those that served before, then regular ones, of them first sans-serif, as FAMILY is."""
    used = set(_families.values())
    upright = (entry for entry in fontManager.ttflist if entry.style == "normal")
    return sorted(
        (entry for entry in upright if not entry.name.startswith(_PLACEHOLDERS)),
        key=lambda one: (one.name not in used, one.weight not in _REGULAR, "Sans" not in one.name, one.name, one.fname),
    )


def _drawn_by(file: str, letters: set[str]) -> set[str]:
    """Return the letters of which a font has an outline: those of coloured pictures have none."""
    try:
        font = FT2Font(file)
        has = {letter for letter in letters if font.get_char_index(ord(letter))}
        return {letter for letter in has if letter.isspace() or _has_outline(font, letter)}
    except (OSError, RuntimeError):
        # A file that is gone, or that FreeType cannot read.
        return set()


def _has_outline(font: FT2Font, letter: str) -> bool:
    font.load_char(ord(letter))
    return len(font.get_path()[0]) > 0
