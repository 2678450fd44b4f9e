"""Build the report's sections on confirmation, final result and test-set access log."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.outcome.final import Final
from hpo.outcome.judgement import BaselineDifference, EntryResult, Judgement
from hpo.outcome.leaderboard import Confirmation, Difference, LeaderboardRow, Verdict
from hpo.outcome.report.document import Block, Listing, Notice, Picture, Section, Table, Text, code
from hpo.outcome.report.result import figures
from hpo.outcome.report.result.twins import twin_blocks
from hpo.search.queries.ledger import Opening
from hpo.statistics.intervals import Comparison, Estimate
from hpo.study.baselines import shown_name
from hpo.study.catalogue import Dataset
from hpo.study.published import published
from hpo.text import auc, bounds, shell, with_error


def result(dataset: Dataset, judgement: Judgement, final: Final, openings: Sequence[Opening] = ()) -> Section:
    """Report the test AUC of winner and baselines with the published values, and which differences are significant.

    Args:
        openings: accesses to this test set; shown beside the result if there is more than one.
    """
    known, winner = published(dataset.name), judgement.entries[0]
    blocks: list[Block] = [Text(_how(winner.name, final)), *map(Notice, verdicts(judgement, dataset))]
    if len(openings) > 1:
        own = next((one for one in openings if one.row == final.result.ledger_row), openings[-1])
        accesses = f"The test set was opened {len(openings)} times, for this result on {own.when}"
        blocks.append(Notice(f"{accesses}: {own.reason or 'the first access'}."))
    blocks.append(Table(_AREAS, tuple(_areas(entry) for entry in judgement.entries)))
    # Results of hpo 0.1 call samples rows.
    chosen_on = winner.threshold_rows.replace(" rows", " samples")
    blocks.append(
        Text(
            "Intervals are 95 %. **Seeds and samples**: the configuration over new seeds and new test samples "
            "(Obuchowski and Rockette, seeds as readers); verdicts use it unless by chance it is shorter than over "
            "samples alone. **Samples**: these fixed networks over new test samples (DeLong; stratified bootstrap, "
            "BCa). No interval includes the variance from drawing the training set. Accuracy, sensitivity (accuracy "
            "on label 1) and specificity (on label 0) use thresholds chosen by Youden's index on "
            f"{chosen_on}; the last column uses .5, as MedMNIST does. Each has its interval over seeds "
            "and test samples."
        )
    )
    blocks.insert(-1, Table(_ACCURACIES, tuple(_accuracies(entry) for entry in judgement.entries)))
    if judgement.against:
        header = ("difference of test AUC", "seeds and samples", "p", "samples, DeLong", "p", "samples, bootstrap")
        blocks.append(Table(header, tuple(_difference(one) for one in judgement.against)))
    if known:
        table = Table(
            ("published, test AUC", "value", "source"), tuple((p.method, auc(p.auc), p.source) for p in known)
        )
        blocks += [table, Text("Published values are means of at least three runs, reported without a spread.")]
    blocks.append(
        Picture(
            "result",
            figures.forest(judgement, known),
            "Test AUC: mean with 95 % interval over seeds and test samples, or over test samples alone if longer; "
            "ticks are networks, diamonds published values.",
        )
    )
    if judgement.twins is not None:
        blocks += twin_blocks(judgement, judgement.twins, len(final.labels))
    if final.labels.shape[1] == 1:
        caption = "ROC and precision-recall on the test set: thin lines are networks, thick lines their mean."
        blocks.append(Picture("roc", figures.curves(final), caption))
    return Section("Result on the test set", tuple(blocks))


def _how(winner: str, final: Final) -> str:
    protocol = final.result.protocol
    rows = {
        "development": "the whole development set (training and validation), divided as each configuration says",
        "training": "the official training set, with the epoch chosen on the official validation set",
    }[protocol.rows]
    return (
        f"{shown_name(winner)} was chosen {final.result.entry(winner).chosen}. It and the others below were trained on "
        f"{rows}, with {protocol.seeds} seed{'s' if protocol.seeds > 1 else ''} for {_epochs(final)} epochs; "
        f"then the test set ({len(final.labels)} samples) was opened and each network scored once."
    )


def _epochs(final: Final) -> str:
    """Return the epochs of the networks; baselines can have others than what the search tuned."""
    result = final.result
    own = {result.epochs(entry.name) for entry in result.entries if entry.is_reference} - {result.protocol.epochs}
    return f"{result.protocol.epochs}{''.join(f' (baselines {epochs})' for epochs in sorted(own))}"


def no_result(study: str, confirmed: bool) -> Section:
    """Report that there is no final result yet, and which commands are missing."""
    named = shell(study)
    steps = [f"hpo confirm {named}"] * (not confirmed) + [f"hpo finalize {named}"]
    missing = ", then ".join(map(code, steps))
    absent = f"No result yet: the test set has not been opened for this study. Run {missing}."
    return Section("Result on the test set", (Text(absent),))


def verdicts(judgement: Judgement, dataset: Dataset) -> list[str]:
    """State the result in sentences: against each baseline, and against the published AUC of the same network."""
    winner = judgement.entries[0]
    sentences = [_verdict(one) for one in judgement.against]
    if dataset.published_auc is not None:
        estimate = winner.interval
        side = (
            "above"
            if estimate.low > dataset.published_auc
            else "below"
            if estimate.high < dataset.published_auc
            else ""
        )
        where = f"lies {side} it" if side else "contains it: the two are indistinguishable"
        sentences.append(
            f"Published test AUC of this network: {auc(dataset.published_auc)}. The interval of "
            f"{shown_name(winner.name)}, {_interval(estimate)}, {where}."
        )
        if shrunk := dataset.shrunk(winner.input_size):
            sentences.append(f"All networks here were trained and tested on {shrunk}, the published ones at full size.")
    return sentences


def confirmation(found: Confirmation) -> Section:
    """Report the candidates retrained with new seeds on new folds."""
    lead = (
        f"The best {sum(not one.is_reference for one in found.leaderboard)} distinct configurations and the baselines "
        f"were retrained, unpruned, with new seeds and, unless the split is official, on new folds: {found.whole} "
        f"of {found.repeats} repeats are complete. The rule was fixed before the search: {found.rule}."
    )
    blocks: list[Block] = [Text(lead), Notice(_winner(found))]
    header = ("candidate", "in the search", "confirmed", "95 % interval", "repeats", "optimism", "note")
    blocks.append(Table(header, tuple(_leaderboard_row(one) for one in found.leaderboard)))
    pairs = [
        (
            shown_name(one.candidate),
            shown_name(d.to),
            f"{d.difference:+.3f}",
            bounds(d.low, d.high, signed=True),
            d.verdict.text,
        )
        for one in found.leaderboard
        for d in one.differences
    ]
    if pairs:
        blocks.append(Table(("candidate", "minus", "difference", "95 % interval", "verdict"), tuple(pairs)))
    if any(one.mean is not None for one in found.leaderboard):
        caption = "AUC of each candidate in the search and in its confirmation."
        blocks.append(Picture("confirmation", figures.optimism(found), caption))
    blocks.append(Listing(tuple(found.notes)))
    return Section("Confirmation", tuple(blocks))


def ablation(found: Confirmation) -> Section:
    """Report the winner with one setting at a time as in each baseline."""
    winner = next(one for one in found.leaderboard if one.is_reference)
    name = shown_name(winner.candidate)
    lead = (
        f"{name} was retrained once for each setting in which it differs from a baseline, with only that setting as in "
        f"the baseline; the baselines were retrained too. {found.whole} of {found.repeats} repeats are complete, with "
        f"the same folds and seeds for all. {name} itself: {with_error(winner.mean, winner.standard_error)}."
    )
    changes = [(one, one.differences[0]) for one in found.leaderboard if not one.is_reference and one.differences]
    rows = tuple(
        (
            shown_name(one.candidate),
            with_error(one.mean, one.standard_error),
            f"{made.difference:+.3f}",
            bounds(made.low, made.high, signed=True),
            made.verdict.text,
        )
        for one, made in changes
    )
    blocks: list[Block] = [Text(lead)]
    if rows:
        blocks.append(
            Listing((*_effects_of([(shown_name(one.candidate), made) for one, made in changes]), found.notes[0]))
        )
        header = ("with", "AUC", "minus the winner", "95 % interval", "verdict")
        caption = "Effect of each change on the winner's validation AUC, with 95 % intervals."
        blocks += [Table(header, rows), Picture("ablation", figures.changes(found), caption)]
    return Section("Ablation", tuple(blocks))


def _effects_of(changes: Sequence[tuple[str, Difference]]) -> list[str]:
    """State the effect of each change in sentences."""
    sentences = []
    for verdict in (Verdict.WORSE, Verdict.BETTER):
        apart = [f"`{name}` {made.difference:+.3f}" for name, made in changes if made.verdict == verdict]
        if apart:
            sentences.append(f"{verdict.capitalize()} than the winner: {', '.join(apart)}.")
    open_ = sum(made.verdict == Verdict.INDISTINGUISHABLE for _, made in changes)
    sentences.append(
        f"{open_} of {len(changes)} are indistinguishable from the winner. At 95 % each, about one in twenty changes "
        "without effect appears significant by chance."
    )
    return sentences


def ledger(dataset: Dataset, openings: Sequence[Opening]) -> Section:
    """Report every access to the test set of this dataset that this database records."""
    if not openings:
        unopened = f"The test set of {dataset.official_name} has never been opened through this database."
        return Section("Test-set access log", (Text(unopened),))
    rows = tuple(
        (str(one.row), one.when, one.study, one.code_version[:12], one.reason or "first access") for one in openings
    )
    blocks: list[Block] = [Table(("row", "time", "study", "code", "reason"), rows)]
    if len(openings) > 1:
        blocks.append(
            Notice(f"The test set was opened {len(openings)} times: results after the first are weaker evidence.")
        )
    return Section("Test-set access log", tuple(blocks))


_AREAS = (
    "configuration",
    "test AUC, mean",
    "spread over seeds",
    "seeds and samples",
    "samples, DeLong",
    "samples, bootstrap",
)
_ACCURACIES = ("configuration", "AUC of each network", "accuracy", "sensitivity", "specificity", "accuracy at .5")


def _areas(entry: EntryResult) -> tuple[str, ...]:
    return (
        shown_name(entry.name),
        auc(entry.mean),
        "-" if entry.spread is None else auc(entry.spread),
        "-" if entry.over_all is None else _interval(entry.over_all),
        _interval(entry.delong),
        _interval(entry.bootstrap),
    )


def _accuracies(entry: EntryResult) -> tuple[str, ...]:
    return (
        shown_name(entry.name),
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
    name = f"{shown_name(one.entry)} - {shown_name(one.reference)}"
    return (name, *over, _compared(one.delong), _p(one.delong), _compared(one.bootstrap))


def _verdict(one: BaselineDifference) -> str:
    found = one.decisive
    if not found.is_distinguishable:
        way = "is indistinguishable from"
    else:
        way = "is better than" if found.difference > 0 else "is worse than"
    entry, baseline = shown_name(one.entry), shown_name(one.reference)
    return f"On the test set {entry} {way} {baseline}: difference {_compared(found)}, p = {_p(found)}."


def _winner(found: Confirmation) -> str:
    first = next((one for one in found.leaderboard if one.candidate == (found.winner or found.leader)), None)
    if first is None:
        return "No candidate has finished every repeat, so there is no winner."
    name, how = shown_name(first.candidate), "won" if found.winner else "leads"
    verdict = f"{name} {how} with {with_error(first.mean, first.standard_error)}."
    apart = [shown_name(d.to) for d in first.differences if d.verdict == Verdict.INDISTINGUISHABLE]
    return f"{verdict} It is indistinguishable from {', '.join(apart)}." if apart else verdict


def _leaderboard_row(one: LeaderboardRow) -> tuple[str, ...]:
    return (
        f"{shown_name(one.candidate)}{' (baseline)' if one.is_reference else ''}",
        with_error(one.search_auc, one.search_error),
        with_error(one.mean, one.standard_error),
        bounds(one.low, one.high),
        str(one.repeats),
        "-" if one.optimism is None else f"{one.optimism:+.3f}",
        one.note or "",
    )


def _interval(estimate: Estimate) -> str:
    return bounds(estimate.low, estimate.high)


def _compared(found: Comparison) -> str:
    return f"{found.difference:+.3f} {bounds(found.low, found.high, signed=True)}"


def _p(found: Comparison) -> str:
    return "-" if found.p != found.p else f"{found.p:.2g}"
