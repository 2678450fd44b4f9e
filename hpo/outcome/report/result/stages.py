"""Follow configurations through search, confirmation and test set, and report the optimism of each stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle

from hpo.outcome.judgement import Judgement
from hpo.outcome.leaderboard import Confirmation
from hpo.outcome.report.document import Block, Listing, Picture, Table
from hpo.outcome.report.drawing import COLOURS, ReportFigure, canvas, drawn, plain
from hpo.outcome.report.search.evidence import SearchEvidence
from hpo.statistics.intervals import clipped_interval
from hpo.study.baselines import shown_name
from hpo.text import auc, bounds

STAGES = ("search", "confirmation", "test set")


@dataclass(frozen=True)
class Stage:
    """An AUC with its 95 % interval; None if there is none."""

    auc: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class StageSeries:
    """A configuration through the stages, in the order of STAGES; None where it was not measured.

    epochs: of the search.
    """

    name: str
    stages: tuple[Stage | None, ...]
    epochs: int | None = None

    @property
    def shown(self) -> str:
        """Return its name as people read it; a baseline that was cut short says so."""
        return shown_name(self.name, self.epochs)


def follow(search: SearchEvidence, confirmation: Confirmation | None, judgement: Judgement | None) -> list[StageSeries]:
    """Return the stages of the winner, first, and of the baselines; empty before there is a winner."""
    if judgement is not None:
        names = [entry.name for entry in judgement.entries]
    elif confirmation is not None and (leader := confirmation.winner or confirmation.leader):
        baselines = (one.candidate for one in confirmation.leaderboard if one.is_reference)
        names = list(dict.fromkeys((leader, *baselines)))
    else:
        return []
    return [
        StageSeries(
            name,
            (_searched(search, name), _confirmed(confirmation, name), _tested(judgement, name)),
            search.spec.budget.epochs,
        )
        for name in names
    ]


def optimism(found: Sequence[StageSeries]) -> list[Block]:
    """Build a table, a figure and sentences; nothing if fewer than two stages are done."""
    reached = [place for place in range(len(STAGES)) if any(one.stages[place] for one in found)]
    if len(reached) < 2:
        return []
    header = ("configuration", *(f"AUC, {STAGES[place]}" for place in reached))
    rows = tuple((one.shown, *(_cell(one.stages[place]) for place in reached)) for one in found)
    caption = (
        "The same configurations at each stage, with 95 % intervals. Stages differ in their samples: compare the "
        "distances between lines, not their levels."
    )
    sentences = [_sentence(found[0], other, reached) for other in found[1:]]
    return [
        Table(header, rows),
        Picture("stages", partial(drawn_stages, found, reached), caption),
        Listing(tuple(sentence for sentence in sentences if sentence)),
    ]


@drawn
def drawn_stages(found: Sequence[StageSeries], reached: Sequence[int]) -> ReportFigure:
    """Plot AUC by stage, one line per configuration."""
    figure, axes = canvas(6.4, 3.2)
    for number, (one, colour) in enumerate(zip(found, cycle(COLOURS), strict=False)):
        shift = 0.06 * (number - (len(found) - 1) / 2)
        points = [(x + shift, stage) for x, place in enumerate(reached) if (stage := one.stages[place]) is not None]
        axes.plot(
            [x for x, _ in points],
            [stage.auc for _, stage in points],
            "o-",
            c=colour,
            lw=1.2,
            label=plain(one.shown),
        )
        for x, stage in points:
            if stage.low is not None and stage.high is not None:
                axes.plot([x, x], [stage.low, stage.high], c=colour, lw=2)
    axes.set_xticks(range(len(reached)), [STAGES[place] for place in reached])
    axes.set_xlim(-0.4, len(reached) - 0.6)
    axes.set_ylabel("AUC, 95 % interval")
    axes.legend(loc="best", fontsize=8)
    return figure


def _sentence(winner: StageSeries, other: StageSeries, reached: Sequence[int]) -> str:
    """State the winner's gain over another configuration at each stage."""
    gaps = [
        (STAGES[place], first.auc - second.auc)
        for place in reached
        if (first := winner.stages[place]) is not None and (second := other.stages[place]) is not None
    ]
    if len(gaps) < 2:
        return ""
    by_stage = ", ".join(f"{gap:+.3f} ({stage})" for stage, gap in gaps)
    (first_stage, searched), (last_stage, at_last) = gaps[0], gaps[-1]
    changed = f"From {first_stage} to {last_stage} the gain changed by {at_last - searched:+.3f}."
    return f"{winner.shown} minus {other.shown}: {by_stage}. {changed}"


def _searched(search: SearchEvidence, name: str) -> Stage | None:
    trial = next((one for one in search.complete if one.name == name), None)
    if trial is None or trial.row.auc is None:
        return None
    value, error = trial.row.auc, trial.row.standard_error
    return Stage(value, *((None, None) if error is None else clipped_interval(value, error)))


def _confirmed(confirmation: Confirmation | None, name: str) -> Stage | None:
    rows = confirmation.leaderboard if confirmation is not None else []
    one = next((one for one in rows if one.candidate == name), None)
    return Stage(one.mean, one.low, one.high) if one is not None and one.mean is not None else None


def _tested(judgement: Judgement | None, name: str) -> Stage | None:
    entries = judgement.entries if judgement is not None else ()
    one = next((one for one in entries if one.name == name), None)
    return Stage(one.mean, one.interval.low, one.interval.high) if one is not None else None


def _cell(stage: Stage | None) -> str:
    if stage is None:
        return "-"
    return auc(stage.auc) if stage.low is None else f"{auc(stage.auc)} {bounds(stage.low, stage.high)}"
