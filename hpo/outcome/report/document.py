"""Model a document as sections of blocks, and write it as one HTML page and as Markdown with figure files."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hpo.errors import OutputError
from hpo.files import make_folder
from hpo.text import visible

_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)

_BLOCK_START = re.compile(r"#{1,6}(\s|$)|[*+-](\s|$)|>|\d+[.)](\s|$)|(-\s*){3,}$|(=+|~{3,})")
"""What begins a heading, a list, a quotation or a rule in Markdown."""

_WORD = re.compile(r"[^\W\d_]{4}")


@dataclass(frozen=True)
class Text:
    """A paragraph; `code` and **bold** as in Markdown."""

    text: str


@dataclass(frozen=True)
class Notice:
    """A highlighted paragraph."""

    text: str


@dataclass(frozen=True)
class Listing:
    """A bulleted list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Commands:
    """Command lines to type."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Cells as text. Number columns are right-aligned and not wrapped; word columns are left-aligned and wrapped."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def is_of_words(self, column: int) -> bool:
        """Return whether a column is the first, or has a cell with a word of more than three letters."""
        return column == 0 or any(_WORD.search(row[column]) for row in self.rows)


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure. name: file name without suffix. draw: returns SVG text. caption: also the alternative text."""

    name: str
    draw: Callable[[], str]
    caption: str

    @cached_property
    def svg(self) -> str:
        """Draw it once, when it is first shown: a third of a second, and who reads only sentences needs none."""
        return self.draw()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and self._shown() == other._shown()

    def __hash__(self) -> int:
        return hash(self._shown())

    def _shown(self) -> tuple[str, str, str]:
        return self.name, self.caption, self.svg


Block = Text | Notice | Listing | Commands | Table | Picture


@dataclass(frozen=True)
class Section:
    """A heading and its blocks."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A title, a subtitle and sections."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]


def write(document: Document, folder: Path) -> tuple[Path, Path]:
    """Write report.html, report.md and figures/ into a folder, created if needed. Raises OutputError."""
    page, text, figures = folder / "report.html", folder / "report.md", folder / "figures"
    # All pictures are drawn here, before a file of an earlier report is replaced.
    html_page = to_html(document)
    try:
        make_folder(figures)
        for section in document.sections:
            for block in section.blocks:
                if isinstance(block, Picture):
                    (figures / f"{block.name}.svg").write_text(block.svg, encoding="utf-8")
        page.write_text(html_page, encoding="utf-8")
        text.write_text(to_markdown(document), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); give --out with another folder") from None
    return page, text


def to_html(document: Document) -> str:
    """Render one self-contained HTML page."""
    anchors = [re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") for section in document.sections]
    contents = "".join(
        f'<li><a href="#{anchor}">{html.escape(visible(section.title))}</a></li>'
        for anchor, section in zip(anchors, document.sections, strict=True)
    )
    sections = "\n".join(
        f'<section id="{anchor}"><h2>{html.escape(visible(section.title))}</h2>\n'
        + "\n".join(_html(block) for block in section.blocks)
        + "</section>"
        for anchor, section in zip(anchors, document.sections, strict=True)
    )
    title, subtitle = html.escape(visible(document.title)), _inline_html(document.subtitle)
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>\n{style}</style></head>\n<body>'
        f'<header><h1>{title}</h1><p class="subtitle">{subtitle}</p></header>\n<nav><ol>{contents}</ol></nav>\n'
        f"<main>{sections}</main></body></html>\n"
    )


def to_markdown(document: Document) -> str:
    """Render Markdown; figures are files in figures/."""
    parts = [f"# {literal(document.title)}", _paragraph(document.subtitle)]
    parts += [to_markdown_section(section) for section in document.sections]
    return "\n\n".join(parts) + "\n"


def to_markdown_section(section: Section) -> str:
    """Render Markdown of one section."""
    return "\n\n".join([f"## {literal(section.title)}", *(_markdown(block) for block in section.blocks)])


def _html(block: Block) -> str:
    match block:
        case Text(text):
            return f"<p>{_inline_html(text)}</p>"
        case Notice(text):
            return f'<p class="notice">{_inline_html(text)}</p>'
        case Listing(items):
            return "<ul>" + "".join(f"<li>{_inline_html(item)}</li>" for item in items) + "</ul>"
        case Commands(lines):
            return f"<pre>{html.escape(chr(10).join(map(_one_line, lines)))}</pre>"
        case Table(header, rows):
            of_words = [block.is_of_words(column) for column in range(len(header))]
            head = _html_row("th", header, of_words)
            body = "".join(_html_row("td", row, of_words) for row in rows)
            return f'<div class="wide"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'
        case Picture(_, _, caption):
            data, words = base64.b64encode(block.svg.encode()).decode(), html.escape(visible(caption), quote=True)
            image = f'<img alt="{words}" src="data:image/svg+xml;base64,{data}">'
            return f"<figure>{image}<figcaption>{_inline_html(caption)}</figcaption></figure>"


def _markdown(block: Block) -> str:
    match block:
        case Text(text):
            return _paragraph(text)
        case Notice(text):
            return f"> **Note.** {inline_markdown(text)}"
        case Listing(items):
            return "\n".join(f"- {_paragraph(item)}" for item in items)
        case Commands(lines):
            shown = [_one_line(line) for line in lines]
            fence = _fence("\n".join(shown), 3)
            return "\n".join([fence, *shown, fence])
        case Table(header, rows):
            rule = ["---" if block.is_of_words(column) else "---:" for column in range(len(header))]
            return "\n".join([_markdown_row(header), f"| {' | '.join(rule)} |", *map(_markdown_row, rows)])
        case Picture(name, _, caption):
            return f"![{literal(caption)}](figures/{name}.svg)\n\n*{inline_markdown(caption)}*"


def _html_row(cell: str, values: Iterable[str], of_words: Iterable[bool]) -> str:
    kinds = ("" if words else ' class="number"' for words in of_words)
    cells = (f"<{cell}{kind}>{_inline_html(value)}</{cell}>" for value, kind in zip(values, kinds, strict=True))
    return "<tr>" + "".join(cells) + "</tr>"


def _markdown_row(values: Sequence[str]) -> str:
    return "| " + " | ".join(inline_markdown(value).replace("|", r"\|") for value in values) + " |"


def code(text: str) -> str:
    """Mark stored text as code, such as a name, whatever letters it has."""
    fence = _fence(text, 1)
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def _fence(text: str, least: int) -> str:
    """Return more backticks than any run of them in the text has."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


