"""Names in figures whose letters the figures' own font lacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager

from hpo.outcome.report import fonts
from hpo.outcome.report.drawing import plain
from hpo.outcome.report.search import figures
from hpo.outcome.report.search.evidence import SearchEvidence
from tests.outcome import simulated

NAME = "乳腺 b"


@pytest.fixture(autouse=True)
def only_the_figures_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a machine that has no other fonts than those that Matplotlib brings."""
    brought = [entry for entry in fontManager.ttflist if "mpl-data" in entry.fname]
    monkeypatch.setattr(fontManager, "ttflist", brought)
    fonts._families.clear()
    yield
    fonts._families.clear()


def install(folder: Path, family: str, letters: str, is_drawn: bool = True) -> None:
    """Make a font of squares and tell Matplotlib of it, as if it were installed."""
    names = {ord(letter): f"uni{ord(letter):04X}" for letter in letters}
    order = [".notdef", *names.values()]
    pen = TTGlyphPen(None)
    if is_drawn:
        pen.moveTo((100, 0))
        for corner in ((100, 700), (800, 700), (800, 0)):
            pen.lineTo(corner)
        pen.closePath()
    glyph = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(names)
    builder.setupGlyf(dict.fromkeys(order, glyph))
    builder.setupHorizontalMetrics(dict.fromkeys(order, (900, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular", "psName": family.replace(" ", "")})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    file = folder / f"{family}.ttf"
    builder.save(file)
    fontManager.addfont(file)


def search(name: str) -> SearchEvidence:
    trial = simulated.trial(3, "complete", 0.8)
    return simulated.of([dataclasses.replace(trial, row=dataclasses.replace(trial.row, start=name))])


@pytest.mark.filterwarnings("error")
def test_letters_that_no_font_has_are_shown_as_codes() -> None:
    assert r"<!-- trial 3 (start \u4e73\u817a b) -->" in figures.curves(search(NAME))


@pytest.mark.filterwarnings("error")
def test_letters_are_drawn_by_a_font_of_this_machine_that_has_them(tmp_path: Path) -> None:
    install(tmp_path, "Hpo Test Sans", "乳腺")
    for svg in (figures.curves(search(NAME)), figures.trial_overview(search(NAME).trials[0])):
        assert f"<!-- trial 3 (start {NAME}) -->" in svg
        assert "HpoTestSans" in svg


@pytest.mark.filterwarnings("error")
def test_a_figure_for_a_notebook_has_these_fonts_too(tmp_path: Path) -> None:
    install(tmp_path, "Hpo Notebook Sans", "乳腺")
    assert figures.curves.figure(search(NAME))._repr_png_()


@pytest.mark.filterwarnings("error")
def test_a_font_without_outlines_and_one_that_is_gone_draw_nothing(tmp_path: Path) -> None:
    install(tmp_path, "Hpo Hollow Sans", "乳腺", is_drawn=False)
    install(tmp_path, "Hpo Gone Sans", "乳腺")
    (tmp_path / "Hpo Gone Sans.ttf").unlink()
    assert fonts.drawable("乳 b é") == r"\u4e73 b é"


@pytest.mark.filterwarnings("error")
def test_the_letters_of_a_name_may_come_from_several_fonts(tmp_path: Path) -> None:
    install(tmp_path, "Hpo First Sans", "乳")
    install(tmp_path, "Hpo Second Sans", "腺")
    assert f"<!-- trial 3 (start {NAME}) -->" in figures.curves(search(NAME))


def test_a_long_name_is_cut_where_wide_letters_fill_the_room(tmp_path: Path) -> None:
    install(tmp_path, "Hpo Wide Sans", "乳")
    assert plain("乳" * 30) == "乳" * 30
    assert plain("乳" * 31) == "乳" * 28 + " ..."
    assert plain("a" * 61) == "a" * 56 + " ..."
