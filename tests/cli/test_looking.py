"""Which study a command looks at: by its name, the only one, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.cli.looking import look_at_study
from hpo.errors import StudyNotFoundError
from hpo.search.creation import create_or_open
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.testing.trainer import make_spec
from tests.cli.run import hpo_here


@pytest.fixture
def storage(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/hpo.sqlite3"
    create_or_open(open_database(resolve_address(address), create=True), "first", make_spec())
    return address


@pytest.mark.parametrize(("command", "meant"), [("trials", "hpo trials first 3"), ("best", "hpo best first --count 3")])
def test_a_number_in_the_place_of_a_study_is_answered_with_what_was_meant(
    tmp_path: Path, storage: str, command: str, meant: str
) -> None:
    found = hpo_here(command, "3", f"--storage={storage}", cwd=tmp_path)
    assert found.returncode == 6
    assert f"`{meant}`" in found.stderr
    create_or_open(open_database(resolve_address(storage), create=False), "second", make_spec())
    found = hpo_here(command, "3", f"--storage={storage}", cwd=tmp_path)
    assert f"`{meant.replace('first', 'STUDY')}`" in found.stderr


def test_a_study_may_have_a_number_for_its_name(storage: str) -> None:
    create_or_open(open_database(resolve_address(storage), create=False), "3", make_spec())
    assert look_at_study("3", storage, number_in="hpo trials STUDY N").name == "3"
    with pytest.raises(StudyNotFoundError) as caught:
        look_at_study("4", storage)
    assert "did you mean `" not in str(caught.value)
