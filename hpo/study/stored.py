"""Base classes of models that are stored as JSON and read by other versions of hpo."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

JsonObject = dict[str, JsonValue]
"""A JSON object that is passed on without use of its keys."""

JSON_KEY = "json_key"
"""Metadata of a field of a dataclass: its key in `--json` output, where that is not its name."""


def parse_json(text: str | bytes) -> JsonValue:
    """Parse JSON from outside. Raises ValueError also for what is nested too deep, or has too long numbers."""
    try:
        found: JsonValue = json.loads(text)
    except RecursionError:
        raise ValueError("its values are nested too deep") from None
    return found


def parse_object(text: str | bytes) -> JsonObject:
    """Parse a JSON object from outside. Raises ValueError as `parse_json`, and for anything else than an object."""
    found = parse_json(text)
    if not isinstance(found, dict):
        raise ValueError(f"it is {type(found).__name__}, not an object")
    return found


_UNKNOWN = "unknown"


class Part(BaseModel):
    """A group of keys of a stored model."""

    # Write NaN and infinity as Python's json does; pydantic would write null, which is not a number.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class StoredModel(BaseModel):
    """A model that is stored as one JSON object.

    - The keys of its parts are stored in the same flat object.
    - Keys whose value is None are omitted, so a key that was added later is optional.
    - A field whose key has another name declares it as `validation_alias` and `serialization_alias`.
    - If it has a field `unknown`, unknown keys are kept there and written back.
    - `version`, if it has one, is omitted while it is 1: the first stored objects have no such key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, stored: Any) -> Any:
        if not isinstance(stored, Mapping):
            return stored
        values = dict(stored)
        for name, field in cls.model_fields.items():
            part = field.annotation
            if isinstance(part, type) and issubclass(part, Part) and name not in values:
                values[name] = {key: values.pop(key) for key in part.model_fields if key in values}
        if _UNKNOWN in cls.model_fields and _UNKNOWN not in values:
            strange = values.keys() - cls.model_fields.keys() - {_key(cls, name) for name in cls.model_fields}
            values[_UNKNOWN] = {key: values.pop(key) for key in stored if key in strange}
        return values

    @model_serializer(mode="wrap")
    def _spread(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for name, value in handler(self).items():
            is_group = name == _UNKNOWN or isinstance(getattr(self, name, None), Part)
            # By its key whether or not the caller asks for `by_alias`: what is stored must not depend on that.
            flat |= value if is_group else {_key(type(self), name): value}
        return {key: value for key, value in flat.items() if value is not None and (key, value) != ("version", 1)}


def _key(model: type[BaseModel], name: str) -> str:
    """Return the key under which a field is stored; `name` itself if it is no field, but such a key."""
    field = model.model_fields.get(name)
    return name if field is None else field.serialization_alias or name


def is_newer(stored: object, known: int) -> bool:
    """Return whether a JSON document has a higher version than `known`, the one that this hpo writes."""
    version = stored.get("version") if isinstance(stored, dict) else None
    return isinstance(version, int) and version > known


def faults(error: ValidationError) -> str:
    """Format the validation errors, with their keys, in one line."""
    return "; ".join(
        ": ".join([".".join(map(str, fault["loc"])), fault["msg"]]) if fault["loc"] else fault["msg"]
        for fault in error.errors()
    )
