"""The named policies of augmentation, and how strong each of their parts is."""

from __future__ import annotations

from dataclasses import dataclass, fields

from hpo.study.config import Augmentation


@dataclass(frozen=True)
class Policy:
    """Largest change by each part; 0 is off."""

    flip: float = 0.0
    """Probability of a mirror image: left and right in 2D, where up and down has a meaning; each axis in 3D."""
    rotation: float = 0.0
    """Angle in degrees, uniform in both directions; in 3D in each of the three planes."""
    scale: float = 0.0
    """Natural logarithm of the magnification, uniform in both directions."""
    shear: float = 0.0
    """Tangent of the angle, uniform in both directions, for each pair of axes."""
    shift: float = 0.0
    """Share of the edge, uniform in both directions along each axis."""
    crop: float = 0.0
    """Largest share of an edge cut away; the rest, drawn along each axis within 10 % of a square, fills the image."""
    intensity: float = 0.0
    """Logarithm of gamma (half of it), of contrast, and a third of it as brightness, uniform in both directions."""
    noise: float = 0.0
    """Largest standard deviation of Gaussian noise; images range from 0 to 1."""
    cutout: float = 0.0
    """Largest edge of a square or cube set to the image's mean, as a share of the image's edge."""
    mixup: float = 0.0
    """Largest share of another image and its label that is mixed in."""

    @property
    def moves(self) -> bool:
        """Whether any part moves pixels."""
        return max(self.flip, self.rotation, self.scale, self.shear, self.shift, self.crop) > 0


_FLIP = {"flip": 0.5}
_MOVE = {"rotation": 30.0, "shift": 0.1}
_RIGID = _FLIP | _MOVE
_AFFINE = _MOVE | {"scale": 0.25, "shear": 0.2}
_CROP = {"crop": 0.4}
_NOISE = {"noise": 0.15}
_INTENSITY = {"intensity": 0.6}
_CUTOUT = {"cutout": 0.6}
_GEOMETRIC = _FLIP | _AFFINE | _CROP

_AT_FULL_STRENGTH: dict[Augmentation, dict[str, float]] = {
    "none": {},
    "flip": _FLIP,
    "shift": {"shift": 0.2},
    "rigid": _RIGID,
    "affine": _AFFINE,
    "crop": _CROP,
    "noise": _NOISE,
    "intensity": _INTENSITY,
    "cutout": _CUTOUT,
    "mixup": {"mixup": 0.5},
    "geometric": _GEOMETRIC,
    "full": _GEOMETRIC | _INTENSITY | _NOISE | _CUTOUT,
}


def find_policy(name: Augmentation, strength: float) -> Policy:
    """The policy of that name with every part multiplied by `strength`, 0 to 1; at 0 it changes nothing."""
    full = Policy(**_AT_FULL_STRENGTH[name])
    return Policy(**{part.name: strength * getattr(full, part.name) for part in fields(Policy)})
