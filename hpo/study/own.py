"""`OwnFile`: what a study keeps of a user's own data file, so that every host reads the same one."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SUFFIX = ".npz"

PIXELS = "pixels"
"""Array of a data file that holds a `PixelRule` as JSON."""

MOST_EDGE = 224
"""Largest edge of an image, that of MedMNIST's largest files."""

_FORM = re.compile(r"(?P<path>.*\.npz)(?::(?P<label>[^/:]+))?", re.DOTALL)


Fit = Literal["pad", "crop", "stretch"]
"""How a picture becomes square: black is added to the short sides, the long sides are cut, or it is distorted."""


class PixelRule(BaseModel):
    """How `hpo data import` made the pixels of a data file, so that new pictures become alike.

    Attributes:
        window: values that became 0 and 255; None if 8 bits were kept as they were.
        is_deep: whether the window follows from pictures of more than 8 bits, and says nothing of others.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    fit: Fit
    window: tuple[float, float] | None
    is_deep: bool


class OwnFile(BaseModel):
    """A data file of MedMNIST's form, as it was when its study was created.

    Attributes:
        path: absolute path; a host where it is not there looks for the file's name in its data folder.
        name: for people: of the study, if no other is given.
        md5: of the whole file.
        bytes: size of the file.
        test: digest of the stored test arrays, 8 hexadecimal digits; "" if there are none.
        size: edge of an image.
        channels: 1 for grey images, 3 for RGB.
        columns: of its label arrays.
        label: the one that is trained against the rest: a column, or a value if there is one column; None for all.
        label_names: of the labels that are trained, () if the file has none.
        rows: numbers of (train, val, test) samples; the last two may be 0.
        is_mask: whether pixels of train and val are only 0 or 255.
        pixels: how they were made of pictures; None if the file does not say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    name: str = Field(min_length=1)
    md5: str
    bytes: int = Field(ge=0)
    test: str = ""
    dimensions: Literal[2, 3]
    size: int = Field(ge=1, le=MOST_EDGE)
    channels: Literal[1, 3] = 1
    columns: int = Field(ge=1)
    label: int | None = None
    label_names: tuple[str, ...] = ()
    rows: tuple[int, int, int]
    is_mask: bool = False
    pixels: PixelRule | None = None

    @property
    def labels(self) -> int:
        """Number of labels that are trained."""
        return self.columns if self.label is None else 1

    @property
    def identity(self) -> str:
        """Name of the dataset in logs and tables: two files of one name with different test sets differ in it."""
        chosen = "" if self.label is None else f"{self.label}-"
        return f"{self.name}:{chosen}{self.test or self.md5[:8]}"


def split_source(text: str) -> tuple[str, str | None] | None:
    """Return path and label of `FILE.npz` or `FILE.npz:LABEL`; None if the text is the name of a dataset."""
    found = _FORM.fullmatch(text)
    return None if found is None else (found["path"], found["label"])
