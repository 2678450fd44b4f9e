"""Widening: whether a spec differs from a stored one only by wider ranges and more choices."""

from __future__ import annotations

from hpo.study.space import Choices, Range, Space
from hpo.study.spec import StudySpec, differences


def obstacles(stored: StudySpec, asked: StudySpec) -> list[str]:
    """List the differences that do not just widen the space of a study, a line each as `differences` does.

    Without any, each trial of the stored spec is one of the asked spec, too: all else is the same.
    """
    kept: Space = {
        name: stored.space[name] if name in stored.space and _is_wider(stored.space[name], entry) else entry
        for name, entry in asked.space.items()
    }
    return differences(stored.canonical(), asked.model_copy(update={"space": kept}).canonical())


def widened(stored: StudySpec, asked: StudySpec) -> Space:
    """Return the entries of the space that differ."""
    return {name: entry for name, entry in asked.space.items() if stored.space.get(name) != entry}


def _is_wider(old: Range, new: Range) -> bool:
    if isinstance(old, Choices) or isinstance(new, Choices):
        if not (isinstance(old, Choices) and isinstance(new, Choices)):
            return False
        return {repr(choice) for choice in old.choices} <= {repr(choice) for choice in new.choices}
    return old.kind == new.kind and old.log == new.log and new.low <= old.low and old.high <= new.high
