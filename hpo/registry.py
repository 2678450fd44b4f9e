"""`Registry`: what can be chosen by name, built in or added by a plug-in, and the loading of plug-ins."""

from __future__ import annotations

import importlib
import logging
import re
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, overload

from hpo.errors import HpoError, PluginError, UsageError, did_you_mean, first_line
from hpo.text import brief

GROUP = "hpo.plugins"
"""Entry points of this group name a module that registers when it is imported, or a function that registers."""

T = TypeVar("T")
Object = TypeVar("Object")

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One choice.

    Attributes:
        name: as study files, options and tables have it.
        target: the object, or where it is, "module:attribute", so that the name is known before the module is loaded.
        description: what it is, as part of a sentence.
        uses: settings of a training run that have an effect with this choice and not with every other one.
        group: choices of one group are variants of each other, such as two versions of a loss; "" is one by itself.
    """

    name: str
    target: T | str
    description: str = ""
    uses: tuple[str, ...] = ()
    group: str = ""

    @property
    def is_built_in(self) -> bool:
        """Whether it is of hpo itself, which registers all of its choices by where they are."""
        return isinstance(self.target, str) and self.target.startswith("hpo.")

    def load(self) -> T:
        """Return the object itself.

        Raises:
            UsageError: if the module cannot be imported, for whatever reason, or has no such attribute.
        """
        return resolve(self.target)


def resolve(target: T | str) -> T:
    """Return an object, or that of "module:attribute".

    Raises:
        UsageError: if the module cannot be imported, for whatever reason, or has no such attribute.
    """
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    try:
        found: T = attrgetter(attribute)(importlib.import_module(module))
    # A module of a plug-in raises whatever its author left in it.
    except Exception as error:
        raise UsageError(f"{target} is registered and cannot be loaded: {described(error)}") from error
    return found


class Registry(Generic[T]):
    """Choices by name, in the order of registration.

    Whatever needs a name that is not registered yet, or all names, loads the plug-ins first, once per process.

    Args:
        kind: of the choices, for messages: "loss".
        families: choices that are not registered one by one, `PREFIX:NAME`: prefix to where the function is,
            "module:attribute", that returns the object of a NAME or raises UsageError.
    """

    def __init__(self, kind: str, families: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}
        self._families = dict(families or {})

    @overload
    def register(
        self,
        name: str,
        target: str,
        *,
        description: str = ...,
        uses: tuple[str, ...] = ...,
        group: str = ...,
        replace: bool = ...,
    ) -> str: ...
    @overload
    def register(
        self,
        name: str,
        target: Object,
        *,
        description: str = ...,
        uses: tuple[str, ...] = ...,
        group: str = ...,
        replace: bool = ...,
    ) -> Object: ...
    @overload
    def register(
        self,
        name: str,
        target: None = None,
        *,
        description: str = ...,
        uses: tuple[str, ...] = ...,
        group: str = ...,
        replace: bool = ...,
    ) -> Callable[[Object], Object]: ...
    def register(
        self,
        name: str,
        target: Any = None,
        *,
        description: str = "",
        uses: tuple[str, ...] = (),
        group: str = "",
        replace: bool = False,
    ) -> Any:
        """Add a choice; without `target`, return a decorator that adds what it decorates.

        Args:
            name: lower-case letters, digits, "-" and "_".
            target: the object, or "module:attribute".
            description: what it is, as part of a sentence.
            uses: settings that have an effect with this choice and not with every other one.
            group: see `Entry`.
            replace: whether an entry of that name may be replaced.

        Returns:
            The target.

        Raises:
            ValueError: if the name is taken or malformed.
        """
        if target is None:
            return lambda decorated: self.register(
                name, decorated, description=description, uses=uses, group=group, replace=replace
            )
        if not _NAME.fullmatch(name):
            raise ValueError(f"{self.kind} {name!r}: give a name of lower-case letters, digits, '-' and '_'")
        if name in self._entries and not replace:
            raise ValueError(f"{self.kind} {name!r} is registered already; replace=True replaces it")
        self._entries[name] = Entry(name, target, description, uses, group)
        return target

    def entry(self, name: str) -> Entry[T]:
        """Return what is known of a choice without loading it.

        Raises:
            UsageError: if there is no such choice, with the nearest name.
        """
        if (member := self._member(name)) is not None:
            return Entry(name, member, name)
        if name not in self:
            raise UsageError(f"unknown {self.kind} {brief(name)}{did_you_mean(name, self._entries)}")
        return self._entries[name]

    def registered(self, name: str) -> Entry[T] | None:
        """Return what is known of a choice that is registered by now; None also for one of a family or a plug-in."""
        return self._entries.get(name)

    def find(self, name: str) -> T:
        """Return the object of that name; raises UsageError as `entry` and `Entry.load`."""
        return self.entry(name).load()

    def names(self) -> tuple[str, ...]:
        """Return all names."""
        load_plugins()
        return tuple(self._entries)

    def using(self, setting: str) -> Using:
        """Return the choices with which a setting has an effect."""
        return Using(self, setting)

    @contextmanager
    def errors_of(self, name: str) -> Iterator[None]:
        """Turn an exception under a plug-in's choice into PluginError; under one of hpo's own a bug passes."""
        try:
            yield
        except (HpoError, MemoryError):
            raise
        except Exception as error:
            if self.entry(name).is_built_in:
                raise
            raise self.wrong(name, f"raised {described(error)}{place_of(error)}") from error

    def wrong(self, name: str, what: str) -> PluginError:
        """Return the error of a plug-in's choice that did something wrong, such as "returned None"."""
        return PluginError(
            f"the {self.kind} {name!r} of a plug-in {what}; correct the plug-in and give the command again, which goes "
            "on where it was: no trial is lost"
        )

    def _member(self, name: object) -> T | None:
        """Return the object of `PREFIX:NAME`; None if no family has this prefix."""
        prefix, colon, rest = name.partition(":") if isinstance(name, str) else ("", "", "")
        if not colon or prefix not in self._families:
            return None
        find: Callable[[str], T] = resolve(self._families[prefix])
        return find(rest)

    def __contains__(self, name: object) -> bool:
        try:
            if self._member(name) is not None:
                return True
        except UsageError:
            return False
        if name not in self._entries:
            load_plugins()
        return name in self._entries

    def __iter__(self) -> Iterator[T]:
        load_plugins()
        return iter([entry.load() for entry in self._entries.values()])


