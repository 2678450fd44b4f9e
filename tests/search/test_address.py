from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from hpo.errors import OutputError, StorageError
from hpo.search.database import address
from hpo.search.database.address import resolve_address, shown, write_address_file
from hpo.search.database.database import open_database
from tests.mention import unmentioned

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
    ("text", "named"),
    [
        ("hpo.sqlite3", ["sqlite:///FILE"]),
        ("postgresql://u:secret@h:port/d", ["USER:PASSWORD@HOST:PORT/DATABASE"]),
        ("postgresql://u:se@secret@h/d", ["@", "%40"]),
        ("oracle://u:secret@h/d", ["oracle", "sqlite", "postgresql", "mysql", "mariadb"]),
        ("postgresqll://u:secret@h/d", ["postgresqll", "postgresql"]),
        ("postgresql+psycopg2://u:secret@h/d", ["psycopg2", "psycopg[binary]", "postgresql://"]),
        ("mysql+nodriver://u:secret@h/d", ["nodriver", "pymysql", "mysql://"]),
        ("postgresql+asyncpg://u:secret@h/d", ["asyncpg", "psycopg[binary]", "postgresql://"]),
        ("sqlite://", ["sqlite:///FILE"]),
    ],
)
def test_a_bad_address_is_reported_with_the_cure_and_without_its_password(text: str, named: list[str]) -> None:
    with pytest.raises(StorageError) as caught:
        resolve_address(text)
    assert unmentioned(caught.value, "--storage", *named) == []
    assert "secret" not in str(caught.value)


def test_a_password_with_special_characters_survives_and_is_not_shown() -> None:
    url = URL.create("postgresql", "u", SPECIAL, "h", 5432, "d")
    found = resolve_address(url.render_as_string(hide_password=False))
    assert found.password == SPECIAL
    assert shown(found) == "postgresql+psycopg://u:***@h:5432/d"


def test_an_address_file_is_for_its_owner_only_and_gives_the_address_back(tmp_path: Path) -> None:
    url = URL.create("postgresql+psycopg", "u", SPECIAL, "h", 5432, "d")
    path = tmp_path / "address"
    for _ in range(2):
        write_address_file(path, url)
        assert path.stat().st_mode & 0o777 == 0o600
        assert resolve_address(f"@{path}") == url
    assert list(tmp_path.iterdir()) == [path]


def test_the_environment_may_name_an_address_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_address_file(tmp_path / "address", "postgresql://u:p@h/d")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPO_STORAGE", "@address")
    assert resolve_address(None).password == "p"


def test_an_address_comes_from_standard_input_for_as_often_as_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("postgresql://u:p@h/d\n"))
    address._from_stdin.cache_clear()
    assert resolve_address("-").password == "p"
    assert resolve_address("-").password == "p"
    address._from_stdin.cache_clear()
    with pytest.raises(StorageError) as caught:
        resolve_address("-")
    assert unmentioned(caught.value, "--storage -") == []


def test_a_bad_address_file_is_reported_by_its_name_and_without_its_password(tmp_path: Path) -> None:
    path = tmp_path / "address"
    with pytest.raises(StorageError, match=re.escape(f"{path}")):
        resolve_address(f"@{path}")
    path.write_text("\n \n")
    with pytest.raises(StorageError, match=re.escape(f"{path}")):
        resolve_address(f"@{path}")
    path.write_text("oracle://u:secret@h/d\n")
    with pytest.raises(StorageError) as caught:
        resolve_address(f"@{path}")
    assert unmentioned(caught.value, path, "oracle") == []
    assert "secret" not in str(caught.value)


def test_an_address_file_that_cannot_be_written_is_reported_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "address"
    with pytest.raises(OutputError, match=re.escape(f"{path}")):
        write_address_file(path, "postgresql://h/d")


@pytest.mark.parametrize(
    "text",
    [
        *("mysql://u@h/", "mysql://u@h", "mysql://u@h/d?nonsense=1", "mysql://u@h/d?charset=latin1", "mysql://u@h:0/d"),
        *("mysql://u@h/d?plugin=x", "mysql://u@h/d?ssl_ca=/nowhere", "mysql://u@h/d?read_default_file=/dev/zero"),
        *("postgresql://u@h/d?nonsense=1", "postgresql://u@h/d?autocommit=true", "postgresql://u@h:99999/d"),
        *("postgresql://u@h/d?client_encoding=latin1", "postgresql://u@h:/d", "postgresql://u@h:\u00b2/d"),
        *(f"postgresql://u@{'h' * 300}/d", f"mysql://u@{'h' * 64}.org/d", f"postgresql://u@h:{'1' * 5000}/d"),
        *(
            "sqlite:///a%ff.db",
            "sqlite:///bar%baz.db",
            "sqlite:///q?y.db",
            "sqlite:///a?mode=rw",
            "sqlite:///a?timeout=x",
        ),
        *(
            "sqlite:///a?timeout=nan",
            "sqlite:///a%00b",
            "sqlite:///a\x1bb",
            "sqlite:///\udcff",
            f"sqlite:///{'n' * 300}",
        ),
        *(f"sqlite:///{'n/' * 5000}x", "x" * 100_000, "\x1b[2J://x", "://", "sqlite://h/x", ""),
    ],
    ids=lambda text: repr(text[:40]),
)
def test_an_address_that_no_driver_can_use_is_refused_before_it_is_used(text: str) -> None:
    with pytest.raises(StorageError):
        resolve_address(text)


@pytest.mark.parametrize(
    ("text", "server"),
    [("connect_timeout=abc", "postgresql"), ("read_timeout=0", "mysql"), ("read_timeout=x", "mysql")],
)
def test_an_option_that_the_driver_refuses_is_a_sentence(
    text: str, server: str, request: pytest.FixtureRequest
) -> None:
    known = request.getfixturevalue(server).render_as_string(hide_password=False)
    with pytest.raises(StorageError):
        open_database(resolve_address(f"{known}?{text}"), create=False)


@pytest.mark.parametrize("text", ["postgresql://u:p@h/d?sslmode=require", "mysql://u:p@h/d?connect_timeout=5"])
def test_options_that_the_driver_knows_are_kept(text: str) -> None:
    assert len(resolve_address(text).query) == 1


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 100_000])
def test_an_address_on_standard_input_may_be_anything(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
    address._from_stdin.cache_clear()
    with pytest.raises(StorageError):
        resolve_address("-")
    address._from_stdin.cache_clear()


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/", "/nowhere"])
def test_an_address_file_may_be_anything(path: str) -> None:
    with pytest.raises(StorageError):
        resolve_address(f"@{path}")


def test_an_address_file_with_a_password_that_others_can_read_is_a_warning(tmp_path: Path, log: list[str]) -> None:
    path = tmp_path / "address"
    write_address_file(path, "postgresql://u:p@h/d")
    resolve_address(f"@{path}")
    assert log == []
    path.chmod(0o644)
    for _ in range(2):
        resolve_address(f"@{path}")
    assert len(log) == 1
    assert unmentioned(log[0], path, "0644", "600") == []
    path.write_text("postgresql://h/d")
    resolve_address(f"@{path}")
    assert len(log) == 1
