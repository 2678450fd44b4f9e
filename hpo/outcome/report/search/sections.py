"""Build the report's sections that need the search alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from hpo.outcome.report.document import Block, Listing, Notice, Picture, Section, Table, Text
from hpo.outcome.report.search import figures
from hpo.outcome.report.search.epochs import enough_epochs
from hpo.outcome.report.search.evidence import SearchEvidence, TrialEvidence
from hpo.search.queries.reported import LEARNED
from hpo.search.strategy.pruner import make_pruner
from hpo.statistics.intervals import clipped_interval
from hpo.study.baselines import OWN_EPOCHS, shown_name
from hpo.study.catalogue import Dataset
from hpo.study.choices import PRUNERS, SAMPLERS, describe_network
from hpo.study.published import PUBLISHED_NETWORK
from hpo.study.space import reachable_values
from hpo.text import auc, bounds, counted, with_error

_MOST_IN_TABLE = 12


def question(search: SearchEvidence) -> Section:
    """State the research question, and the protocol fixed before the search."""
    spec, data = search.spec, search.spec.data
    networks = reachable_values("network", spec.fixed, spec.space) or ()
    of = "to beat" if set(networks) == {PUBLISHED_NETWORK} else "of ResNet-18, another network,"
    published = f" The published test AUC {of} is {auc(data.published_auc)}." if data.published_auc else ""
    network = " or ".join(describe_network(str(name), data.dimensions) for name in networks)
    sizes = reachable_values("input_size", spec.fixed, spec.space) or ()
    resized = data.resized(int(sizes[0])) if len(sizes) == 1 else ""
    kind = "a label" if data.labels == 1 else f"{data.labels} labels"
    asked = (
        f"Does Deep AUC Maximization, with its hyperparameters searched, beat the baselines on {data.official_name} "
        f"({kind}, {_samples(data)}), with "
        f"{network} trained from scratch{resized and f' on {resized}'}?{published}"
    )
    protocol = [
        _division(data, is_official=spec.scoring.rows == "official"),
        _scoring(search),
        f"Budget: {counted(spec.budget.trials, 'finished trial')} of at most "
        f"{counted(spec.budget.epochs, 'epoch')} of the training part, the same for every configuration.",
        _strategy(search),
    ]
    if spec.search.references:
        protocol.append(
            "Baselines, trained as trials 0 and 1 under the same budget: MedMNIST's cross-entropy recipe, and "
            "LibAUC's defaults."
        )
        if short := [
            found for name in OWN_EPOCHS if (found := shown_name(name, spec.budget.epochs)) != shown_name(name)
        ]:
            protocol.append(
                f"Cut short: {', '.join(short)}. To be better than a baseline that was cut short is no evidence "
                "against it at its own length."
            )
    if spec.start:
        earlier = f", except that the confirmation counts {counted(spec.earlier, 'configuration')} of other studies"
        protocol.append(
            f"Start points of trials: {len(spec.start)}. As far as they were chosen by results on the same samples, as "
            "those of shipped study files were, nothing in this report corrects for that choice"
            f"{earlier if spec.earlier else ''}."
        )
    blocks: list[Block] = [Text(asked), Listing(tuple(protocol))]
    if data.caution and spec.scoring.rows != "official":
        blocks.append(Notice(f"{data.caution[0].upper()}{data.caution[1:]}."))
    return Section("Question and protocol", tuple(blocks))


def _samples(data: Dataset) -> str:
    """Return the numbers of samples of each split that there is."""
    kinds = zip(data.rows, ("training", "validation", "test"), strict=True)
    *first, last = [f"{rows:,} {kind}" for rows, kind in kinds if rows]
    return f"{', '.join(first)} and {last} samples" if first else f"{last} samples"


def _division(data: Dataset, *, is_official: bool) -> str:
    both = "training and validation samples together" if data.has_validation else "all training samples"
    sealed = "The test set stays sealed until one configuration has been chosen."
    on = "the same validation samples" if is_official else "new folds"
    none = f"There is no test set: the confirmation, on {on}, is the last estimate."
    return f"Development set: {both}, {data.development_rows:,}. {sealed if data.has_test else none}"


def best(search: SearchEvidence) -> Section:
    """Report the best trials of the search, and why the best value is optimistically biased."""
    status = search.status
    progress = (
        f"{status.finished} of {status.budget} trials have finished: {status.complete} trained all their epochs, "
        f"{status.pruned} were pruned, {status.failed} failed because of their configuration."
    )
    blocks: list[Block] = [Text(progress)]
    if search.complete:
        blocks.append(_ranking(search))
        blocks += _winners_curse(search)
        blocks += _that_learned_nothing(search)
        blocks.append(
            Picture(
                "history", partial(figures.history, search), "Every trial in order; a pruned one at its last report."
            )
        )
    if failures := Counter(trial.row.reason or "no reason" for trial in search.trials if trial.row.state == "failed"):
        blocks.append(Listing(tuple(f"{count} failed: {reason}" for reason, count in failures.most_common(5))))
    return Section("The search", tuple(blocks))


def learning(search: SearchEvidence, later: Sequence[Block] = ()) -> Section:
    """Report learning curves, training against validation AUC, and what `later` stages add."""
    if not search.complete:
        return Section("Curves and overfitting", (Text("No trial has trained all its epochs yet."),))
    blocks: list[Block] = [
        Picture(
            "curves",
            partial(figures.curves, search),
            "Validation AUC by epoch; pruned trials end where they were stopped.",
        ),
        *_enough(search),
        Picture(
            "overfitting",
            partial(figures.overfitting, search),
            "Training AUC (of the batches as they were scored in training, augmented) against validation AUC.",
        ),
    ]
    if any(trial.roc for trial in search.named):
        blocks.append(
            Picture(
                "rocs",
                partial(figures.rocs, search),
                "ROC on the validation parts after the last epoch, mean over folds.",
            )
        )
    sentences = [sentence for trial in search.named if (sentence := _gap(trial))]
    return Section("Curves and overfitting", (*blocks, Listing(tuple(sentences)), *later))


def _enough(search: SearchEvidence) -> list[Block]:
    found = enough_epochs([trial.curve for trial in search.complete], search.spec.budget.epochs)
    return [] if found is None else [Text(found.sentence())]


def _scoring(search: SearchEvidence) -> str:
    scoring = search.spec.scoring
    ways = {
        "official": "the official validation set",
        "holdout": f"a stratified {scoring.share:.0%} of the development set",
        "reshuffled": f"a new stratified {scoring.share:.0%} of the development set for each trial",
        "kfold": f"{scoring.folds} stratified folds of the development set"
        + (f", {scoring.repeats} times" if scoring.repeats > 1 else ""),
    }
    fair = "" if scoring.rows == "reshuffled" else ", the same for every trial"
    together = ""
    if scoring.groups == "auto" and scoring.rows != "official":
        together = (
            " Near-duplicates, and samples of one group where the data name groups, are on one side of every split."
        )
    never = "a trial never selects its epoch on samples that it is scored on."
    return f"Scored on {ways[scoring.rows]}{fair}; {never}{together}"


def _strategy(search: SearchEvidence) -> str:
    sampler = SAMPLERS.entry(search.spec.search.sampler)
    with PRUNERS.errors_of(search.spec.search.pruner):
        pruner = make_pruner(search.spec).describe()
    return f"Search: {sampler.description or sampler.name}; {pruner}."


def _ranking(search: SearchEvidence) -> Table:
    rows = [_ranked(rank, trial) for rank, trial in enumerate(search.complete[:_MOST_IN_TABLE], 1)]
    header: tuple[str, ...] = ("rank", "which", "validation AUC", "95 % interval")
    if smoothed := search.smoothed_aucs:
        header = (*header, "smoothed AUC")
        shown = [auc(smoothed.get(trial.row.number)) for trial in search.complete[:_MOST_IN_TABLE]]
        rows = [(*row, value) for row, value in zip(rows, shown, strict=True)]
    return Table(header, tuple(rows))


def _ranked(rank: int, trial: TrialEvidence) -> tuple[str, ...]:
    row = trial.row
    interval = "-"
    if row.auc is not None and row.standard_error is not None:
        interval = bounds(*clipped_interval(row.auc, row.standard_error))
    return str(rank), trial.label, with_error(row.auc, row.standard_error), interval


def _winners_curse(search: SearchEvidence) -> list[Block]:
    best = search.best
    if best is None or best.row.auc is None:
        return []
    # Without baselines, which nobody chose: one of them may be above the best trial.
    count = sum(not trial.row.reference for trial in search.complete)
    sentences = []
    if count > 1:
        apart = ", baselines not counted" if search.baselines else ""
        highest = f"is the highest of {count} noisy values{apart}"
        if search.smoothed is not None:
            highest = (
                f"was chosen from {count} trials by noisy values, smoothed over similar configurations (baselines, "
                "which nobody chose, stand by their own)"
            )
        sentences.append(
            f"The best of the search, {best.label}, {highest}, so its AUC is optimistically biased, and its difference "
            "to a baseline with it; a confirmation on new folds gives an estimate with less bias."
        )
    if earlier := search.spec.earlier:
        sentences.append(
            f"The search started from the best of {earlier} configurations that were tried on the same samples before, "
            "which no correction of the search counts; its confirmation does."
        )
    return [Text(" ".join(sentences))] if sentences else []


def _that_learned_nothing(search: SearchEvidence) -> list[Block]:
    warned = [trial for trial in search.trials if trial.row.warning]
    never = [trial for trial in warned if (trial.row.highest_training_auc or 0.0) < LEARNED]
    lost = [trial for trial in warned if trial not in never]
    notices: list[Block] = []
    if never:
        notices.append(
            Notice(
                f"{len(never)} of {len(search.trials)} trials learned nothing: the AUC of their training batches "
                f"stayed below {LEARNED} in every epoch (a trial pruned early might still have learned). Their "
                "validation AUC is that of an untrained network, which can be far from .5 where the label correlates "
                f"with size or brightness: {_listed(never)}."
            )
        )
    if lost:
        notices.append(
            Notice(
                f"{len(lost)} of {len(search.trials)} trials unlearned what they had learned: the AUC of their "
                f"training batches was above {LEARNED} and below it at the end. Their validation AUC is due to chance "
                f"or to an earlier epoch: {_listed(lost)}."
            )
        )
    return notices


def _listed(trials: Sequence[TrialEvidence]) -> str:
    return ", ".join(f"{trial.label} ({trial.row.state}, {auc(trial.row.auc)})" for trial in trials)


def _gap(trial: TrialEvidence) -> str:
    end = trial.curve[-1] if trial.curve else None
    if end is None or end.training_auc is None:
        return ""
    top = max(trial.curve, key=lambda point: point.auc)
    return (
        f"{trial.label}: training {auc(end.training_auc)}, validation {with_error(end.auc, end.standard_error)} at the "
        f"end, a gap of {end.training_auc - end.auc:+.3f}; its highest validation AUC was {auc(top.auc)}, in epoch "
        f"{top.epoch}."
    )
