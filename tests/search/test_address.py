from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from hpo.errors import StorageError
from hpo.search.address import resolve_address, shown

SPECIAL = "p@ss/w:o%r{d} x"


def test_the_default_is_a_file_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    assert resolve_address(None).database == str(tmp_path / "hpo.sqlite3")


def test_the_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_STORAGE", "sqlite:////tmp/environment.db")
    assert resolve_address(None).database == "/tmp/environment.db"
    assert resolve_address("sqlite:////tmp/option.db").database == "/tmp/option.db"


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("postgresql://u@h/d", "postgresql+psycopg"),
        ("postgres://u@h/d", "postgresql+psycopg"),
        ("mysql://u@h/d", "mysql+pymysql"),
        ("mariadb://u@h/d", "mysql+pymysql"),
        ("mariadb+pymysql://u@h/d", "mysql+pymysql"),
    ],
)
def test_a_bare_name_gets_the_driver_that_hpo_installs(text: str, driver: str) -> None:
    assert resolve_address(text).drivername == driver


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hpo.sqlite3", "is no database address; give sqlite:///FILE"),
        ("postgresql://u:secret@h:port/d", "is no database address"),
        ("postgresql://u:se@secret@h/d", "has a bare @"),
        ("oracle://u:secret@h/d", "oracle is no database that hpo knows"),
        ("postgresqll://u:secret@h/d", "did you mean postgresql"),
        ("postgresql+psycopg2://u:secret@h/d", r"pip install 'hpo\[postgres\]' and write postgresql://"),
        ("mysql+nodriver://u:secret@h/d", r"pip install 'hpo\[mysql\]'"),
        ("postgresql+asyncpg://u:secret@h/d", r"asyncpg.* write postgresql://"),
        ("sqlite://", "a study needs a file that lasts"),
    ],
)
def test_a_bad_address_is_told_with_the_cure_and_without_its_password(text: str, words: str) -> None:
    with pytest.raises(StorageError, match=words) as caught:
        resolve_address(text)
    assert "secret" not in str(caught.value)


def test_a_password_with_special_characters_survives_and_is_not_shown() -> None:
    url = URL.create("postgresql", "u", SPECIAL, "h", 5432, "d")
    found = resolve_address(url.render_as_string(hide_password=False))
    assert found.password == SPECIAL
    assert shown(found) == "postgresql+psycopg://u:***@h:5432/d"
