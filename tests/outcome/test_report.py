"""The report as a reader gets it."""

from __future__ import annotations

import dataclasses
import html
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from hpo.errors import OutputError, StudyNotFoundError
from hpo.outcome.report import drawing
from hpo.outcome.report.build import Evidence, build
from hpo.outcome.report.document import (
    Commands,
    Document,
    Listing,
    Notice,
    Picture,
    Section,
    Table,
    Text,
    code,
    to_html,
    to_markdown,
    write,
)
from hpo.outcome.report.gather import gather
from hpo.outcome.report.pictures import picture
from hpo.outcome.report.search import figures, sections
from hpo.outcome.report.search.evidence import gather_search
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queries.ledger import StudyLedger, read_openings
from hpo.search.queue.claiming import claim
from hpo.search.queue.lease import Claim
from hpo.search.queue.reporting import record_report
from hpo.search.queue.workers import this_process
from hpo.search.worker.loop import run_worker
from hpo.study.space import FloatRange
from hpo.study.starts import MOST_LETTERS
from hpo.testing.trainer import FakeTrainer, make_report, make_spec
from tests.mention import numbers_in, unmentioned
from tests.outcome import simulated
from tests.outcome.pages import blocks, pictures, section_with, words


@pytest.fixture(scope="module")
def document() -> Document:
    return build(Evidence(simulated.search()))


@pytest.mark.slow
def test_every_section_is_there_and_every_figure_is_sound_svg_with_a_caption(document: Document) -> None:
    asked, *_, provenance, ledger = document.sections
    spec = simulated.search().spec
    assert unmentioned(words(asked)[1], "breastmnist", ".901", 546, 78, 156) == []
    assert unmentioned(words(provenance)[0], f"`{spec.fingerprint()}`", "`hpo replay breast N`") == []
    assert unmentioned(words(ledger)[0], "breastmnist") == []
    titles = [section.title for section in document.sections]
    assert len(titles) == len(set(titles)) == 9
    expected = ["history", "importance", "slices", "contour", "choices", "curves", "overfitting"]
    assert pictures(document) == expected
    for shown in blocks(document, Picture):
        assert ET.fromstring(shown.svg).tag.endswith("svg")
        assert shown.caption.endswith(".")


@pytest.mark.slow
def test_many_dots_and_curves_are_images_within_their_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    search = simulated.search()
    spec = search.spec.model_copy(update={"space": dict(list(search.spec.space.items())[:3])})
    search = dataclasses.replace(search, spec=spec)
    few = [figures.curves(search), figures.slices(search), figures.history(search), figures.overfitting(search)]
    monkeypatch.setattr(drawing, "MANY", 2)
    many = [figures.curves(search), figures.slices(search), figures.history(search), figures.overfitting(search)]
    assert all("<image" in svg and ET.fromstring(svg).tag.endswith("svg") for svg in many)
    assert not any("<image" in svg for svg in few)


def test_the_page_needs_nothing_but_itself(document: Document) -> None:
    page = to_html(document)
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page) == []
    assert "@import" not in page
    assert "url(" not in page


def test_no_number_is_missing_in_the_words(document: Document) -> None:
    words = re.sub(r"<img[^>]*>", "", to_html(document))
    assert not re.search(r"\bnan\b|\binf\b|None", words)


def test_markdown_and_html_say_the_same_sentences(document: Document) -> None:
    markdown, page = to_markdown(document), to_html(document)
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Text | Notice):
                assert block.text in markdown
                assert re.sub(r"[`*]", "", block.text)[:40].split("&")[0] in re.sub(r"<[^>]+>", "", page)


def test_a_cell_can_hold_what_would_end_it() -> None:
    document = Document("t", "s", (Section("x", (Table(("a", "b"), (("1|2", "<b>"),)),)),))
    assert r"| 1\|2 | &lt;b> |" in to_markdown(document)
    assert ">&lt;b&gt;</td>" in to_html(document)


def test_numbers_stand_on_the_right_and_words_on_the_left() -> None:
    table = Table(("what", "AUC", "note"), (("a", ".9 [.8, 1.0]", ""), ("b", ".8", "dropped by racing")))
    document = Document("t", "s", (Section("one", (table,)),))
    page = to_html(document)
    assert '<td>a</td><td class="number">.9 [.8, 1.0]</td><td></td>' in page
    assert '<th>what</th><th class="number">AUC</th><th>note</th>' in page
    assert "| --- | ---: | --- |" in to_markdown(document)


def test_figures_lie_beside_the_markdown(tmp_path: Path, document: Document) -> None:
    page, text = write(document, tmp_path / "out")
    assert page.read_text().startswith("<!doctype html>")
    for target in re.findall(r"\]\((figures/[^)]+)\)", text.read_text()):
        assert (tmp_path / "out" / target).is_file()


def test_a_picture_is_drawn_once_and_when_it_is_shown(tmp_path: Path) -> None:
    calls = []

    def draw() -> str:
        calls.append("x")
        return "<svg/>"

    shown = Picture("x", draw, "An x.")
    document = Document("t", "s", (Section("one", (shown,)),))
    assert "figures/x.svg" in to_markdown(document)
    assert calls == []
    write(document, tmp_path)
    assert (tmp_path / "figures" / "x.svg").read_text() == "<svg/>"
    assert calls == ["x"]


