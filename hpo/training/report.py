"""Define what training reports after each epoch; without torch, so that every layer above can use it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from hpo.data.fold_scores import FoldScores


@dataclass(frozen=True)
class FoldReport:
    """One epoch of one fold.

    Attributes:
        auc: of the validation part, mean over labels.
        standard_error: of `auc`, over validation samples.
        training_auc: of the epoch's batches as they were scored in training.
        training_loss: mean over the epoch's batches.
        roc: true positive rates at the false positive rates `hpo.statistics.roc.ROC_GRID`, mean over labels.
        scores: of the validation part, from which `auc` was computed; None if not kept.
    """

    auc: float
    standard_error: float
    training_auc: float
    training_loss: float
    roc: tuple[float, ...] = ()
    scores: FoldScores | None = field(default=None, repr=False, compare=False)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds: plain values, without `scores`, which the network's run keeps."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "scores"}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any], scores: FoldScores | None) -> FoldReport:
        """Return the report of a checkpoint with the scores of the network's run."""
        return cls(**state, scores=scores)


@dataclass(frozen=True)
class EpochReport:
    """One epoch of a trial over its folds: what a trainer yields, the database stores and a curve consists of.

    Attributes:
        epoch: from 1.
        auc: validation AUC, mean over folds (and labels).
        standard_error: of `auc`, assuming independent folds, which holds within one repeat; None if unknown.
        fold_aucs: in the order of the folds.
        training_auc: of the epoch's batches as they were scored in training, mean over folds; None if unknown.
        training_loss: mean over batches and folds; None if unknown.
        seconds: wall time of the epoch.
        roc: true positive rates at `hpo.statistics.roc.ROC_GRID`, mean over folds; empty if not kept.
        scores: of each fold's validation part, in the order of the folds; empty if not kept.
    """

    epoch: int
    auc: float
    standard_error: float | None
    fold_aucs: tuple[float, ...]
    training_auc: float | None
    training_loss: float | None
    seconds: float
    roc: tuple[float, ...] = ()
    scores: tuple[FoldScores, ...] = field(default=(), repr=False, compare=False)

    def scalars(self) -> dict[str, float]:
        """Return the numbers that are known, by name: auc, standard_error, training_auc, training_loss, seconds."""
        names = ("auc", "standard_error", "training_auc", "training_loss", "seconds")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@dataclass(frozen=True)
class NetworkEpoch:
    """One epoch of a final network, which trains on all samples and has no validation AUC.

    Attributes:
        epoch: from 1.
        epochs: of its training.
    """

    epoch: int
    epochs: int

    def scalars(self) -> dict[str, float]:
        """Return its numbers: there are none."""
        return {}


def over_folds(epoch: int, folds: Sequence[FoldReport], seconds: float) -> EpochReport:
    """Combine the folds' reports of one epoch.

    Args:
        epoch: from 1.
        folds: one report per fold, in the order of the folds; at least one.
        seconds: wall time of the epoch over all folds.
    """
    # numpy's mean, not fmean: they differ in the last bit, and replays must be bit-equal.
    aucs = tuple(fold.auc for fold in folds)
    scores = tuple(fold.scores for fold in folds if fold.scores is not None)
    return EpochReport(
        epoch=epoch,
        auc=float(np.mean(aucs)),
        standard_error=math.sqrt(sum(fold.standard_error**2 for fold in folds)) / len(folds),
        fold_aucs=aucs,
        training_auc=float(np.mean([fold.training_auc for fold in folds])),
        training_loss=float(np.mean([fold.training_loss for fold in folds])),
        seconds=seconds,
        roc=tuple(np.mean([fold.roc for fold in folds], axis=0).tolist()),
        # A position is a fold, so with a gap there are none.
        scores=scores if len(scores) == len(folds) else (),
    )
