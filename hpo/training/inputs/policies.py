"""Define the named augmentation policies, each at full strength."""

from __future__ import annotations

from hpo.study.choices import AUGMENTATIONS
from hpo.training.inputs.augmentation import AugmentationFunction, Policy

_FLIP = {"flip": 0.5}
_MOVE = {"rotation": 30.0, "shift": 0.1}
_AFFINE = _MOVE | {"scale": 0.25, "shear": 0.2}
_CROP = {"crop": 0.4}
_NOISE = {"noise": 0.15}
_INTENSITY = {"intensity": 0.6}
_CUTOUT = {"cutout": 0.6}
_GEOMETRIC = _FLIP | _AFFINE | _CROP

none = Policy()
flip = Policy(**_FLIP)
shift = Policy(shift=0.2)
rigid = Policy(**_FLIP, **_MOVE)
affine = Policy(**_AFFINE)
crop = Policy(**_CROP)
noise = Policy(**_NOISE)
intensity = Policy(**_INTENSITY)
cutout = Policy(**_CUTOUT)
mixup = Policy(mixup=0.5)
geometric = Policy(**_GEOMETRIC)
full = Policy(**_GEOMETRIC, **_INTENSITY, **_NOISE, **_CUTOUT)


def find_augmentation(name: str) -> AugmentationFunction:
    """Return the registered augmentation of that name: a `Policy` or any function of the same arguments."""
    found: AugmentationFunction = AUGMENTATIONS.find(name)
    return found
