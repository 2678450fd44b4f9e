"""Build the report document from the evidence."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.outcome.access_log import Access
from hpo.outcome.families import answer_sentences
from hpo.outcome.final import Final
from hpo.outcome.judgement import judge_final
from hpo.outcome.leaderboard import Confirmation
from hpo.outcome.method_table import MethodTable
from hpo.outcome.report.document import Document, Notice, Section, code
from hpo.outcome.report.result import confirmation as of_confirmation
from hpo.outcome.report.result import methods as of_methods
from hpo.outcome.report.result import sections as of_result
from hpo.outcome.report.result.stages import follow, optimism
from hpo.outcome.report.search import sections as of_search
from hpo.outcome.report.search import setting_effects
from hpo.outcome.report.search.evidence import SearchEvidence
from hpo.outcome.report.search.selection import selection_bias
from hpo.outcome.report.work import Work, cost, provenance, stages_table, work_of_final
from hpo.outcome.untested import UntestedResult
from hpo.search.queries.ledger import Opening
from hpo.search.queries.scores import OutOfFold
from hpo.study.catalogue import Dataset


@dataclass(frozen=True)
class Evidence:
    """Everything that a report is built from; what is missing is None.

    Attributes:
        elsewhere: accesses to the test set through other databases, as far as they are known.
        work: of the stages after the search that are studies of their own.
        scores: out-of-fold scores of the search's trials; None if fewer than two have them.
        own_opening: the last access for this study.
    """

    search: SearchEvidence
    confirmation: Confirmation | None = None
    ablation: Confirmation | None = None
    final: Final | None = None
    openings: tuple[Opening, ...] = ()
    elsewhere: tuple[Access, ...] = ()
    work: tuple[Work, ...] = ()
    scores: OutOfFold | None = None
    methods: MethodTable | None = None
    own_opening: Opening | None = None
    untested: UntestedResult | None = None


def build(evidence: Evidence, seed: int = 0) -> Document:
    """Build the whole report. seed: of forests and bootstrap draws; equal evidence and seed give an equal report."""
    search, data = evidence.search, evidence.search.spec.data
    judgement = judge_final(evidence.final, seed=seed) if evidence.final is not None else None
    if evidence.final is not None and judgement is not None:
        result = of_result.result(data, judgement, evidence.final, evidence.openings, evidence.elsewhere)
    else:
        is_confirmed = evidence.confirmation is not None and evidence.confirmation.done
        is_official = search.spec.scoring.rows == "official"
        result = of_result.no_result(
            search.name, is_confirmed, data, evidence.untested, is_official=is_official, opening=evidence.own_opening
        )
    later = (*evidence.work, *([work_of_final(evidence.final)] if evidence.final is not None else []))
    confirmed = [of_confirmation.confirmation(evidence.confirmation)] if evidence.confirmation is not None else []
    asked = of_search.question(search)
    answered = answer_sentences(
        judgement.families if judgement is not None else None,
        evidence.confirmation.families if evidence.confirmation is not None and evidence.confirmation.done else None,
    )
    sections = (
        Section(asked.title, (Notice(answered), *asked.blocks)),
        result,
        *confirmed,
        of_search.best(search),
        *([selection_bias(search, evidence.scores, seed)] if evidence.scores is not None else []),
        setting_effects.space(search, seed),
        setting_effects.reasons(search),
        *([of_confirmation.ablation(evidence.ablation)] if evidence.ablation is not None else []),
        *([of_methods.methods(evidence.methods, pictures=True)] if evidence.methods is not None else []),
        of_search.learning(search, optimism(follow(search, evidence.confirmation, judgement))),
        cost(search, later),
        provenance(search, later),
        of_result.ledger(data, evidence.openings, evidence.elsewhere),
    )
    question = "hyperparameters for Deep AUC Maximization, searched by hpo"
    subtitle = f"Study {code(search.name)} on {data.official_name}: {question}."
    return Document(f"{data.official_name}: technical report", subtitle, sections)


def build_methods(data: Dataset, found: MethodTable, work: Work) -> Document:
    """Build the report of a study of methods."""
    subtitle = f"Study {code(found.name)} on {data.official_name}: what each training method does, measured by hpo."
    sections = (of_methods.methods(found, pictures=True), Section("Cost", (stages_table([work]),)))
    return Document(f"{data.official_name}: methods", subtitle, sections)
