"""What a message names: options, paths, settings and numbers, whatever the words around them."""

from __future__ import annotations

import re


def unmentioned(message: object, *facts: object) -> list[str]:
    """The facts that a message leaves out: `assert unmentioned(error.value, "--top", 3) == []`.

    A fact is a name or a number that stands by itself: `fold` is not mentioned by `folds`, nor 3 by 13 or 3.5, nor by
    a path: pytest numbers its folders. Line breaks and separators of thousands do not matter.
    """
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", " ".join(str(message).split()))
    bare = _without_paths(text)
    return [fact for fact in map(str, facts) if not re.search(_by_itself(fact), bare if _is_number(fact) else text)]


def _is_number(fact: str) -> bool:
    return re.fullmatch(r"[+-]?[\d.]+", fact) is not None


def _without_paths(text: str) -> str:
    return re.sub(r"(?<![\w.])(?:\w+:/{2})?/[\w.@+-]+(?:/[\w.@+-]+)+", "PATH", text)


def _by_itself(fact: str) -> str:
    before = r"(?<!\w)(?<!\d\.)" if fact[:1].isalnum() else ""
    after = r"(?!\w|\.\d|-\w)" if fact.startswith("--") else r"(?!\w|\.\d)" if fact[-1:].isalnum() else ""
    return before + re.escape(fact) + after


def numbers_in(message: object) -> list[float]:
    """The numbers of a message in their order, signs included; none of a path."""
    number = r"(?<![\w.])[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?![\w.]*\w)"
    return [float(found) for found in re.findall(number, _without_paths(str(message)))]
