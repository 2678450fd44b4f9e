"""The sections of a report about the confirmation, the final result, and the ledger of openings."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.outcome.final import Final
from hpo.outcome.judgement import BaselineDifference, EntryResult, Judgement
from hpo.outcome.report.document import Block, Listing, Notice, Picture, Section, Table, Text
from hpo.outcome.report.result import figures
from hpo.outcome.standings import Confirmation, Difference, Standing, Verdict
from hpo.search.queries.ledger import Opening
from hpo.statistics.intervals import Comparison, Estimate
from hpo.study.catalogue import Dataset
from hpo.study.published import published
from hpo.text import auc, bounds, with_error


def result(dataset: Dataset, judgement: Judgement, final: Final, openings: Sequence[Opening] = ()) -> Section:
    """Test AUC of the winner and the references beside the published numbers, and what can be told apart.

    openings: of these test rows; more than one is said beside the result.
    """
    known, winner = published(dataset.name), judgement.entries[0]
    blocks: list[Block] = [Text(_how(winner.name, final)), *map(Notice, verdicts(judgement, dataset))]
    if len(openings) > 1:
        own = next((one for one in openings if one.row == final.result.ledger_row), openings[-1])
        told = f"The test rows were opened {len(openings)} times, for this result on {own.when}"
        blocks.append(Notice(f"{told}: {own.reason or 'the first opening'}."))
    blocks.append(Table(_AREAS, tuple(_areas(entry) for entry in judgement.entries)))
    blocks.append(
        Text(
            "Intervals are 95 %. **Seeds and rows**: how the configuration does when trained and tested anew "
            "(Obuchowski and Rockette, seeds as readers); verdicts rest on it unless it is shorter than over rows "
            "alone, which is chance. **Rows**: how these very networks do on other rows (DeLong; "
            "stratified bootstrap, BCa). The draw of training rows is in none of them. Accuracy, sensitivity (right "
            "among rows of label 1) and specificity (among label 0) are at thresholds by Youden's index on "
            f"{winner.threshold_rows}, the last column at .5 as MedMNIST does, each with the interval over seeds "
            "and rows."
        )
    )
    blocks.insert(-1, Table(_ACCURACIES, tuple(_accuracies(entry) for entry in judgement.entries)))
    if judgement.against:
        header = ("difference of test AUC", "seeds and rows", "p", "rows, DeLong", "p", "rows, bootstrap")
        blocks.append(Table(header, tuple(_difference(one) for one in judgement.against)))
    if known:
        table = Table(
            ("published, test AUC", "value", "source"), tuple((p.method, auc(p.auc), p.source) for p in known)
        )
        blocks += [table, Text("Published values are means of at least three runs, printed without a spread.")]
    blocks.append(
        Picture(
            "result",
            figures.forest(judgement, known),
            "Test AUC: mean with 95 % interval, over seeds and rows or the longer over rows alone; a tick for each "
            "network; diamonds are published values.",
        )
    )
    if final.labels.shape[1] == 1:
        caption = "ROC and precision-recall on the test rows: thin lines are networks, thick ones their mean."
        blocks.append(Picture("roc", figures.curves(final), caption))
    return Section("Result on test rows", tuple(blocks))


def _how(winner: str, final: Final) -> str:
    protocol = final.result.protocol
    rows = {
        "development": "all development rows, training and validation, as each configuration divides them",
        "training": "the official training rows, the epoch chosen on the official validation rows",
    }[protocol.rows]
    return (
        f"{winner} was chosen {final.result.entry(winner).chosen}. It and the references were trained on "
        f"{rows}, with {protocol.seeds} seed{'s' if protocol.seeds > 1 else ''} for {protocol.epochs} epochs; "
        f"then the {len(final.labels)} test rows were opened and each network scored once."
    )


def no_result(study: str, confirmed: bool) -> Section:
    """Where there is no final result yet: what is missing."""
    missing = f"`hpo finalize {study}`" if confirmed else f"`hpo confirm {study}`, then `hpo finalize {study}`"
    told = f"There is none yet: the test rows have not been opened for this study. It takes {missing}."
    return Section("Result on test rows", (Text(told),))


def verdicts(judgement: Judgement, dataset: Dataset) -> list[str]:
    """The result in sentences: against each reference, and against the published value of the same network."""
    winner = judgement.entries[0]
    told = [_verdict(one) for one in judgement.against]
    if dataset.published_auc is not None:
        estimate = winner.interval
        side = (
            "above"
            if estimate.low > dataset.published_auc
            else "below"
            if estimate.high < dataset.published_auc
            else ""
        )
        where = f"lies {side} it" if side else "holds it, so the two cannot be told apart"
        told.append(
            f"Published for this network: {auc(dataset.published_auc)}. The interval of {winner.name}, "
            f"{_interval(estimate)}, {where}."
        )
        if shrunk := dataset.shrunk(winner.input_size):
            told.append(f"Every network here was trained and tested on {shrunk}, the published ones on whole images.")
    return told


def confirmation(found: Confirmation) -> Section:
    """The candidates trained again on new folds with new seeds."""
    lead = (
        f"The best {sum(not one.is_reference for one in found.standings)} distinct configurations and the references "
        f"were trained again, unpruned, with new seeds and, unless the rows are official, on new folds: {found.whole} "
        f"of {found.repeats} repeats are whole. The rule was written before the search: {found.rule}."
    )
    blocks: list[Block] = [Text(lead), Notice(_winner(found))]
    header = ("candidate", "in the search", "confirmed", "95 % interval", "repeats", "flattered by", "note")
    blocks.append(Table(header, tuple(_standing(one) for one in found.standings)))
    pairs = [
        (one.candidate, f"{d.to}", f"{d.difference:+.3f}", bounds(d.low, d.high, signed=True), d.verdict)
        for one in found.standings
        for d in one.differences
    ]
    if pairs:
        blocks.append(Table(("candidate", "minus", "difference", "95 % interval", "verdict"), tuple(pairs)))
    if any(one.mean is not None for one in found.standings):
        caption = "What the search said of each candidate, and what its confirmation says."
        blocks.append(Picture("confirmation", figures.optimism(found), caption))
    blocks.append(Listing(tuple(found.notes)))
    return Section("Confirmation", tuple(blocks))


def ablation(found: Confirmation) -> Section:
    """The winner taken back to each reference, one setting at a time."""
    winner = next(one for one in found.standings if one.is_reference)
    lead = (
        f"{winner.candidate} was trained again with each setting in which it differs from a reference set as there, "
        f"all else as it was, and so were the references: {found.whole} of {found.repeats} repeats are whole, on the "
        f"same folds and seeds for all. {winner.candidate} itself: {with_error(winner.mean, winner.standard_error)}."
    )
    changes = [(one, one.differences[0]) for one in found.standings if not one.is_reference and one.differences]
    rows = tuple(
        (
            one.candidate,
            with_error(one.mean, one.standard_error),
            f"{made.difference:+.3f}",
            bounds(made.low, made.high, signed=True),
            made.verdict,
        )
        for one, made in changes
    )
    blocks: list[Block] = [Text(lead)]
    if rows:
        blocks.append(Listing((*_effects_of([(one.candidate, made) for one, made in changes]), found.notes[0])))
        header = ("with", "AUC", "minus the winner", "95 % interval", "verdict")
        caption = "What each change does to the winner's validation AUC, with 95 % intervals."
        blocks += [Table(header, rows), Picture("ablation", figures.changes(found), caption)]
    return Section("Ablation", tuple(blocks))


def _effects_of(changes: Sequence[tuple[str, Difference]]) -> list[str]:
    """What taking each setting back does, in sentences."""
    told = []
    for verdict in (Verdict.WORSE, Verdict.BETTER):
        apart = [f"`{name}` {made.difference:+.3f}" for name, made in changes if made.verdict == verdict]
        if apart:
            told.append(f"{verdict.capitalize()} than the winner: {', '.join(apart)}.")
    open_ = sum(made.verdict == Verdict.INDISTINGUISHABLE for _, made in changes)
    told.append(
        f"{open_} of {len(changes)} cannot be told apart from the winner. At 95 % each, about one of twenty changes "
        "that do nothing is told apart by chance."
    )
    return told


def ledger(dataset: Dataset, openings: Sequence[Opening]) -> Section:
    """Every opening of the test rows of this dataset in this database."""
    if not openings:
        told = f"The test rows of {dataset.official_name} have never been opened through this database."
        return Section("Ledger of test rows", (Text(told),))
    rows = tuple(
        (str(one.row), one.when, one.study, one.code_version[:12], one.reason or "first opening") for one in openings
    )
    blocks: list[Block] = [Table(("row", "time", "study", "code", "why"), rows)]
    if len(openings) > 1:
        blocks.append(
            Notice(f"The test rows were opened {len(openings)} times: results after the first are weaker evidence.")
        )
    return Section("Ledger of test rows", tuple(blocks))


_AREAS = ("configuration", "test AUC, mean", "spread over seeds", "seeds and rows", "rows, DeLong", "rows, bootstrap")
_ACCURACIES = ("configuration", "AUC of each network", "accuracy", "sensitivity", "specificity", "accuracy at .5")


def _areas(entry: EntryResult) -> tuple[str, ...]:
    return (
        entry.name,
        auc(entry.mean),
        "-" if entry.spread is None else auc(entry.spread),
        "-" if entry.over_all is None else _interval(entry.over_all),
        _interval(entry.delong),
        _interval(entry.bootstrap),
    )


def _accuracies(entry: EntryResult) -> tuple[str, ...]:
    return (
        entry.name,
        ", ".join(auc(one.value) for one in entry.aucs),
        _with_interval(entry.accuracy),
        _with_interval(entry.sensitivity),
        _with_interval(entry.specificity),
        _with_interval(entry.accuracy_at_half),
    )


def _with_interval(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{auc(estimate.value)} {_interval(estimate)}"


def _difference(one: BaselineDifference) -> tuple[str, ...]:
    over = ("-", "-") if one.over_all is None else (_compared(one.over_all), _p(one.over_all))
    name = f"{one.entry} - {one.reference}"
    return (name, *over, _compared(one.delong), _p(one.delong), _compared(one.bootstrap))


def _verdict(one: BaselineDifference) -> str:
    found = one.decisive
    if not found.is_distinguishable:
        way = "cannot be told apart from"
    else:
        way = "is better than" if found.difference > 0 else "is worse than"
    return f"On the test rows {one.entry} {way} {one.reference}: difference {_compared(found)}, p = {_p(found)}."


def _winner(found: Confirmation) -> str:
    first = next((one for one in found.standings if one.candidate == (found.winner or found.leader)), None)
    if first is None:
        return "No candidate has finished every repeat, so there is no winner."
    told = (
        f"{first.candidate} {'won' if found.winner else 'leads'} with {with_error(first.mean, first.standard_error)}."
    )
    apart = [d.to for d in first.differences if d.verdict == Verdict.INDISTINGUISHABLE]
    return f"{told} It cannot be told apart from {', '.join(apart)}." if apart else told


def _standing(one: Standing) -> tuple[str, ...]:
    return (
        f"{one.candidate}{' (reference)' if one.is_reference else ''}",
        with_error(one.search_auc, one.search_error),
        with_error(one.mean, one.standard_error),
        bounds(one.low, one.high),
        str(one.repeats),
        "-" if one.flattered is None else f"{one.flattered:+.3f}",
        one.note or "",
    )


def _interval(estimate: Estimate) -> str:
    return bounds(estimate.low, estimate.high)


def _compared(found: Comparison) -> str:
    return f"{found.difference:+.3f} {bounds(found.low, found.high, signed=True)}"


def _p(found: Comparison) -> str:
    return "-" if found.p != found.p else f"{found.p:.2g}"