def _inline_html(text: str) -> str:
    return "".join(
        f"<code>{html.escape(part, quote=False)}</code>"
        if is_code
        else re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html.escape(part, quote=False))
        for is_code, part, _ in _spans(visible(text))
    )


def inline_markdown(text: str) -> str:
    """Return a text in one line in which `code` and **bold** are Markdown, and nothing else is."""
    return "".join(source if is_code else _harmless(part) for is_code, part, source in _spans(_one_line(text)))


def _paragraph(text: str) -> str:
    """Return a text as `inline_markdown` does, which begins no heading, list or quotation."""
    made = inline_markdown(text)
    return f"\\{made}" if _BLOCK_START.match(made) else made


def _one_line(text: str) -> str:
    return " ".join(visible(text).split())


def _spans(text: str) -> Iterator[tuple[bool, str, str]]:
    """Yield whether a part is code, its text, and its source, which has runs of as many backticks at both ends."""
    done = 0
    for span in _CODE.finditer(text):
        yield False, text[done : span.start()], ""
        content = span[2]
        is_padded = content.startswith(" ") and content.endswith(" ") and content.strip()
        yield True, content[1:-1] if is_padded else content, span[0]
        done = span.end()
    yield False, text[done:], ""


def _harmless(text: str) -> str:
    """Escape HTML, entities, links and unpaired backticks; brackets of intervals stay readable."""
    text = text.replace("\\", r"\\").replace("`", r"\`").replace("<", "&lt;")
    text = re.sub(r"&(?=#|\w+;)(?!lt;)", "&amp;", text)
    return re.sub(r"\](?=[(\[:])", r"\]", text)


def literal(text: str) -> str:
    """Escape all of Markdown's punctuation."""
    return re.sub(r"([\\`*_\[\]<>#|&~])", r"\\\1", _one_line(text))
