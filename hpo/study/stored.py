"""Models that are stored as JSON, in a database or a file, and outlive the hpo that wrote them."""

from __future__ import annotations

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
"""A JSON object whose keys do not matter to the code that passes it on."""

_UNKNOWN = "unknown"


class Part(BaseModel):
    """A group of the keys of a stored model."""

    # Numbers that are not finite are written as Python's json does; pydantic would write null, which is no number.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class StoredModel(BaseModel):
    """A model that is stored as one JSON object.

    - The keys of its parts stand beside its own.
    - What is None is left out, so that a key that was added later is optional and None where it is missing.
    - If it has a field `unknown`, keys that this hpo does not know are kept there, and written back.
    - `version`, if it has one, is left out while it is 1: what was stored first has no such key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

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
            strange = values.keys() - cls.model_fields.keys()
            values[_UNKNOWN] = {key: values.pop(key) for key in stored if key in strange}
        return values

    @model_serializer(mode="wrap")
    def _spread(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for name, value in handler(self).items():
            is_group = name == _UNKNOWN or isinstance(getattr(self, name), Part)
            flat |= value if is_group else {name: value}
        return {key: value for key, value in flat.items() if value is not None and (key, value) != ("version", 1)}


def is_newer(stored: object, known: int) -> bool:
    """Whether a JSON document has a higher version than the one that this hpo writes."""
    version = stored.get("version") if isinstance(stored, dict) else None
    return isinstance(version, int) and version > known


def faults(error: ValidationError) -> str:
    """Name what is wrong, with the keys, in one line."""
    return "; ".join(
        ": ".join([".".join(map(str, fault["loc"])), fault["msg"]]) if fault["loc"] else fault["msg"]
        for fault in error.errors()
    )
