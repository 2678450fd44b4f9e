"""A number of workers as a user gives it: a number, or `auto` for as many as turn out to do the most together."""

from __future__ import annotations

from typing import Final, Literal

AUTO: Final = "auto"

Count = int | Literal["auto"]