@dataclass(frozen=True)
class Using:
    """Names of the choices of a registry that use a setting; whether one is among them loads no other's plug-in."""

    registry: Registry[Any]
    setting: str

    def __contains__(self, name: object) -> bool:
        if isinstance(name, str) and (entry := self.registry.registered(name)) is not None:
            return self.setting in entry.uses
        return name in self.registry and self.setting in self.registry.entry(str(name)).uses

    def __iter__(self) -> Iterator[str]:
        return iter([name for name in self.registry.names() if name in self])


_HERE = Path(__file__).parent
_PYTHON, _PACKAGES = (str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib"))
"""Folders of Python's own modules, and, mostly within it, of what is installed."""


def place_of(error: BaseException) -> str:
    """Return ` (FILE, line N)`, the last line that a plug-in had in an error; "" if there is none.

    Of the plug-in are the first file that is neither hpo's, PyTorch's, Optuna's nor Python's, and those beside it.
    """
    callers = [module for name in ("torch", "optuna") if (module := sys.modules.get(name)) is not None]
    ours = tuple(
        str(Path(folder).resolve()) for folder in (str(_HERE), *(path for one in callers for path in one.__path__))
    )
    place, home = "", None
    for frame in traceback.extract_tb(error.__traceback__):
        file = str(Path(frame.filename).resolve())
        is_of_python = file.startswith(_PYTHON) and not file.startswith(_PACKAGES)
        if is_of_python or file.startswith(ours) or frame.filename.startswith("<frozen"):
            continue
        home = home or Path(file).parent
        if Path(file).parent == home:
            place = f" ({frame.filename}, line {frame.lineno})"
    return place


_lock = threading.RLock()
_has_started = _is_done = False


def load_plugins() -> None:
    """Load every entry point of the group `hpo.plugins`, once per process.

    One that fails is a warning in the log, and the others are loaded all the same: a plug-in that a command does not
    need must not stop it.
    """
    global _has_started, _is_done
    if _is_done:
        return
    # Other threads wait here until all names are there; a plug-in that asks for names while it is loaded does not.
    with _lock:
        if _has_started:
            return
        _has_started = True
        for point in entry_points(group=GROUP):
            _load_plugin(point)
        _is_done = True


def _load_plugin(point: EntryPoint) -> None:
    try:
        found = point.load()
        if not isinstance(found, ModuleType):
            found()
    except Exception as error:
        source = f" of {point.dist.name}" if point.dist is not None else ""
        _log.warning("plug-in %s%s (%s) was not loaded: %s", point.name, source, point.value, described(error))


def described(error: Exception) -> str:
    """Return the type and the first line of an error."""
    return f"{type(error).__name__}: {first_line(error)}" if str(error) else type(error).__name__
