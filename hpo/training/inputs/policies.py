"""Define the named augmentation policies, each at full strength."""

from __future__ import annotations

from hpo.study.choices import AUGMENTATIONS
from hpo.study.config import TrainConfig
from hpo.training.inputs.augmentation import AugmentationFunction, ConfigurableAugmentation, Policy
from hpo.training.inputs.randaugment import OPERATIONS, RESIZING, RandAugment

_FLIP = {"flip": 0.5}
_MOVE = {"rotation": 30.0, "shift": 0.1}
_AFFINE = _MOVE | {"scale": 0.25, "shear": 0.2}
_CROP = {"crop": 0.4}
_NOISE = {"noise": 0.15}
_INTENSITY = {"intensity": 0.6}
_CUTOUT = {"cutout": 0.6}
_ELASTIC = {"elastic": 0.1}
_SHAPE = {"thickness": 0.6, "smoothing": 1.0}
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
cutmix = Policy(cutmix=1.0)
elastic = Policy(**_ELASTIC)
morphology = Policy(**_ELASTIC, **_SHAPE)
randaugment = RandAugment()
randaugment_rigid = RandAugment(tuple(name for name in OPERATIONS if name not in RESIZING))
geometric = Policy(**_GEOMETRIC)
full = Policy(**_GEOMETRIC, **_INTENSITY, **_NOISE, **_CUTOUT)


def find_augmentation(name: str) -> AugmentationFunction:
    """Return the registered augmentation of that name: a `Policy` or any function of the same arguments."""
    found: AugmentationFunction = AUGMENTATIONS.find(name)
    return found


def make_augmentation(config: TrainConfig) -> AugmentationFunction:
    """Return the augmentation of a configuration, with the settings of its own that it reads."""
    found = find_augmentation(config.augmentation)
    return found.configured(config) if isinstance(found, ConfigurableAugmentation) else found
