"""Documents name only what exists: commands, options, settings, files, links, and numbers of committed results."""

from __future__ import annotations

import re
import shlex
import tomllib
from itertools import pairwise
from pathlib import Path

import click
import pytest

from hpo import errors
from hpo.study.files import load_spec
from tests.cli.run import hpo_here
from tests.project.documents import (
    PAGES,
    ROOT,
    anchors,
    benchmark_lines,
    code_blocks,
    command_of,
    hpo_lines,
    hpo_mentions,
    links,
    name_of,
    options_in,
    options_of,
    parse,
)

PATHS = re.compile(r"`((?:hpo|studies|tests|benchmarks|docs)/[\w./-]+)`")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_in_documents_exist(page: Path) -> None:
    missing = [name for name in PATHS.findall(page.read_text()) if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    dead = []
    for link in links(page.read_text()):
        file, _, anchor = link.partition("#")
        target = (page.parent / file) if file else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_line_is_one_that_hpo_takes(page: Path) -> None:
    for words in hpo_lines(page.read_text()):
        parse(words)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_override_in_a_command_line_is_one_that_a_study_takes(page: Path) -> None:
    for words in hpo_lines(page.read_text()):
        _, _, rest = command_of(words)
        overrides = tuple(value for option, value in pairwise(rest) if option == "--set")
        if overrides and "--dataset" in rest:
            dataset = rest[rest.index("--dataset") + 1]
            load_spec(ROOT / "studies" / f"{dataset}.toml", overrides)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_command_within_a_sentence_exists_with_its_options(page: Path) -> None:
    for words in hpo_mentions(page.read_text()):
        command, _, rest = command_of(words)
        options = options_of(command)
        assert [word for word in rest if word.startswith("--") and word not in options] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_call_of_a_benchmark_names_one_that_is_there_with_options_that_it_has(page: Path) -> None:
    calls = [] if page.name == "LOG.md" else benchmark_lines(page.read_text())
    assert [module.name for module, _ in calls if not module.exists()] == []
    assert [
        word for module, words in calls for word in words if word[:2] == "--" and word not in options_in(module)
    ] == []


def test_every_variable_of_hpo_in_documents_is_one_that_is_read() -> None:
    readers = [*(ROOT / "hpo").rglob("*.py"), *(ROOT / name for name in ("docker-compose.yml", "docker/entry.py"))]
    read = set(re.findall(r"HPO_[A-Z_]+", "".join(path.read_text() for path in readers)))
    named = {page.name: set(re.findall(r"HPO_[A-Z_]+", page.read_text())) - read for page in PAGES}
    assert {page: names for page, names in named.items() if names and page != "LOG.md"} == {}


def test_make_demo_runs_and_shows_commands_that_hpo_takes() -> None:
    recipe = (ROOT / "Makefile").read_text().replace("\\\n", " ").replace("../$(BIN)/hpo", "hpo")
    within = re.findall(r"\$\$\((hpo [^|)]+)", recipe)
    lines = re.findall(r"(?<=&& )hpo [^'\n]+", re.sub(r"\$\$\([^)]*\)", "0", recipe))
    commands = [shlex.split(line)[1:] for line in (*within, *lines)]
    for words in commands:
        parse(words)
    assert {words[0] for words in commands} == {"launch", "best", "finalize", "report", "dashboard", "trials"}


@pytest.mark.parametrize("page", [ROOT / "README.md", *(ROOT / "docs").glob("*.md")], ids=name_of)
def test_study_files_in_documents_are_legal(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(code_blocks(page.read_text(), "toml")):
        if "dataset" in tomllib.loads(block):
            file = tmp_path / f"{number}.toml"
            file.write_text(block)
            load_spec(file)


def test_there_are_commands_links_and_study_files_to_check() -> None:
    texts = [page.read_text() for page in PAGES]
    assert sum(len(hpo_lines(text)) for text in texts) > 50
    assert sum(len(links(text)) for text in texts) > 30
    assert sum(len(benchmark_lines(text)) for text in texts) > 50
    assert sum(len(code_blocks(text, "toml")) for text in texts) > 0


@pytest.mark.parametrize(
    "line",
    [
        "hpo lanch --dataset breast",
        "hpo launch --datset breast",
        "hpo launch --trials many",
        "hpo launch --dataset breast --workers",
        "srun --ntasks=1 hpo finalize",
        "hpo db",
    ],
)
def test_a_wrong_command_line_is_found(line: str) -> None:
    (words,) = hpo_lines(f"```\n{line}\n```\n")
    with pytest.raises(click.UsageError):
        parse(words)


def test_a_call_of_a_benchmark_is_found_with_its_options() -> None:
    block = "```\npython -m benchmarks.repeats --better 3 \\\n    --gian 0.08     # a comment\n```\n"
    ((module, words), (other, none)) = benchmark_lines(f"{block}`python benchmarks/step_parts.py`")
    assert (module, words) == (ROOT / "benchmarks" / "repeats.py", ["--better", "3", "--gian", "0.08"])
    assert {"--better", "--gain"} <= options_in(module)
    assert "--gian" not in options_in(module)
    assert (other.name, none) == ("step_parts.py", [])


def test_every_page_of_docs_is_in_the_index() -> None:
    listed = {link.partition("#")[0] for link in links((ROOT / "docs" / "README.md").read_text())}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"} <= listed


def test_every_exit_code_is_in_the_table_of_operations() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HpoError)]
    section = (ROOT / "docs" / "operations.md").read_text().partition("## Exit codes")[2]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    assert {kind.exit_code for kind in kinds} | {0, 1, 130} == listed


def test_every_package_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    packages = [path.name for path in (ROOT / "hpo").iterdir() if (path / "__init__.py").exists()]
    assert [package for package in packages if f"hpo/{package}/" not in text] == []


def test_every_file_and_module_that_the_architecture_names_is_there() -> None:
    named = set(re.findall(r"`([\w./]+)`", (ROOT / "ARCHITECTURE.md").read_text()))
    paths = {name for name in named if name.endswith((".py", "/"))}
    modules = {name for name in named if re.fullmatch(r"hpo(\.\w+)+", name)}
    below = [ROOT, ROOT / "hpo", *(path for path in (ROOT / "hpo").rglob("*") if path.is_dir())]
    gone = {path for path in paths if not any((folder / path).exists() for folder in below)}
    gone |= {name for name in modules if not (ROOT / f"{name.replace('.', '/')}.py").exists()
             and not (ROOT / name.replace(".", "/")).is_dir() and name != "hpo.plugins"}  # fmt: skip
    assert paths
    assert modules
    assert gone == set()


def test_the_reference_of_settings_is_the_page_that_is_made(tmp_path: Path) -> None:
    made = hpo_here("settings", "--markdown", cwd=tmp_path).stdout
    assert made == (ROOT / "docs" / "settings.md").read_text()


def test_the_results_in_the_readme_are_those_of_the_committed_final_results() -> None:
    from hpo.outcome.report.document import Table, to_markdown
    from hpo.outcome.report.overview import gather_rows, overview
    from tests.mention import numbers_in
    from tests.outcome.pages import blocks

    made = overview(gather_rows(ROOT / "docs" / "results"))
    page, readme = to_markdown(made), (ROOT / "README.md").read_text()
    lines = [f"| {' | '.join(row)} |" for row in blocks(made, Table)[0].rows]
    assert lines
    assert [line for line in lines if line not in page or line not in readme] == []
    assert numbers_in((ROOT / "docs" / "results" / "report.md").read_text()) == numbers_in(page)