def test_a_report_whose_pictures_cannot_be_drawn_leaves_the_earlier_one(tmp_path: Path) -> None:
    write(Document("t", "s", (Section("one", (Picture("x", lambda: "<svg/>", "An x."),)),)), tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    broken = Document("t", "s", (Section("one", (Picture("x", lambda: str(1 // 0), "An x."),)),))
    with pytest.raises(ZeroDivisionError):
        write(broken, tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_folder_that_cannot_be_made_is_reported_in_one_sentence(tmp_path: Path, document: Document) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--out"):
        write(document, tmp_path / "file")


@pytest.mark.slow
def test_equal_evidence_gives_an_equal_page(document: Document) -> None:
    assert to_html(build(Evidence(simulated.search()))) == to_html(document)


@pytest.mark.slow
def test_a_study_in_a_database_becomes_a_report(tmp_path: Path) -> None:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.db"), create=True)
    study = create_or_open(database, "breast", make_spec(12, references=True))
    run_worker(study, identity=this_process("w"), train=FakeTrainer())
    search = gather_search(study)
    assert (len(search.trials), search.shared_epoch, len(search.baselines)) == (12, 4, 2)
    found = build(Evidence(search))
    counts = words(section_with(found, "history"))[0]
    assert numbers_in(counts)[:2] == [12, 12]
    assert "rank correlation" in to_html(found)


@pytest.mark.slow
def test_a_report_without_the_result_does_not_say_that_the_test_set_is_sealed(tmp_path: Path) -> None:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.db"), create=True)
    ledger, dataset = StudyLedger(database), {"dataset": "breast"}
    ledger.write("breast", dataset, "abc", "for an earlier study of that name")
    study = create_or_open(database, "breast", make_spec(3))
    ledger.write("other", dataset, "abc", "")
    sealed = build(gather(study, tmp_path)).sections[1]
    assert unmentioned(words(sealed)[0], "has not been opened", "hpo confirm breast") == []
    ledger.write("breast", dataset, "abc", "again")
    opened = build(gather(study, tmp_path)).sections[1]
    assert unmentioned(words(opened)[0], read_openings(database, "breast")[-1].when, "--results") == []
    assert "has not been opened" not in words(opened)[0]


def test_trials_that_learned_nothing_are_named_beside_the_ranking() -> None:
    search = simulated.search(6)
    assert blocks(section_with(build(Evidence(search)), "history"), Notice) == []
    third = dataclasses.replace(
        search.trials[3], row=dataclasses.replace(search.trials[3].row, highest_training_auc=0.53)
    )
    page = build(Evidence(simulated.of([*search.trials[:3], third, *search.trials[4:]])))
    (notice,) = blocks(section_with(page, "history"), Notice)
    assert numbers_in(notice.text)[:2] == [1, 6]
    assert unmentioned(notice.text, "trial 3", "complete", f"{third.row.auc:.3f}".removeprefix("0")) == []
    assert unmentioned(notice.text, "trial 4", "trial 5") == ["trial 4", "trial 5"]


@pytest.mark.slow
def test_a_study_and_its_trials_have_pictures(tmp_path: Path) -> None:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.db"), create=True)
    study = create_or_open(database, "breast", make_spec(5, references=True))
    run_worker(study, identity=this_process("w"), train=FakeTrainer(), limit=4)
    held = claim(study, "late")
    assert isinstance(held, Claim)
    record_report(held, make_report(1, 0.7))
    # matplotlib draws letters as curves, with the text in a comment. The ROC of a trial that ended has its area there.
    assert re.search(r"<!-- trial 3, AUC \.\d{3} -->", picture(study, 3))
    assert "<!-- trial 4 -->" in picture(study, 4)
    assert not re.search(r"AUC \.\d{3}", picture(study, 4))
    assert re.search(r"<!-- LibAUC defaults \(at \d+ of its 100 epochs\), AUC \.\d{3} -->", picture(study, None))
    for number in (3, 4, None):
        ET.fromstring(picture(study, number))
    with pytest.raises(StudyNotFoundError, match=r"\b5\b"):
        picture(study, 5)


def test_a_study_without_a_report_has_a_picture_too(tmp_path: Path) -> None:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.db"), create=True)
    ET.fromstring(picture(create_or_open(database, "breast", make_spec(5)), None))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("is_fixed", [False, True], ids=["so far", "of that value only"])
def test_a_range_with_one_value_has_figures(is_fixed: bool) -> None:
    search = simulated.search(16)
    value = search.spec.space["margin"].high
    records = [one.record.model_copy(update={"config": one.config | {"margin": value}}) for one in search.trials]
    trials = [dataclasses.replace(one, record=record) for one, record in zip(search.trials, records, strict=True)]
    space = search.spec.space | ({"margin": FloatRange(low=value, high=value)} if is_fixed else {})
    search = dataclasses.replace(search, trials=trials, spec=search.spec.model_copy(update={"space": space}))
    ET.fromstring(figures.contour(search, "margin", "learning_rate"))
    ET.fromstring(figures.slices(search))


def test_a_trial_with_an_auc_of_0_is_in_the_history_and_leaves_the_best_so_far() -> None:
    trials = [simulated.trial(number, "complete", auc) for number, auc in enumerate((0.6, -0.04, 0.7))]
    trials[1] = dataclasses.replace(trials[1], row=dataclasses.replace(trials[1].row, auc=0.0))
    (axes,) = figures.history.figure(simulated.of(trials)).axes
    assert np.asarray(axes.collections[0].get_offsets())[1].tolist() == [1, 0]
    (best,) = axes.lines
    assert best.get_ydata() == pytest.approx([0.64, 0.64, 0.74])


@pytest.mark.parametrize("name", ["$x_{$", "$a$", "US$ 5 \\$"])
def test_a_name_with_dollar_signs_is_no_formula_in_a_figure(name: str) -> None:
    trial = simulated.trial(3, "complete", 0.8)
    trial = dataclasses.replace(trial, row=dataclasses.replace(trial.row, start=name))
    for svg in (figures.curves(simulated.of([trial])), figures.trial_overview(trial)):
        assert f"<!-- trial 3 (start {name}) -->" in svg


@pytest.mark.filterwarnings("error")
def test_a_long_name_leaves_room_for_the_figure() -> None:
    trial = simulated.trial(3, "complete", 0.8)
    trial = dataclasses.replace(trial, row=dataclasses.replace(trial.row, start="a" * MOST_LETTERS))
    ET.fromstring(figures.history(simulated.of([trial])))
    ET.fromstring(figures.curves(simulated.of([trial])))


def test_the_best_is_called_the_highest_of_the_trials_that_were_chosen_from() -> None:
    baseline = simulated.trial(0, "complete", 0.9, reference="medmnist-cross-entropy")
    trials = [simulated.trial(number, "complete", 0.6 + 0.01 * number) for number in (1, 2, 3)]
    (sentence,) = words(sections.best(simulated.of([baseline, *trials])))[1:]
    assert numbers_in(sentence) == [3, 3]
    assert words(sections.best(simulated.of([baseline, trials[0]])))[1:] == []


def test_a_study_that_searches_no_setting_has_a_report_too() -> None:
    search = simulated.search(16)
    document = build(Evidence(dataclasses.replace(search, spec=search.spec.model_copy(update={"space": {}}))))
    assert "choices" not in pictures(document)
    assert "slices" not in pictures(document)
    assert "history" in pictures(document)
    to_html(document)


@pytest.mark.parametrize("trials", [0, 1, 2, 5])
def test_a_study_that_has_hardly_begun_has_a_report_too(trials: int) -> None:
    document = build(Evidence(simulated.of(simulated.search(max(trials, 1)).trials[:trials])))
    page = to_html(document)
    assert all(section.blocks for section in document.sections)
    assert not re.search(r"\bnan\b", re.sub(r"<img[^>]*>", "", page))


HARMFUL = (
    *("<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](http://tracker)", "`<script>`", "``a`<b>"),
    *("\\`<b>", "a`<script>x", "<img src=x onerror=y>", "&lt;b&gt;", "# a heading", "a\n\n# a heading", "> quoted"),
    *("```\n<b>\n```", "\x1b[2J", "\u202e", "[a]: http://x", "[a][b]", "- [ ] x", "1. x", "~~~", "---", "<!-- x"),
    *("](", "| a | b |"),
)


@pytest.mark.parametrize("text", HARMFUL)
def test_stored_text_is_text_in_both_forms(text: str) -> None:
    blocks = (
        *(Text(text), Text(f"Study {code(text)}."), Notice(text), Listing((text,)), Commands((text,))),
        *(Table(("a", text), ((text, "b"),)), Picture("x", lambda: "<svg/>", text)),
    )
    made = Document(text, text, (Section(text, blocks),))
    rendered = markdown_it(to_markdown(made))
    for page in (to_html(made), rendered):
        body = page.partition("</style>")[2] or page
        assert not re.search(r"<(script|img src=(?!\"(data|figures/x))|b>|!--)|href=\"(?!#)|onerror=(?!y&gt;)", body)
        assert "\x1b" not in body
        assert "\u202e" not in body
    assert rendered.count("<h1>") == 1
    assert rendered.count("<h2>") == 1


def test_a_name_is_whole_in_a_page() -> None:
    names = ("plain", "a`b", "``", "two  words", "<b>", "a|b", "*a*", "_a_", "**a**")
    made = Document("t", "s", (Section("x", tuple(Text(f"Study {code(name)}.") for name in names)),))
    for page in (to_html(made), markdown_it(to_markdown(made))):
        found = [html.unescape(name) for name in re.findall(r"<code>(.*?)</code>", page)]
        # A run of blanks is one blank to a reader of either.
        assert [" ".join(name.split()) for name in found] == [" ".join(name.split()) for name in names]


def markdown_it(text: str) -> str:
    """The HTML that a Markdown renderer of the CommonMark kind with tables makes, raw HTML included."""
    return str(MarkdownIt("commonmark").enable("table").render(text))
