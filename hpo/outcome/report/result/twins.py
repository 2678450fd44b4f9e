"""Report what the result is without the test samples that have a twin in the development set."""

from __future__ import annotations

from hpo.outcome.judgement import Judgement, TwinResult
from hpo.outcome.report.document import Block, Notice, Table, Text
from hpo.statistics.intervals import Comparison, Estimate
from hpo.text import auc, bounds


def twin_sentences(judgement: Judgement, samples: int) -> list[str]:
    """State how many test samples have a twin in the development set, and the winner's result without them."""
    twins = judgement.twins
    if twins is None:
        return []
    what = [] if twins.threshold is None else [f"a near-duplicate (correlation of pixels at least {twins.threshold:g})"]
    known = f"{' or '.join([*what, 'a sample of their group'])} in the development set"
    if not twins.samples:
        return [f"No test sample has {known.replace('their', 'its')}."]
    sentences = [f"{twins.samples} of {samples} test samples ({twins.samples / samples:.0%}) have {known}."]
    if twins.without is None:
        return [*sentences, "The others are too few of one class for an AUC of their own."]
    winner, estimate = next(iter(twins.without.aucs.items()))
    differences = [
        f"{found.difference:+.3f} {bounds(found.low, found.high, signed=True)} to {judgement.shown(name)}"
        for name, found in twins.without.against.items()
    ]
    compared = f", its difference {' and '.join(differences)}" if differences else ""
    return [*sentences, f"Without them the test AUC of {judgement.shown(winner)} is {_cell(estimate)}{compared}."]


def twin_blocks(judgement: Judgement, twins: TwinResult, samples: int) -> list[Block]:
    """Report the result with and without the test samples that have a twin; a sentence alone if none has one."""
    blocks: list[Block] = [Notice(" ".join(twin_sentences(judgement, samples)))]
    if not twins.samples or twins.without is None:
        return blocks
    parts = [twins.without, *([] if twins.alone is None else [twins.alone])]
    header = ("test AUC", f"all {samples}", f"{twins.without.samples} without a twin", f"{twins.samples} with a twin")
    rows = [
        (judgement.shown(entry.name), _cell(entry.interval), *(_cell(part.aucs[entry.name]) for part in parts))
        for entry in judgement.entries
    ] + [
        (
            f"{judgement.shown(one.entry)} minus {judgement.shown(one.reference)}",
            _gap(one.decisive),
            *(_gap(part.against[one.reference]) for part in parts),
        )
        for one in judgement.against
    ]
    return [
        *blocks,
        Table(header[: 2 + len(parts)], tuple(rows)),
        Text(
            "A network may have learned the twin by heart, so the samples without one say more about new patients. The "
            "two parts are different samples, of which one may be easier: compare configurations within a part."
        ),
    ]


def _cell(estimate: Estimate) -> str:
    return f"{auc(estimate.value)} {bounds(estimate.low, estimate.high)}"


def _gap(found: Comparison) -> str:
    return f"{found.difference:+.3f} {bounds(found.low, found.high, signed=True)}"
