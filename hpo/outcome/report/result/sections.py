"""Build the report's sections on the final result and the test-set access log."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hpo.outcome.access_log import Access, access_key
from hpo.outcome.final import Final
from hpo.outcome.judgement import BaselineDifference, EntryResult, Judgement
from hpo.outcome.report.document import Block, Notice, Picture, Section, Table, Text, code
from hpo.outcome.report.result import figures
from hpo.outcome.report.result.twins import twin_blocks
from hpo.outcome.untested import UntestedResult
from hpo.search.queries.ledger import Opening
from hpo.statistics.intervals import Comparison, Estimate
from hpo.study.baselines import shown_name
from hpo.study.catalogue import Dataset
from hpo.study.co_training import names_of_others
from hpo.study.published import PUBLISHED_NETWORK, Published, published
from hpo.text import auc, bounds, found_four_times_in_five, shell


def result(
    dataset: Dataset,
    judgement: Judgement,
    final: Final,
    openings: Sequence[Opening] = (),
    elsewhere: Sequence[Access] = (),
) -> Section:
    """Report the test AUC of winner and baselines with the published values, and which differences are significant.

    Args:
        openings: accesses to this test set; shown beside the result if there is more than one.
        elsewhere: accesses through other databases.
    """
    known = published(dataset.name)
    blocks: list[Block] = [
        Text(_how(dataset, judgement, final)),
        *map(Notice, verdicts(judgement, dataset)),
        *_accesses(final, openings, elsewhere),
        Table(_AREAS, tuple(_areas(judgement, entry) for entry in judgement.entries)),
        Table(_ACCURACIES, tuple(_accuracies(judgement, entry) for entry in judgement.entries)),
        Text(_about_intervals(judgement.entries[0], final)),
        *_differences(judgement),
        *_published(known),
        Picture(
            "result",
            partial(figures.forest, judgement, known),
            "Test AUC: mean with 95 % interval over seeds and test samples, or over test samples alone if longer; "
            "ticks are networks, diamonds published values.",
        ),
    ]
    if judgement.twins is not None:
        blocks += twin_blocks(judgement, judgement.twins, len(final.labels))
    if final.labels.shape[1] == 1:
        caption = "ROC and precision-recall on the test set: thin lines are networks, thick lines their mean."
        blocks.append(Picture("roc", partial(figures.curves, final), caption))
    return Section("Result on the test set", tuple(blocks))


def _accesses(final: Final, openings: Sequence[Opening], elsewhere: Sequence[Access]) -> list[Block]:
    """Return what there is to say of other accesses to the test set."""
    blocks: list[Block] = []
    if len(openings) > 1:
        own = _own(final, openings)
        accesses = f"The test set was opened {len(openings)} times, for this result on {own.when}"
        blocks.append(Notice(f"{accesses}: {own.reason or 'the first access'}."))
    if elsewhere:
        blocks.append(Notice(_elsewhere(elsewhere)))
    return blocks


def _own(final: Final, openings: Sequence[Opening]) -> Opening:
    """Return the access that a result is of; one that does not say has the row, which another database has anew."""
    result = final.result
    of_networks = [one for one in openings if access_key(one.configuration) == result.access]
    of_row = [one for one in openings if (one.row, one.study) == (result.ledger_row, result.study)]
    return [*openings, *of_row, *of_networks][-1]


def _about_intervals(winner: EntryResult, final: Final) -> str:
    # Results of hpo 0.1 call samples rows.
    chosen_on = winner.threshold_rows.replace(" rows", " samples")
    return (
        "Intervals are 95 %. **Seeds and samples**: the configuration over new seeds and new test samples "
        "(Obuchowski and Rockette, seeds as readers); verdicts use it unless by chance it is shorter than over "
        "samples alone. **Samples**: these fixed networks over new test samples (DeLong; stratified bootstrap, "
        "BCa). No interval includes the variance from drawing the training set. Accuracy, sensitivity (accuracy "
        "on label 1) and specificity (on label 0) use thresholds chosen by Youden's index on "
        f"{chosen_on}; the last column uses .5, as MedMNIST does. Each has its interval over seeds "
        f"and test samples, or over test samples alone if longer.{_of_one_sample(winner, final)}"
    )


def _differences(judgement: Judgement) -> list[Block]:
    """Return the table of differences to the winner; none if it is compared with nothing."""
    if not judgement.against:
        return []
    header = ("difference of test AUC", "seeds and samples", "p", "samples, DeLong", "p", "samples, bootstrap")
    blocks: list[Block] = [Table(header, tuple(_difference(judgement, one) for one in judgement.against))]
    if len(judgement.against) > 1:
        blocks.append(
            Text(
                f"Intervals of differences are 95 % for all {len(judgement.against)} baselines together, and "
                "p-values are adjusted for their number (Sidak 1967)."
            )
        )
    return blocks


def _published(known: Sequence[Published]) -> list[Block]:
    if not known:
        return []
    table = Table(("published, test AUC", "value", "source"), tuple((p.method, auc(p.auc), p.source) for p in known))
    return [table, Text("Published values are means of at least three runs, reported without a spread.")]


def _of_one_sample(winner: EntryResult, final: Final) -> str:
    if final.labels.shape[1] > 1 or (winner.sensitivity is not None and winner.specificity is not None):
        return ""
    which = "positive, so there is no sensitivity" if winner.sensitivity is None else "negative, so no specificity"
    return f" The test set has a single {which}, and no interval here tells much."


def _how(dataset: Dataset, judgement: Judgement, final: Final) -> str:
    protocol, winner = final.result.protocol, judgement.entries[0].name
    rows = {
        "development": "the whole development set (training and validation), divided as each configuration says",
        "training": "the official training set, with the epoch chosen on the official validation set",
    }[protocol.rows]
    if protocol.rows == "development" and all(one.config.get("resplit") == "official" for one in final.result.entries):
        rows = (
            f"the official training set ({dataset.rows[0]:,} samples), with the epoch chosen on the official "
            f"validation set ({dataset.rows[1]:,}), as every configuration says (`resplit = official`)"
        )
    return (
        f"{judgement.shown(winner)} was chosen {final.result.entry(winner).chosen}. It and the others were trained "
        f"on {rows}, with {protocol.seeds} seed{'s' if protocol.seeds > 1 else ''} for {_epochs(final)} epochs; "
        f"then the test set ({len(final.labels)} samples) was opened and each network scored once."
        f"{_together(dataset, judgement, final)}"
    )


def _together(dataset: Dataset, judgement: Judgement, final: Final) -> str:
    """Return a sentence on what was trained on other datasets too, which a comparison has to take into account."""
    named = [
        f"{judgement.shown(entry.name)} on {others}"
        for entry in final.result.entries
        if (others := names_of_others(entry.config.get("co_training"), dataset))
    ]
    samples = "training and validation samples of other datasets (`co_training`)"
    return f" In their first epochs networks were also trained on {samples}: {'; '.join(named)}." if named else ""


def _epochs(final: Final) -> str:
    """Return the epochs of the networks; baselines can have others than what the search tuned."""
    result = final.result
    own = {result.epochs(entry.name) for entry in result.entries if entry.is_reference} - {result.protocol.epochs}
    return f"{result.protocol.epochs}{''.join(f' (baselines {epochs})' for epochs in sorted(own))}"


def no_result(
    study: str,
    confirmed: bool,
    dataset: Dataset,
    untested: UntestedResult | None = None,
    *,
    is_official: bool = False,
    opening: Opening | None = None,
) -> Section:
    """Report that there is no final result, and which commands are missing, or what stands in its place.

    Args:
        untested: of data without a test set, once the final networks are trained.
        is_official: whether trials are scored on the official validation samples, in the confirmation too.
        opening: the last access to the test set for this study, whose result is somewhere else or gone.
    """
    named = shell(study)
    if not dataset.has_test:
        on = "the validation samples of the search" if is_official else "new folds"
        absent = f"{dataset.official_name} has no test set: the estimate is that of the confirmation, on {on}."
        if untested is None:
            return Section("Result on the test set", (Text(absent),))
        count = len(untested.entry.networks)
        counted = f"{count} networks" if count > 1 else "one network"
        networks = f"Trained: {counted} of {shown_name(untested.entry.name, untested.epochs)}"
        return Section(
            "Result without a test set",
            (
                Text(
                    f"{networks}, chosen {untested.entry.chosen}. {code(f'hpo export {named}')} writes what is trained."
                ),
                Notice(untested.sentence()),
            ),
        )
    if opening is not None:
        elsewhere = (
            f"The test set was opened for this study on {opening.when}, and the result is not in the folder where this "
            f"report looks for it: {code(f'hpo report {named} --results DIR')} takes another one. Where its "
            f"networks still are, {code(f'hpo finalize {named}')} with the options of before makes it again without "
            "another access."
        )
        return Section("Result on the test set", (Notice(elsewhere),))
    steps = [f"hpo confirm {named}"] * (not confirmed) + [f"hpo finalize {named}"]
    missing = ", then ".join(map(code, steps))
    absent = f"No result yet: the test set has not been opened for this study. Run {missing}."
    return Section("Result on the test set", (Text(absent),))


def verdicts(judgement: Judgement, dataset: Dataset) -> list[str]:
    """State the result in sentences: against each baseline, and against the published AUC of ResNet-18."""
    winner = judgement.entries[0]
    sentences = [_verdict(judgement, one) for one in judgement.against]
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
        of = "this network" if winner.network == PUBLISHED_NETWORK else "ResNet-18, another network than the one here"
        sentences.append(
            f"Published test AUC of {of}: {auc(dataset.published_auc)}. The interval of "
            f"{judgement.shown(winner.name)}, {_interval(estimate)}, {where}."
        )
        if resized := dataset.resized(winner.input_size):
            sentences.append(
                f"All networks here were trained and tested on {resized}, the published ones on images as they are."
            )
    return sentences


def ledger(dataset: Dataset, openings: Sequence[Opening], elsewhere: Sequence[Access] = ()) -> Section:
    """Report every access to the test set of this dataset that this database records, and those known of others."""
    others: list[Block] = [
        Text(
            "Accesses through other databases are known if they used the same folder of data files or of results; "
            "those on other machines are not."
        )
    ]
    if elsewhere:
        lines = tuple((one.when, one.study, one.database, one.reason or "first access") for one in elsewhere)
        others = [Notice(_elsewhere(elsewhere)), Table(("time", "study", "database", "reason"), lines), *others]
    if not openings and not dataset.has_test:
        return Section("Test-set access log", (Text(f"{dataset.official_name} has no test set."),))
    if not openings:
        unopened = f"The test set of {dataset.official_name} has never been opened through this database."
        return Section("Test-set access log", (Text(unopened), *others))
    rows = tuple(
        (str(one.row), one.when, one.study, one.code_version[:12], one.reason or "first access") for one in openings
    )
    blocks: list[Block] = [Table(("row", "time", "study", "code", "reason"), rows)]
    if len(openings) > 1:
        blocks.append(
            Notice(f"The test set was opened {len(openings)} times: results after the first are weaker evidence.")
        )
    return Section("Test-set access log", (*blocks, *others))


def _elsewhere(accesses: Sequence[Access]) -> str:
    times = "once" if len(accesses) == 1 else f"{len(accesses)} times"
    studies = ", ".join(dict.fromkeys(f"{one.study} at {one.when}" for one in accesses))
    return f"The test set was opened {times} through another database (study {studies}): results are weaker evidence."


_AREAS = (
    "configuration",
    "test AUC, mean",
    "spread over seeds",
    "seeds and samples",
    "samples, DeLong",
    "samples, bootstrap",
)
_ACCURACIES = ("configuration", "AUC of each network", "accuracy", "sensitivity", "specificity", "accuracy at .5")


def _areas(judgement: Judgement, entry: EntryResult) -> tuple[str, ...]:
    return (
        judgement.shown(entry.name),
        auc(entry.mean),
        "-" if entry.spread is None else auc(entry.spread),
        "-" if entry.over_all is None else _interval(entry.over_all),
        _interval(entry.delong),
        _interval(entry.bootstrap),
    )


def _accuracies(judgement: Judgement, entry: EntryResult) -> tuple[str, ...]:
    return (
        judgement.shown(entry.name),
        ", ".join(auc(one.value) for one in entry.aucs),
        _with_interval(entry.accuracy),
        _with_interval(entry.sensitivity),
        _with_interval(entry.specificity),
        _with_interval(entry.accuracy_at_half),
    )


def _with_interval(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{auc(estimate.value)} {_interval(estimate)}"


def _difference(judgement: Judgement, one: BaselineDifference) -> tuple[str, ...]:
    over = ("-", "-") if one.over_all is None else (_compared(one.over_all), _p(one.over_all))
    name = f"{judgement.shown(one.entry)} - {judgement.shown(one.reference)}"
    return (name, *over, _compared(one.delong), _p(one.delong), _compared(one.bootstrap))


def _verdict(judgement: Judgement, one: BaselineDifference) -> str:
    found = one.decisive
    if not found.is_distinguishable:
        way = "is indistinguishable from"
    else:
        way = "is better than" if found.difference > 0 else "is worse than"
    entry, baseline = judgement.shown(one.entry), judgement.shown(one.reference)
    sentence = f"On the test set {entry} {way} {baseline}: difference {_compared(found)}, p = {_p(found)}."
    return sentence if found.is_distinguishable else f"{sentence} {found_four_times_in_five(found.detectable)}".rstrip()


def _interval(estimate: Estimate) -> str:
    return bounds(estimate.low, estimate.high)


def _compared(found: Comparison) -> str:
    return f"{found.difference:+.3f} {bounds(found.low, found.high, signed=True)}"


def _p(found: Comparison) -> str:
    return "-" if found.p != found.p else f"{found.p:.2g}"
