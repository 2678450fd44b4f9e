"""The training methods that `hpo methods` measures.

A method is one entry of `METHODS`. Everything else is generic: to which recipes it applies follows from the conditions
of the settings, and its line in docs/methods.md is made from it (`hpo methods --markdown`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from hpo.errors import UsageError, did_you_mean
from hpo.study.choices import AUCM, CROSS_ENTROPY
from hpo.study.config import ConfigValues, problem_of, settings
from hpo.study.method import Method
from hpo.study.overrides import toml_value


def find_methods(names: Iterable[str]) -> tuple[Method, ...]:
    """Return the methods of these names, in the order of `METHODS`; for none all that need no other files.

    Args:
        names: of methods; or changes of one's own, `SETTING=VALUE[,SETTING=VALUE]`, which follow the others.

    Raises:
        UsageError: for a name, a setting or a value that there is not.
    """
    known = {method.name: method for method in METHODS}
    asked = tuple(names)
    for name in asked:
        if name not in known and not is_change(name):
            raise UsageError(f"unknown method {name!r}{did_you_mean(name, known)}; `hpo methods` lists them all")
    own = {method.name: method for method in (_change(name) for name in asked if name not in known)}
    listed = (one for one in METHODS if (one.name in asked if asked else not one.needs_files))
    return (*listed, *own.values())


def is_change(name: str) -> bool:
    """Return whether the name of a method is a change of settings, `SETTING=VALUE[,SETTING=VALUE]`."""
    return "=" in name


def _change(text: str) -> Method:
    values: ConfigValues = {}
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not name or name in values:
            raise UsageError(f"{text!r} is no change of settings; give SETTING=VALUE, or several with a comma between")
        if name not in settings():
            raise UsageError(f"{text!r}: unknown setting {name}{did_you_mean(name, settings())}")
        values[name] = toml_value(value)
        if problem := problem_of(name, values[name]):
            raise UsageError(f"{text!r}: {problem}")
    # As it may be typed again: True is no value of TOML.
    typed = (f"{name}={json.dumps(value)}".replace('"', "") for name, value in values.items())
    return Method(",".join(typed), values, {}, "A change of settings of one's own.", is_put_in=True)


def _augmentation(policy: str, about: str, source: str = "") -> Method:
    on: ConfigValues = {"augmentation": policy, "augmentation_strength": 0.5}
    return Method(policy, on, {"augmentation": "none"}, about, source)


_SGD: ConfigValues = {"optimizer": "sgd", "learning_rate": 0.03, "momentum": 0.9}

METHODS: tuple[Method, ...] = (
    # The loss and what belongs to it.
    Method(
        "running class means",
        {"class_means": "running"},
        {"class_means": "learned"},
        "Class means of scores are running means, not parameters that PESG learns at the learning rate.",
    ),
    Method(
        "AUCM without prior",
        {"loss": "aucm_v2"},
        {"loss": "aucm_v1"},
        "The corrected AUCM loss, in place of the one that weighs by the share of positives in the batch.",
        "Yuan et al. 2021, arXiv 2012.03173; LibAUC",
        families=(AUCM,),
    ),
    Method(
        "AUCM",
        {"loss": "aucm_v2", "class_means": "running"},
        {"loss": "cross_entropy"},
        "AUCM with running class means in place of cross-entropy, all else being equal.",
        "Yuan et al. 2021, arXiv 2012.03173",
        has_family=AUCM,
    ),
    Method(
        "joint loss",
        {"loss": "joint", "cross_entropy_weight": 0.5},
        {"loss": "aucm_v2"},
        "Half cross-entropy and half AUCM throughout.",
        "Yuan et al. 2022, ICLR, section 3",
        families=(AUCM,),
    ),
    Method(
        "compositional",
        {"loss": "compositional", "inner_learning_rate": 0.01},
        {"loss": "aucm_v2"},
        "AUCM at the weights after a step on cross-entropy.",
        "Yuan et al. 2022, ICLR (PDSCA)",
        families=(AUCM,),
    ),
    Method(
        "pairwise",
        {"loss": "pairwise"},
        {"loss": "aucm_v2"},
        "Squared hinge over the pairs of a batch.",
        "Gao and Zhou 2015, arXiv 1208.0645",
        families=(AUCM,),
    ),
    Method(
        "partial AUC",
        {"loss": "pauc", "pauc_form": "cvar", "pauc_share": 0.2},
        {"loss": "aucm_v2"},
        "Squared hinge over pairs with the hardest fifth of the negatives.",
        "Zhu et al. 2022, ICML (SOPA)",
        families=(AUCM,),
    ),
    Method(
        "tanh scores",
        {"score_scale": "tanh"},
        {"score_scale": "sigmoid"},
        "The margin refers to tanh of the logit, whose range is twice as wide.",
    ),
    Method(
        "standardised scores",
        {"score_scale": "standardised"},
        {"score_scale": "sigmoid"},
        "The margin refers to logits by running mean and deviation, which have no bound.",
    ),
    Method(
        "focal loss",
        {"loss": "focal", "focal_gamma": 2.0},
        {"loss": "cross_entropy"},
        "Cross-entropy in which samples that are ranked well count less.",
        "Lin et al. 2017, arXiv 1708.02002",
        families=(CROSS_ENTROPY,),
    ),
    Method(
        "label smoothing",
        {"label_smoothing": 0.1},
        {"label_smoothing": 0.0},
        "A tenth of each label is spread over both classes.",
        "Szegedy et al. 2016, arXiv 1512.00567",
    ),
    Method(
        "cross-entropy warm start",
        {"cross_entropy_share": 0.3},
        {"cross_entropy_share": 0.0},
        "The first epochs train with cross-entropy, then AUCM takes over.",
        "Yuan et al. 2021, arXiv 2012.03173, section 5",
    ),
    Method(
        "epoch decay",
        {"epoch_decay": 0.003},
        {"epoch_decay": 0.0},
        "Weights are pulled towards reference weights, which are updated twice.",
        "Yuan et al. 2021, arXiv 2012.03173, algorithm 1",
    ),
    Method(
        "initial reference weights",
        {"reference_weights": "initial"},
        {"reference_weights": "noise"},
        "The pull is towards the initial weights until the first update, not towards noise near 0 as in LibAUC.",
    ),
    # Optimization.
    Method(
        "adam",
        {"optimizer": "adam", "learning_rate": 3e-4},
        _SGD,
        "PESG in Adam's mode; without it SGD with momentum .9 at a rate of .03, which is usual and not tuned here.",
        "Kingma and Ba 2015, arXiv 1412.6980",
    ),
    Method(
        "adamw",
        {"optimizer": "adamw", "weight_decay": 0.05},
        {"optimizer": "adam", "weight_decay": 1e-4},
        "Adam with weight decay apart from the gradient, in place of Adam at the same learning rate.",
        "Loshchilov and Hutter 2019, arXiv 1711.05101",
    ),
    Method(
        "lion",
        {"optimizer": "lion", "learning_rate": 3e-5, "weight_decay": 0.5},
        {"optimizer": "adam", "learning_rate": 3e-4, "weight_decay": 1e-4},
        "Steps of equal size by the sign of a running mean, at a tenth of Adam's learning rate.",
        "Chen et al. 2023, arXiv 2302.06675",
    ),
    Method(
        "step decay",
        {"schedule": "step"},
        {"schedule": "constant"},
        "The learning rate falls to a tenth at half and at three quarters of the epochs.",
        "He et al. 2016, arXiv 1512.03385",
    ),
    Method(
        "cosine",
        {"schedule": "cosine"},
        {"schedule": "constant"},
        "The learning rate follows half a cosine to 0.",
        "Loshchilov and Hutter 2017, arXiv 1608.03983",
    ),
    Method(
        "one cycle",
        {"schedule": "one_cycle"},
        {"schedule": "constant"},
        "The learning rate rises and falls once.",
        "Smith and Topin 2018, arXiv 1708.07120",
    ),
    Method(
        "cyclic",
        {"schedule": "cyclic", "cycles": 4},
        {"schedule": "constant"},
        "Four times half a cosine to 0.",
        "Loshchilov and Hutter 2017, arXiv 1608.03983",
    ),
    Method(
        "mean over cycles",
        {"schedule": "cyclic", "cycles": 4, "weight_average": "cycles"},
        {"schedule": "constant", "weight_average": "none"},
        "The same, and the network that is scored has the mean weights of the ends of later cycles.",
        "Izmailov et al. 2018, arXiv 1803.05407",
    ),
    Method(
        "warm-up",
        {"warmup": 0.1},
        {"warmup": 0.0},
        "The learning rate rises in a line over the first tenth of the epochs.",
        "Goyal et al. 2017, arXiv 1706.02677",
    ),
    Method(
        "sharpness-aware steps",
        {"sam": 0.05},
        {"sam": 0.0},
        "Gradients are taken at the worst weights within a distance of .05, at two passes a step.",
        "Foret et al. 2021, arXiv 2010.01412",
    ),
    Method(
        "ghost batches",
        {"ghost_batch": 16},
        {"ghost_batch": 0},
        "BatchNorm normalises parts of 16 samples by themselves in training.",
        "Hoffer et al. 2017, arXiv 1705.08741",
    ),
    Method(
        "weight decay",
        {"weight_decay": 1e-3},
        {"weight_decay": 0.0},
        "L2 penalty on all weights.",
        "Krogh and Hertz 1991",
    ),
    Method(
        "clipping",
        {"clip": 1.0},
        {"clip": 0.0},
        "Each element of a gradient is bounded by 1.",
        "LibAUC's `clip_value`",
    ),
    Method(
        "norm clipping",
        {"clip_norm": 1.0},
        {"clip_norm": 0.0},
        "A gradient whose norm over all weights is above 1 is scaled down to 1.",
        "Pascanu et al. 2013, arXiv 1211.5063",
    ),
    Method(
        "ema",
        {"weight_average": "ema", "ema_decay": 0.99},
        {"weight_average": "none"},
        "The network that is scored has an exponential moving average of the weights.",
        "Polyak and Juditsky 1992",
    ),
    Method(
        "swa",
        {"weight_average": "swa", "swa_start": 0.5},
        {"weight_average": "none"},
        "The network that is scored has the mean weights of the last epochs.",
        "Izmailov et al. 2018, arXiv 1803.05407",
    ),
    Method(
        "tta flips",
        {"tta": "flips"},
        {"tta": "none"},
        "Each image is scored with its mirror images, 2 in all in 2D and 8 in 3D, also where the epoch is picked.",
        "Shanmugam et al. 2021, arXiv 2011.11156",
    ),
    Method(
        "tta shifts",
        {"tta": "shifts"},
        {"tta": "none"},
        "Each image is scored with its shifts by a pixel, 5 in all in 2D and 7 in 3D.",
        "Shanmugam et al. 2021, arXiv 2011.11156",
    ),
    # Batches and samples.
    Method(
        "fixed share",
        {"batching": "fixed_share", "positive_share": 0.5},
        {"batching": "random"},
        "Half of each batch is positive, whatever the share in the data.",
        "LibAUC's DualSampler, Yuan et al. 2023, arXiv 2306.03065",
    ),
    Method(
        "falling share",
        {"batching": "fixed_share", "positive_share": 0.5, "positive_share_schedule": "linear"},
        {"batching": "random"},
        "Half of each batch is positive at first; the share goes in a line to that of the data.",
        "Cao et al. 2019, arXiv 1906.07413, the other way round",
    ),
    Method(
        "no duplicates",
        {"duplicates": "remove"},
        {"duplicates": "keep"},
        "Of near-duplicates with equal labels the first alone is trained on; the number of steps stays.",
        "Lee et al. 2022, arXiv 2107.06499",
    ),
    Method(
        "small loss",
        {"noisy_samples": "loss", "noisy_share": 0.1},
        {"noisy_samples": "none"},
        "After a quarter of the epochs the tenth of each class with the largest cross-entropy is left out.",
        "Han et al. 2018, arXiv 1804.06872, by epoch",
    ),
    Method(
        "large margin",
        {"noisy_samples": "margin", "noisy_share": 0.1},
        {"noisy_samples": "none"},
        "After a quarter of the epochs the tenth of each class with the smallest area under the margin is left out.",
        "Pleiss et al. 2020, arXiv 2001.10528",
    ),
    Method(
        "co-training",
        {"co_training": "all", "co_training_share": 0.5, "co_training_epochs": 0.5},
        {"co_training": "none"},
        "In the first half of the epochs half of the batches are of the other MedMNIST sets of this format.",
        "Caruana 1997",
        needs_files=True,
    ),
    Method(
        "holdout selection",
        {"resplit": "holdout", "resplit_share": 0.15},
        {"resplit": "none"},
        "A stratified share of the training part picks the epoch, instead of the last epoch being taken.",
    ),
    Method(
        "balanced selection",
        {"resplit": "balanced", "resplit_share": 0.15},
        {"resplit": "none"},
        "A share of the training part with as many positives as negatives picks the epoch.",
    ),
    Method(
        "official selection",
        {"resplit": "official"},
        {"resplit": "none"},
        "MedMNIST's own validation samples, where they are in the training part, pick the epoch.",
        "Yang et al. 2023, arXiv 2110.14795",
    ),
    Method(
        "grouped selection",
        {"resplit": "grouped"},
        {"resplit": "none"},
        "The official validation samples, and their near-duplicates, pick the epoch.",
    ),
    Method(
        "importance selection",
        {"resplit": "importance", "resplit_share": 0.15},
        {"resplit": "none"},
        "A stratified share picks the epoch, by an AUC in which each group of near-duplicates counts once.",
    ),
    # Augmentation, each at half of its strength.
    _augmentation("flip", "Mirror images."),
    _augmentation("shift", "Shifts by up to a tenth of the edge."),
    _augmentation("rigid", "Mirror images, rotations and shifts, which keep the sizes of shapes."),
    _augmentation("affine", "Rotations, shifts, scales and shears."),
    _augmentation("crop", "Crops, scaled to the whole image."),
    _augmentation("geometric", "Everything that moves pixels: mirror images, affine maps and crops."),
    _augmentation("noise", "Gaussian noise."),
    _augmentation("intensity", "Gamma, contrast and brightness."),
    _augmentation("cutout", "A part of the image hidden.", "DeVries and Taylor 2017, arXiv 1708.04552"),
    _augmentation("full", "All of these together."),
    _augmentation("mixup", "Mixtures of two images and their labels.", "Zhang et al. 2018, arXiv 1710.09412"),
    _augmentation(
        "cutmix", "A part of each image is that of another, labels mixed by area.", "Yun et al. 2019, arXiv 1905.04899"
    ),
    _augmentation("elastic", "Smooth bending, which keeps sizes.", "Simard et al. 2003"),
    _augmentation("morphology", "Smooth bending, thicker and thinner shapes, smoother surfaces."),
    _augmentation("randaugment", "Two operations drawn for each image.", "Cubuk et al. 2020, arXiv 1909.13719"),
    _augmentation(
        "randaugment_rigid",
        "Two operations drawn for each image, of those that keep sizes.",
        "Cubuk et al. 2020, arXiv 1909.13719",
    ),
    Method(
        "shape multiplier",
        {"shape_multiplier": True},
        {"shape_multiplier": False},
        "Masks are multiplied by a number between 0 and 1 in training and by 0.5 in validation.",
        "MedMNIST's recipe for 3D, Yang et al. 2023, arXiv 2110.14795",
        data="masks",
    ),
    # Size of the images.
    Method(
        "14 pixels",
        {"input_size": 14},
        {"input_size": 28},
        "Images of half the edge, by area averaging: a quarter of the work in 2D, an eighth in 3D.",
    ),
    Method(
        "42 pixels",
        {"input_size": 42},
        {"input_size": 28},
        "Images of one and a half times the edge, by interpolation: feature maps are larger, no detail is added.",
        "Touvron et al. 2019, arXiv 1906.06423",
    ),
    Method(
        "56 pixels",
        {"input_size": 56},
        {"input_size": 28},
        "Images of twice the edge, by interpolation.",
        "Touvron et al. 2019, arXiv 1906.06423",
        data="2D",
    ),
    Method(
        "progressive",
        {"progressive": 0.5},
        {"progressive": 1.0},
        "Training begins with images of half the edge, which grow until half of the epochs.",
        "Tan and Le 2021, arXiv 2104.00298; Karras et al. 2018, arXiv 1710.10196",
    ),
)
"""Every method that `hpo methods` measures. A new one is one entry here."""
