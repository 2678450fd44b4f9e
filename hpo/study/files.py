"""Study files: TOML to `StudySpec`, every fault at once, and `--set key=value`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hpo.errors import StudyFileError, UsageError, did_you_mean
from hpo.study.catalogue import DATASETS, Dataset, find_dataset
from hpo.study.config import ConfigValues, problem_of, settings
from hpo.study.space import Space, TomlTable, can_apply, read_range
from hpo.study.spec import Budget, Confirm, Scoring, Search, StudySpec

SECTIONS: dict[str, type[BaseModel]] = {"scoring": Scoring, "search": Search, "budget": Budget, "confirm": Confirm}
"""Sections of a study file beside those of settings, [fixed] and [space.SETTING]."""

_TOP = ("dataset", *SECTIONS, "fixed", "space")


def builtin_study_file(dataset: str) -> Path:
    """The study file that ships for a dataset, or for the most similar one: from the wheel, or from a checkout."""
    found = find_dataset(dataset)
    here = Path(__file__).parent
    folders = (here / "shipped", here.parent.parent / "studies")
    names = (f"{found.name}.toml", f"{_similar(found)}.toml")
    return next(path for name in names for folder in folders if (path := folder / name).exists())


def _similar(dataset: Dataset) -> str:
    """The dataset of the catalogue whose study file suits a registered one that has none."""
    if dataset.labels > 1:
        return "chest"
    if dataset.dimensions == 2:
        return "breast"
    return "adrenal3d" if dataset.is_mask else "nodule3d"


def default_spec(dataset: str, overrides: tuple[str, ...] = ()) -> StudySpec:
    """The spec of a dataset without a study file of the user's own: `builtin_study_file`, with `--set` overrides.

    Raises UsageError for an unknown dataset, StudyFileError as `load_spec`.
    """
    return load_spec(builtin_study_file(dataset), (f'dataset="{find_dataset(dataset).name}"', *overrides))


def load_spec(path: Path, overrides: tuple[str, ...] = ()) -> StudySpec:
    """Reads a study file, applies `--set` overrides and checks the whole.

    Raises StudyFileError with every fault of it, or if it cannot be read or is no TOML.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyFileError(str(path), [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise StudyFileError(str(path), ["is not text in UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise StudyFileError(str(path), [f"is not TOML: {error}"]) from None
    apply_overrides(table, overrides)
    return check_spec(table, str(path))


def apply_overrides(table: TomlTable, overrides: tuple[str, ...]) -> None:
    """Puts each `section.key=value` into the table; values are TOML, bare words are strings.

    Fixing a searched setting takes it out of the space, and with it the settings that then mean nothing; searching a
    fixed one takes it out of the fixed.
    """
    for text in overrides:
        key, equals, value = text.partition("=")
        parts = [part.strip() for part in key.split(".")]
        if not equals or not all(parts):
            raise UsageError(f"--set {text}: give section.key=value, for example --set budget.epochs=5")
        where = table
        for part in parts[:-1]:
            where = where.setdefault(part, {})
            if not isinstance(where, dict):
                raise UsageError(f"--set {text}: {part} is a value, not a section")
        where[parts[-1]] = _toml_value(value.strip())
        if len(parts) == 2 and parts[0] == "fixed":
            table.get("space", {}).pop(parts[1], None)
            _take_out_what_means_nothing(table, parts[1], where[parts[1]])
        if len(parts) >= 2 and parts[0] == "space":
            table.get("fixed", {}).pop(parts[1], None)
            if len(parts) == 3:
                for other in ("low", "high", "log") if parts[2] == "choices" else ("choices",):
                    where.pop(other, None)


def _take_out_what_means_nothing(table: TomlTable, name: str, value: Any) -> None:
    for setting in settings().values():
        if any(other == name and value not in legal for other, legal in setting.when):
            table.get("space", {}).pop(setting.name, None)
            table.get("fixed", {}).pop(setting.name, None)


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def check_spec(table: TomlTable, source: str) -> StudySpec:
    """The spec of a parsed study file; raises StudyFileError with every fault, each with the nearest legal name."""
    problems = [f"{key} is no section{did_you_mean(key, _TOP)}" for key in table if key not in _TOP]
    dataset = _check_dataset(table, problems)
    sections = {name: _check_section(model, name, table.get(name, {}), problems) for name, model in SECTIONS.items()}
    fixed, space = _check_settings(table, problems)
    if not problems:
        spec = StudySpec(dataset=dataset, fixed=fixed, space=space, **sections)
        problems += _faults_of_the_whole(spec)
        if not problems:
            return spec
    raise StudyFileError(source, problems)


def _check_dataset(table: TomlTable, problems: list[str]) -> str:
    name = table.get("dataset")
    try:
        return find_dataset(name).name if isinstance(name, str) else _missing_dataset(problems)
    except UsageError as error:
        problems.append(f"dataset: {error}")
        return ""


def _missing_dataset(problems: list[str]) -> str:
    problems.append(f"dataset is missing; give one of: {', '.join(DATASETS.names())}")
    return ""


def _check_section(model: type[BaseModel], name: str, table: Any, problems: list[str]) -> Any:
    if not isinstance(table, dict):
        problems.append(f"{name} is a value; make it a section [{name}]")
        return None
    legal = model.model_fields
    problems += [f"[{name}] {key} is no key{did_you_mean(key, legal)}" for key in table if key not in legal]
    try:
        return model.model_validate({key: value for key, value in table.items() if key in legal})
    except ValidationError as error:
        for fault in error.errors():
            key = ".".join(map(str, fault["loc"]))
            problems.append(f"[{name}] {key} = {fault['input']!r}: {_plain(fault['msg'])}")
        return None


def _plain(message: str) -> str:
    return message.removeprefix("Input ").replace("should be", "must be")


def _check_settings(table: TomlTable, problems: list[str]) -> tuple[ConfigValues, Space]:
    known = settings()
    fixed: ConfigValues = {}
    space: Space = {}
    searched: set[str] = set()
    for section in ("fixed", "space"):
        entries = table.get(section, {})
        if not isinstance(entries, dict):
            problems.append(f"{section} is a value; make it a section [{section}]")
            continue
        for name, entry in entries.items():
            label = f"[fixed] {name}" if section == "fixed" else f"[space.{name}]"
            if name not in known:
                problems.append(f"{label} is no setting of a training run{did_you_mean(name, known)}")
            elif section == "fixed":
                if problem := problem_of(name, entry):
                    problems.append(f"[fixed] {problem}")
                fixed[name] = entry
            elif not isinstance(entry, dict):
                problems.append(f"{label} = {entry!r} is a value; give low and high, or choices, or move it to [fixed]")
            else:
                searched.add(name)
                if (found := read_range(name, entry, problems)) is not None:
                    space[name] = found
    problems += [f"{name} stands in [fixed] and in [space]; keep one" for name in fixed if name in searched]
    return fixed, space


def _faults_of_the_whole(spec: StudySpec) -> list[str]:
    faults = []
    for name in (*spec.fixed, *spec.space):
        if not can_apply(name, spec.fixed, spec.space):
            needs = " and ".join(
                f"{other} in {{{', '.join(map(str, legal))}}}" for other, legal in settings()[name].when
            )
            faults.append(f"{name} can never mean anything here: it needs {needs}")
    if spec.data.labels > 1 and "fixed_share" in _values("batching", spec):
        faults.append(f"batching = fixed_share needs one label; {spec.dataset} has {spec.data.labels}")
    if spec.data.labels > 1 and "balanced" in _values("resplit", spec):
        faults.append(f"resplit = balanced needs one label; {spec.dataset} has {spec.data.labels}")
    if spec.scoring.rows == "official" and "official" in _values("resplit", spec):
        faults.append(
            "resplit = official needs official validation rows among the fit rows; [scoring] rows takes them all"
        )
    return faults


def _values(name: str, spec: StudySpec) -> tuple[Any, ...]:
    if name in spec.fixed:
        return (spec.fixed[name],)
    return tuple(getattr(spec.space.get(name), "choices", ()))
