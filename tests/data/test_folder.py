"""Where the data folder is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.data.folder import data_folder


def test_the_option_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_DATA_DIR", "/of/environment")
    assert data_folder("/of/option") == Path("/of/option")


def test_the_environment_comes_before_medmnists_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_DATA_DIR", "/of/environment")
    assert data_folder(None) == Path("/of/environment")


def test_the_default_is_medmnists_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    from medmnist.info import DEFAULT_ROOT

    monkeypatch.delenv("HPO_DATA_DIR", raising=False)
    assert data_folder(None) == Path(DEFAULT_ROOT)


def test_an_empty_environment_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_DATA_DIR", "")
    assert data_folder(None) == Path.home() / ".medmnist"


def test_a_tilde_is_the_home_folder() -> None:
    assert data_folder("~/scans") == Path.home() / "scans"
