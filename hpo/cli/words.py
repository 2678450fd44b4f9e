"""Refuse words of a command line that no command can mean: no text, or empty."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from hpo.errors import UsageError

_EMPTY_OPTION = re.compile(r"--[a-z][a-z-]*=")


def check_words(words: Sequence[str], environment: Mapping[str, str]) -> None:
    """Check the arguments of a command, and the variables HPO_... that stand for options.

    Paths are stored in the database and printed, so they must be text like all other words.

    Raises:
        UsageError: if one is not text in the encoding of the locale, or is empty; for blanks around the = of `--set`.
    """
    variables = {name: text for name, text in environment.items() if name.startswith("HPO_")}
    for name, text in (*((repr(word), word) for word in words), *variables.items()):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{name} is not text in the encoding of this locale; give it in UTF-8") from None
    for before, word in zip(("", *words), words, strict=False):
        if not word or _EMPTY_OPTION.fullmatch(word):
            where = f"after {before}" if before.startswith("-") and not word else word or f"after {before!r}"
            raise UsageError(f"an empty argument ({where}): leave it out, or give a value; is a shell variable unset?")
    for option, key, value in zip(words, words[1:], words[2:], strict=False):
        if option == "--set" and (value.startswith("=") or key.endswith("=")) and not value.startswith("-"):
            rest = " ".join(words[words.index(key) :][: 3 if value == "=" else 2])
            whole = f"{key.rstrip('=')}={rest.rpartition('=')[2].strip()}"
            raise UsageError(f"--set {rest}: no blanks around =; give --set {shlex.quote(whole)}")
