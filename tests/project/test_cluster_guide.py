"""docs/cluster.md leads the whole way; its command lines are parsed in test_documents.py, as those of every page."""

from __future__ import annotations

import re

from hpo.cli.main import cli
from tests.project.documents import ROOT, hpo_lines, options_of

TEXT = (ROOT / "docs" / "cluster.md").read_text()


def test_every_option_that_the_guide_names_is_one_of_some_command() -> None:
    named = set(re.findall(r"`(--[a-z-]+)[^`]*`", TEXT))
    assert named
    assert named - options_of(cli) == set()


def test_the_guide_goes_the_whole_way() -> None:
    shown = [" ".join(words[:2]) for words in hpo_lines(TEXT)]
    way = [
        "data fetch",
        "db serve",
        "db init",
        "launch --dataset",
        "status adrenal3d",
        "stop adrenal3d",
        "best adrenal3d",
        "confirm adrenal3d",
        "finalize adrenal3d",
        "report adrenal3d",
    ]
    places = [shown.index(step) for step in way]
    assert places == sorted(places)


def test_commands_that_are_handed_to_slurm_and_to_compose_are_read_too() -> None:
    found = hpo_lines(TEXT)
    assert ["db", "serve", "$SCRATCH/hpo-database", "--listen", "0.0.0.0"] in found
    assert ["doctor", "--study", "adrenal3d", "--device", "cuda"] in found
    assert ["status", "breast"] in hpo_lines((ROOT / "docs" / "compose.md").read_text())
    assert ["completion", "bash"] in found
