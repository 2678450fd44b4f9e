"""Compare loss families: the best tuned AUC loss against the best tuned cross-entropy, trained equally long."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from hpo.statistics.intervals import Comparison
from hpo.study.choices import AUCM, CROSS_ENTROPY, loss_family
from hpo.study.plan import Candidate
from hpo.text import bounds, found_four_times_in_five

_TITLES = {AUCM: "Deep AUC Maximization", CROSS_ENTROPY: "cross-entropy"}


class Answer(StrEnum):
    """Whether Deep AUC Maximization beats cross-entropy; `open` if one of them has no tuned configuration."""

    YES = "yes"
    NO = "no, cross-entropy is better"
    INDISTINGUISHABLE = "indistinguishable"
    OPEN = "not asked"


@dataclass(frozen=True)
class FamilyComparison:
    """The best tuned configuration that maximises the AUC (AUCM and its relatives) and the best of cross-entropy.

    Attributes:
        aucm, cross_entropy: their names; None if there is none. Baselines are not tuned.
        difference: AUC of the first minus that of the second; None if one is missing, or there is no spread.
    """

    aucm: str | None
    cross_entropy: str | None
    difference: Comparison | None

    @property
    def answer(self) -> Answer:
        """Return what the interval of the difference says."""
        if self.aucm is None or self.cross_entropy is None:
            return Answer.OPEN
        if self.difference is None or not self.difference.is_distinguishable:
            return Answer.INDISTINGUISHABLE
        return Answer.YES if self.difference.difference > 0 else Answer.NO


def best_of_families(tuned: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Map each loss family to the first name, given (loss, name) of tuned configurations, best first."""
    best: dict[str, str] = {}
    for loss, name in tuned:
        best.setdefault(loss_family(loss), name)
    return best


def losses_of(candidates: Iterable[Candidate]) -> list[tuple[str, str]]:
    """Return (loss, name) of the candidates that a search tuned: no baselines, and no changes of an ablation."""
    return [(one.config.loss, one.name) for one in candidates if not one.is_reference and one.trial is not None]


def compare_families(
    tuned: Iterable[tuple[str, str]], difference: Callable[[str, str], Comparison | None]
) -> FamilyComparison:
    """Compare the best that maximises the AUC with the best of cross-entropy.

    Args:
        tuned: (loss, name) of tuned configurations, best first.
        difference: compares two of these names, first minus second.
    """
    best = best_of_families(tuned)
    first, second = best.get(AUCM), best.get(CROSS_ENTROPY)
    return FamilyComparison(
        first, second, difference(first, second) if first is not None and second is not None else None
    )


def answer_sentences(tested: FamilyComparison | None, confirmed: FamilyComparison | None) -> str:
    """Answer whether Deep AUC Maximization beats cross-entropy, both tuned: by the test set, else by the confirmation.

    Args:
        tested: None if the test set is sealed.
        confirmed: None without a confirmation.
    """
    for found, where in ((tested, "on the test set"), (confirmed, "in the confirmation")):
        if found is not None and found.answer is not Answer.OPEN:
            return _sentences(found, where)
    found = tested or confirmed
    if found is None:
        return "Whether Deep AUC Maximization beats cross-entropy here is not known yet: no confirmation is complete."
    missing = [
        _TITLES[family] for family, name in ((AUCM, found.aucm), (CROSS_ENTROPY, found.cross_entropy)) if not name
    ]
    return (
        "Whether Deep AUC Maximization beats cross-entropy here, both tuned, was not asked: no tuned configuration of "
        f"{' or '.join(missing)} was {'confirmed' if tested is None else 'confirmed and tested'}."
    )


def _sentences(found: FamilyComparison, where: str) -> str:
    made = found.difference
    tuned = "both tuned in one search and trained equally long"
    says = {
        Answer.YES: f"Yes: {where} Deep AUC Maximization beats cross-entropy here, {tuned}",
        Answer.NO: f"No: {where} cross-entropy is better than Deep AUC Maximization here, {tuned}",
        Answer.INDISTINGUISHABLE: f"{where[0].upper()}{where[1:]} Deep AUC Maximization and cross-entropy, {tuned}, "
        "are indistinguishable here",
    }[found.answer]
    pair = f"{found.aucm} (Deep AUC Maximization) minus {found.cross_entropy} (cross-entropy)"
    if made is None:
        return f"{says}: {pair} has no spread, since each was trained once."
    amount = f"{made.difference:+.3f} {bounds(made.low, made.high, signed=True)}"
    sentence = f"{says}: {pair} is {amount} of AUC."
    return sentence if made.is_distinguishable else f"{sentence} {found_four_times_in_five(made.detectable)}".rstrip()
