"""Build the report's section on selection bias, from the out-of-fold scores of the search's trials."""

from __future__ import annotations

from functools import partial

import numpy as np

from hpo.outcome.report.document import Block, Notice, Picture, Section, Table, Text
from hpo.outcome.report.search import figures
from hpo.outcome.report.search.evidence import SearchEvidence
from hpo.outcome.selection import UNCORRECTED, ScoresJudgement, judge_scores
from hpo.search.queries.scores import OutOfFold
from hpo.search.queries.trial_rows import CorrectedBest
from hpo.statistics.calibration import Calibration, calibration
from hpo.study.baselines import shown_name
from hpo.text import auc, bounds, counted


def selection_bias(search: SearchEvidence, scores: OutOfFold, seed: int = 0) -> Section:
    """Report how much of the best trial's AUC is selection bias, and what its scores are worth as probabilities.

    Args:
        scores: of at least two trials that are no baselines.
        seed: of the resamples.
    """
    judgement = judge_scores(scores, search.smoothed, seed)
    if judgement.best is None:
        blocks: list[Block] = [Text(_uncorrected(judgement))]
    else:
        blocks = [Text(_corrected(judgement.best)), Text(_what_it_corrects(judgement.best))]
    blocks += _differences(search, judgement)
    blocks += _ensemble(judgement)
    blocks += _calibration(search, scores, judgement.number)
    return Section("How much of the best trial's AUC is selection bias", tuple(blocks))


def _corrected(best: CorrectedBest) -> str:
    return (
        f"Trial {best.number} is the best of {best.chosen_from} trials that the sampler proposed, with an out-of-fold "
        f"AUC of {auc(best.auc)}. Corrected for having been selected it is {auc(best.corrected)}, 95 % interval "
        f"{bounds(best.low, best.high)}. So {best.optimism:+.3f} of its AUC is selection bias."
    )


def _uncorrected(judgement: ScoresJudgement) -> str:
    return (
        f"Trial {judgement.number} is the best of {judgement.chosen_from} trials that the sampler proposed. "
        f"Its AUC is {UNCORRECTED}"
    )


def _what_it_corrects(best: CorrectedBest) -> str:
    missing = f" Left out: {counted(best.missing, 'complete trial')} without stored scores." if best.missing else ""
    return (
        f"The selection was repeated on {best.resamples} bootstrap samples of the validation samples. Each time the "
        "selected trial was scored on the samples that had not been drawn (BBC-CV, Tsamardinos et al. 2018); the "
        "interval is conservative. This removes the luck of the samples. The luck of a seed remains: these networks "
        "may be better than what the configuration reaches when it is trained again, which a confirmation tells."
        f"{missing}"
    )


def _differences(search: SearchEvidence, judgement: ScoresJudgement) -> list[Block]:
    if not judgement.paired:
        return []
    corrected = {one.baseline: one for one in judgement.best.differences} if judgement.best is not None else {}
    rows = []
    for paired in judgement.paired:
        found, p = paired.comparison, paired.comparison.p
        ours = corrected.get(paired.baseline) if paired.trial == judgement.number else None
        rows.append(
            (
                f"trial {paired.trial}",
                shown_name(paired.baseline, search.spec.budget.epochs),
                f"{found.difference:+.3f} {bounds(found.low, found.high, signed=True)}",
                "-" if np.isnan(p) else f"{p:.2g}",
                "-" if ours is None else f"{ours.corrected:+.3f} {bounds(ours.low, ours.high, signed=True)}",
            )
        )
    header = ("trial", "minus", "difference, 95 % interval", "p", "corrected difference, 95 % interval")
    lead = (
        "The best trials against the baselines on the same validation samples, by DeLong's paired test within folds. "
        "It takes the networks as they are, and the trials as if they had not been selected: where all configurations "
        "are equally good it calls the best one better far too often."
        f"{' The last column corrects for that.' if corrected else ''}"
    )
    return [Text(lead), Table(header, tuple(rows))]


def _ensemble(judgement: ScoresJudgement) -> list[Block]:
    together, gain = judgement.ensemble_auc, judgement.ensemble_gain
    if together is None or gain is None:
        return []
    names = ", ".join(str(number) for number in judgement.ensemble)
    sentence = (
        f"A remark on ensembles: the ranks of the best {len(judgement.ensemble)} trials ({names}), averaged within "
        f"folds, have an out-of-fold AUC of {auc(together.naive)}, corrected {auc(together.corrected)} "
        f"{bounds(together.low, together.high)}; that is {gain.corrected:+.3f} "
        f"{bounds(gain.low, gain.high, signed=True)} from the best trial alone, at {len(judgement.ensemble)} times its "
        "cost."
    )
    return [Text(sentence)]


def _calibration(search: SearchEvidence, scores: OutOfFold, best: int) -> list[Block]:
    epochs = search.spec.budget.epochs
    named = {number: shown_name(name, epochs) for name, number in scores.baselines.items()} | {best: f"trial {best}"}
    found = {label: _calibrated(scores, number) for number, label in named.items()}
    rows = tuple(
        (
            label,
            _shown(one.raw.brier),
            "-" if one.scaled is None else _shown(one.scaled.brier),
            _shown(one.constant_brier),
        )
        for label, one in found.items()
    )
    header = ("which", "Brier score", "after Platt scaling", "of the share of positives alone")
    blocks: list[Block] = [
        Table(header, rows),
        Picture(
            "reliability",
            partial(figures.reliability, found),
            "Predicted probability against the share of positives among validation samples with such predictions, in "
            "ten bins of equally many; solid: sigmoid of the logit, dotted: after Platt scaling within folds. On the "
            "diagonal predictions are probabilities.",
        ),
    ]
    losses = {trial.row.number: trial.config.get("loss") for trial in search.trials}
    ranked = [label for number, label in named.items() if losses.get(number) not in (None, "cross_entropy")]
    if ranked:
        blocks.append(
            Notice(
                f"The scores of {' and '.join(ranked)} are not probabilities: they were trained with a loss that "
                "optimises the order of scores, such as AUCM. Their Brier score before scaling says nothing about the "
                "ranking."
            )
        )
    return blocks


def _calibrated(scores: OutOfFold, number: int) -> Calibration:
    place = scores.numbers.index(number)
    return calibration([fold.scores[place] for fold in scores.folds], [fold.labels for fold in scores.folds])


def _shown(brier: float) -> str:
    return f"{brier:.3f}".removeprefix("0")
