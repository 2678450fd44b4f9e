"""Read study files (TOML), changed by `--set`, into a `StudySpec`, reporting all errors at once."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hpo.errors import StudyFileError, UsageError
from hpo.files import expanded, read_text
from hpo.study.catalogue import AT, DATASETS, Dataset, find_dataset
from hpo.study.config import ConfigValues, problem_of, settings
from hpo.study.consistency import NEED_VALIDATION, cross_section_problems
from hpo.study.keys import meant
from hpo.study.overrides import apply_overrides
from hpo.study.own import split_source
from hpo.study.sections import SECTIONS, TOP_LEVEL, parse_toml
from hpo.study.space import Space, TomlTable, read_range
from hpo.study.spec import StudySpec
from hpo.study.starts import Start, fitted, read_starts
from hpo.text import brief

MOST_BYTES = 2**24
"""Largest size of a study file."""

MOST_FOLDED = 6000
"""Samples up to which five folds are worth their cost: above, one validation part is precise enough."""

_log = logging.getLogger(__name__)


def builtin_study_file(dataset: str | Dataset) -> Path:
    """Return the path of the study file shipped for a dataset, or else for the most similar one."""
    known = find_dataset(dataset) if isinstance(dataset, str) else dataset
    here = Path(__file__).parent
    # In a wheel, and in a checkout.
    folders = (here / "shipped", here.parent.parent / "studies")
    names = (f"{known.name.partition(AT)[0]}.toml", f"{_similar(known)}.toml")
    return next(path for name in names for folder in folders if (path := folder / name).exists())


def _similar(dataset: Dataset) -> str:
    """Return the name of the built-in dataset whose study file suits a registered dataset without one."""
    if dataset.labels > 1:
        return "chest"
    if dataset.dimensions == 2:
        return "breast"
    return "adrenal3d" if dataset.is_mask else "nodule3d"


def default_spec(dataset: str | Dataset, overrides: tuple[str, ...] = ()) -> StudySpec:
    """Return the spec of `builtin_study_file` for a dataset, with `--set` overrides.

    Args:
        dataset: as `--dataset` takes it, or itself, which needs no file to be there.

    Raises:
        UsageError: if the dataset is unknown.
        DataError: if it is a file that is missing or of another form.
        StudyFileError: as `load_spec`.
    """
    known = find_dataset(dataset) if isinstance(dataset, str) else dataset
    path = builtin_study_file(known)
    table = _read_toml(path)
    table["dataset"] = known.source
    suit(table, known)
    return _overridden(table, path, overrides, known)


def suit(table: TomlTable, dataset: Dataset) -> None:
    """Change a study file that was written for a similar dataset so that it suits this one.

    Without official validation samples no resplit can use them, nor can trials be scored on them.
    """
    scoring = table.get("scoring", {})
    if scoring.get("rows") == "official" and not dataset.has_validation:
        scoring["rows"] = "kfold" if dataset.development_rows <= MOST_FOLDED else "holdout"
    resplit = table.get("space", {}).get("resplit")
    if resplit is not None and not dataset.has_validation:
        before = copy.deepcopy(table)
        resplit["choices"] = [choice for choice in resplit["choices"] if choice not in NEED_VALIDATION]
        if table.get("start"):
            _fit_starts(table, before, logging.DEBUG)


def load_spec(path: Path, overrides: tuple[str, ...] = ()) -> StudySpec:
    """Read a study file, apply `--set` overrides and validate the result.

    A data file in it is looked for beside the study file, then from the current folder. `hpo.load_spec`, of the public
    interface, also takes the name of a data set.

    Raises:
        StudyFileError: with all errors, or if the file cannot be read or is not TOML.
        DataError: if its data file is missing or of another form.
    """
    path = expanded(path)
    table = _read_toml(path)
    source = split_source(str(table.get("dataset")))
    if source is not None and (path.parent / source[0]).exists():
        # An absolute path stays as it is.
        table["dataset"] = str(path.parent.absolute() / table["dataset"])
    return _overridden(table, path, overrides)


def _read_toml(path: Path) -> TomlTable:
    try:
        # Editors of Windows begin a file with a byte order mark.
        return parse_toml(read_text(path, MOST_BYTES).removeprefix("\ufeff"))
    except OSError as error:
        raise StudyFileError(str(path), [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise StudyFileError(str(path), ["is not text in UTF-8"]) from None
    except ValueError as error:
        raise StudyFileError(str(path), [f"is not TOML: {error}"]) from None


def _overridden(table: TomlTable, path: Path, overrides: tuple[str, ...], known: Dataset | None = None) -> StudySpec:
    before = copy.deepcopy(table)
    apply_overrides(table, overrides)
    if table.get("start") and table["start"] == before.get("start"):
        _fit_starts(table, before)
    return check_spec(table, str(path), known)


def _fit_starts(table: TomlTable, before: TomlTable, level: int = logging.INFO) -> None:
    """Fit the start points of a file into its space after `--set`; where they are wrong before it they are left."""
    problems: list[str] = []
    fixed_before, space_before = _check_settings(before, problems)
    starts = read_starts(before["start"], fixed_before, space_before, problems)
    fixed, space = _check_settings(table, problems)
    if problems:
        return
    kept: list[Start] = []
    for start in starts:
        one, notes = fitted(start, fixed, space, fixed_before)
        kept += [one] if one is not None else []
        for note in notes:
            _log.log(level, note)
    table["start"] = [{"name": start.name, **start.values} for start in kept]


def check_spec(table: TomlTable, source: str, known: Dataset | None = None) -> StudySpec:
    """Validate a parsed study file.

    Args:
        known: the dataset that it names, if its source is this one's.

    Raises:
        StudyFileError: with all errors, each with the closest legal name.
    """
    problems = [f"{key} is not a section{_meant(key, TOP_LEVEL)}" for key in table if key not in TOP_LEVEL]
    is_known = known is not None and table.get("dataset") == known.source
    data = known if is_known else _check_dataset(table, problems)
    sections = {name: _check_section(model, name, table.get(name, {}), problems) for name, model in SECTIONS.items()}
    fixed, space = _check_settings(table, problems)
    # A problem of the space would be told once more for each start point.
    start = () if problems else read_starts(table.get("start", []), fixed, space, problems)
    if not problems:
        assert data is not None
        spec = StudySpec(dataset=data.name, own=data.own, fixed=fixed, space=space, start=start, **sections)
        problems += cross_section_problems(spec)
        if not problems:
            return spec
    raise StudyFileError(source, problems)


def _check_dataset(table: TomlTable, problems: list[str]) -> Dataset | None:
    name = table.get("dataset")
    if not isinstance(name, str):
        problems.append(f"dataset is missing; give FILE.npz, or one of: {', '.join(DATASETS.names())}")
        return None
    try:
        return find_dataset(name)
    except UsageError as error:
        problems.append(f"dataset: {error}")
        return None


def _check_section(model: type[BaseModel], name: str, table: Any, problems: list[str]) -> Any:
    if not isinstance(table, dict):
        problems.append(f"{name} is a value; make it a section [{name}]")
        return None
    legal = model.model_fields
    problems += [f"[{name}] {key} is not a key{_meant(key, legal, f'{name}.')}" for key in table if key not in legal]
    try:
        return model.model_validate({key: value for key, value in table.items() if key in legal})
    except ValidationError as error:
        for detail in error.errors():
            key = ".".join(map(str, detail["loc"]))
            problems.append(f"[{name}] {key} = {brief(detail['input'])}: {_plain(detail['msg'])}")
        return None


def _meant(key: str, legal: Iterable[str], prefix: str = "") -> str:
    return meant(key, legal, settings(), {name: model.model_fields for name, model in SECTIONS.items()}, prefix)


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
                problems.append(f"{label} is not a setting{_meant(name, known, f'{section}.')}")
            elif section == "fixed":
                if problem := problem_of(name, entry):
                    problems.append(f"[fixed] {problem}")
                fixed[name] = entry
            elif not isinstance(entry, dict):
                problems.append(
                    f"{label} = {brief(entry)} is a value; give low and high, or choices, or move it to [fixed]"
                )
            else:
                searched.add(name)
                if (searched_range := read_range(name, entry, problems)) is not None:
                    space[name] = searched_range
    problems += [f"{name} is in both [fixed] and [space]; keep one" for name in fixed if name in searched]
    return fixed, space
