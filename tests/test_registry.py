"""Choices by name, and the plug-ins that add to them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.errors import UsageError
from hpo.registry import Registry
from tests.plugins import write_distribution


@pytest.fixture
def registry() -> Registry[Callable[[], int]]:
    registry: Registry[Callable[[], int]] = Registry("shape")
    registry.register("square", lambda: 4, description="a square", uses=("edge",))
    return registry


def test_what_is_registered_is_found_by_name(registry: Registry[Callable[[], int]]) -> None:
    assert registry.find("square")() == 4
    assert registry.entry("square").description == "a square"
    assert "square" in registry
    assert "circle" not in registry
    assert registry.names() == ("square",)


def test_the_decorator_returns_what_it_registers(registry: Registry[Callable[[], int]]) -> None:
    @registry.register("triangle")
    def three() -> int:
        return 3

    assert three() == 3
    assert registry.find("triangle") is three


def test_a_reference_is_resolved_when_it_is_asked_for(registry: Registry[Callable[[], int]]) -> None:
    registry.register("line", "tests.plugins:Shapes.line")
    assert registry.names() == ("square", "line")
    assert registry.find("line")() == 2


@pytest.mark.parametrize("target", ["no.such.module:line", "tests.plugins:nothing"])
def test_a_reference_that_leads_nowhere_is_an_error_of_the_user(
    registry: Registry[Callable[[], int]], target: str
) -> None:
    registry.register("line", target)
    with pytest.raises(UsageError, match=target):
        registry.find("line")


def test_a_module_that_raises_while_it_is_imported_is_an_error_of_the_user(
    registry: Registry[Callable[[], int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, source in {"unlicensed": "raise RuntimeError('no licence')", "misspelt": "def f(:"}.items():
        (tmp_path / f"{name}.py").write_text(source)
        registry.register(name, f"{name}:make")
        with pytest.raises(UsageError, match=name):
            registry.find(name)


def test_an_unknown_name_is_answered_with_the_nearest(registry: Registry[Callable[[], int]]) -> None:
    with pytest.raises(UsageError) as caught:
        registry.find("sqare")
    assert "square" in str(caught.value)
    assert "shape" in str(caught.value)


def test_a_name_is_taken_once_unless_it_is_to_be_replaced(registry: Registry[Callable[[], int]]) -> None:
    with pytest.raises(ValueError, match="square"):
        registry.register("square", lambda: 5)
    registry.register("square", lambda: 5, replace=True)
    assert registry.find("square")() == 5


@pytest.mark.parametrize("name", ["", "Square", "a b", "a/b", "-a"])
def test_a_malformed_name_is_refused(registry: Registry[Callable[[], int]], name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        registry.register(name, lambda: 1)


def test_choices_that_use_a_setting_are_known(registry: Registry[Callable[[], int]]) -> None:
    registry.register("circle", lambda: 0)
    assert list(registry.using("edge")) == ["square"]
    assert "square" in registry.using("edge")
    assert "circle" not in registry.using("edge")
    assert "cube" not in registry.using("edge")


def _run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)


_NAMES = "from hpo.registry import Registry, load_plugins; import hpo.registry as r; r.SHAPES = Registry('shape'); "


def test_entry_points_name_a_module_or_a_function(tmp_path: Path) -> None:
    code = "from hpo.registry import SHAPES\n"
    write_distribution(
        tmp_path,
        {"by-import": "shapes_module", "by-call": "shapes_function:register"},
        shapes_module=code + "SHAPES.register('cube', 'm:f')",
        shapes_function=code + "def register(): SHAPES.register('ball', 'm:f')",
    )
    run = _run(tmp_path, _NAMES + "print(sorted(r.SHAPES.names()))")
    assert run.stdout.strip() == "['ball', 'cube']"
    assert run.stderr == ""


def test_plugins_are_loaded_only_when_a_name_is_missing(tmp_path: Path) -> None:
    write_distribution(tmp_path, {"loud": "loud"}, loud="print('loaded')")
    code = _NAMES + "r.SHAPES.register('cube', 'os:getcwd'); r.SHAPES.find('cube'); print('before'); "
    run = _run(tmp_path, code + "'ball' in r.SHAPES; r.SHAPES.names()")
    assert run.stdout.split() == ["before", "loaded"]


def test_a_plugin_that_fails_is_a_warning_and_the_others_are_loaded(tmp_path: Path) -> None:
    write_distribution(
        tmp_path,
        {"broken": "broken", "absent": "absent", "sound": "sound"},
        broken="raise RuntimeError('no such luck')",
        sound="from hpo.registry import SHAPES\nSHAPES.register('cube', 'm:f')",
    )
    run = _run(tmp_path, _NAMES + "print(r.SHAPES.names())")
    assert run.stdout.strip() == "('cube',)"
    lines = run.stderr.splitlines()
    assert len(lines) == 2
    assert any("broken" in line and "RuntimeError" in line for line in lines)
    assert any("absent" in line and "ModuleNotFoundError" in line for line in lines)


def test_a_plugin_may_ask_for_names_while_it_is_loaded(tmp_path: Path) -> None:
    write_distribution(
        tmp_path, {"curious": "curious"}, curious="from hpo.registry import SHAPES\nprint(SHAPES.names())"
    )
    assert _run(tmp_path, _NAMES + "r.SHAPES.names()").stdout.strip() == "()"


def test_threads_that_ask_at_once_see_all_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpo import registry as module

    shapes: Registry[object] = Registry("shape")
    is_loading, may_end = threading.Event(), threading.Event()

    def register() -> None:
        shapes.register("cube", "m:f")

    class SlowPoint:
        name, value, dist = "slow", "slow:register", None

        @staticmethod
        def load() -> Callable[[], None]:
            is_loading.set()
            may_end.wait(60)
            return register

    monkeypatch.setattr(module, "entry_points", lambda group: [SlowPoint])
    monkeypatch.setattr(module, "_has_started", False)
    monkeypatch.setattr(module, "_is_done", False)
    seen: list[tuple[str, ...]] = []
    threads = [threading.Thread(target=lambda: seen.append(shapes.names())) for _ in range(2)]
    threads[0].start()
    assert is_loading.wait(60)
    threads[1].start()
    may_end.set()
    for thread in threads:
        thread.join(60)
    assert seen == [("cube",), ("cube",)]


def test_a_failure_in_a_plugin_names_the_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from hpo import registry as module

    write_distribution(tmp_path, {"broken": "broken_plugin"}, broken_plugin="raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "_has_started", False)
    monkeypatch.setattr(module, "_is_done", False)
    with caplog.at_level(logging.WARNING, logger="hpo"):
        module.load_plugins()
    assert len(caplog.records) == 1
    assert "example-plugin" in caplog.text
