"""Parts of a report by what they hold, whatever their headings and sentences say."""

from __future__ import annotations

from typing import TypeVar

from hpo.outcome.report.document import Block, Document, Notice, Picture, Section, Table, Text

Kind = TypeVar("Kind", bound=Block)


def blocks(of: Document | Section, kind: type[Kind]) -> list[Kind]:
    """The blocks of one kind, in their order."""
    sections = of.sections if isinstance(of, Document) else (of,)
    return [block for section in sections for block in section.blocks if isinstance(block, kind)]


def pictures(of: Document | Section) -> list[str]:
    """The names of the pictures, in their order."""
    return [picture.name for picture in blocks(of, Picture)]


def section_with(document: Document, picture: str) -> Section:
    """The section that shows a picture."""
    return next(section for section in document.sections if picture in pictures(section))


def rows(section: Section, number: int = 0) -> dict[str, tuple[str, ...]]:
    """The rows of a section's table, by their first cells."""
    return {row[0]: row[1:] for row in blocks(section, Table)[number].rows}


def words(section: Section) -> list[str]:
    """The paragraphs of a section, notices among them."""
    return [block.text for block in section.blocks if isinstance(block, Text | Notice)]
