"""The best of a search, corrected: from the database to `hpo best` and the report."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

import hpo
from hpo.cli.main import cli
from hpo.data.fold_scores import FoldScores
from hpo.outcome.report.build import Evidence, build
from hpo.outcome.report.document import Notice, Section, Table, to_html
from hpo.outcome.report.gather import gather
from hpo.outcome.report.search.selection import selection_bias
from hpo.outcome.selection import UNCORRECTED, judge_scores, read_scores, with_correction
from hpo.search.creation import create_or_open
from hpo.search.database import schema
from hpo.search.database.address import resolve_address
from hpo.search.database.database import open_database
from hpo.search.queries.trials import read_best
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, open_study
from hpo.search.worker.loop import run_worker
from hpo.search.worker.trainer import Task
from hpo.statistics.auc import auc
from hpo.study.baselines import CROSS_ENTROPY, cut_short
from hpo.testing.trainer import FakeTrainer, make_spec
from hpo.training.report import EpochReport
from tests.mention import unmentioned
from tests.outcome.pages import blocks, pictures, rows, words
from tests.search.planned import make_confirmation, make_plan


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The database file of a finished search of ten trials and two baselines, with scores on every fold."""
    file = tmp_path_factory.mktemp("search") / "hpo.sqlite3"
    database = open_database(resolve_address(f"sqlite:///{file}"), create=True)
    run_worker(
        create_or_open(database, "breast", make_spec(12, references=True)),
        identity=this_process("w"),
        train=FakeTrainer(),
    )
    database.close()
    assert list(file.parent.iterdir()) == [file], "a log would be lost"
    return file.read_bytes()


@pytest.fixture
def study(searched: bytes, tmp_path: Path) -> Iterator[Study]:
    """That search, in a database of the test's own."""
    (tmp_path / "hpo.sqlite3").write_bytes(searched)
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.sqlite3"), create=True)
    yield open_study(database, "breast")
    database.close()


def _forget_scores(study: Study, *numbers: int) -> None:
    scores = schema.scores.c
    here = (scores.study_id == study.study_id) & scores.trial_number.in_(numbers)
    with study.database.engine.begin() as connection:
        connection.execute(sa.delete(schema.scores).where(here))


def _section(evidence: Evidence) -> Section:
    return selection_bias(evidence.search, evidence.scores)


def test_the_best_trial_is_corrected_and_compared_with_both_baselines(study: Study) -> None:
    ranking = with_correction(study, read_best(study))
    best = next(trial.value for trial in ranking.trials if trial.value.reference is None)
    found = ranking.corrected
    assert found is not None
    assert (found.number, found.chosen_from, found.missing) == (best.number, 10, 0)
    assert found.auc == pytest.approx(best.auc, abs=0.003)
    assert found.low < found.corrected < found.high
    assert found.corrected < found.auc
    assert [one.baseline for one in found.differences] == ["medmnist-cross-entropy", "libauc-as-it-comes"]
    assert hpo.best(study, count=1).corrected == found


@pytest.mark.slow
def test_without_scores_a_ranking_and_a_report_stay_as_they_are(study: Study, tmp_path: Path) -> None:
    with_scores = gather(study, tmp_path)
    _forget_scores(study, *range(12))
    ranking = read_best(study)
    assert with_correction(study, ranking) == ranking
    found = gather(study, tmp_path)
    assert found.scores is None
    without = build(found)
    page = build(with_scores)
    extra = [section for section in page.sections if section not in without.sections]
    assert [pictures(section) for section in extra] == [["reliability"]]
    assert extra == [_section(with_scores)]
    assert " nan" not in to_html(page)


def test_baselines_that_were_cut_short_say_so_beside_the_best_trial(study: Study, tmp_path: Path) -> None:
    section = _section(gather(study, tmp_path))
    short = cut_short(CROSS_ENTROPY, study.spec.budget.epochs)
    assert short
    compared, calibrated = blocks(section, Table)
    assert any(short in row[1] for row in compared.rows)
    assert any(short in row[0] for row in calibrated.rows)


def test_trials_without_scores_are_counted_and_left_out(study: Study) -> None:
    _forget_scores(study, 1, 5, 6)
    found = with_correction(study, read_best(study)).corrected
    assert found is not None
    assert (found.chosen_from, found.missing) == (8, 3)
    assert [one.baseline for one in found.differences] == ["medmnist-cross-entropy"]


def test_trials_that_were_trained_on_fewer_folds_are_left_out(study: Study) -> None:
    scores = schema.scores.c
    here = (scores.study_id == study.study_id) & (scores.trial_number == 7) & (scores.fold == 1)
    with study.database.engine.begin() as connection:
        connection.execute(sa.delete(schema.scores).where(here))
    scored = read_scores(study)
    assert scored is not None
    assert 7 not in scored.numbers
    assert (len(scored.numbers), scored.missing) == (11, 1)
    assert len(scored.folds) >= 2


def test_scores_of_an_earlier_epoch_are_left_out(study: Study) -> None:
    scores = schema.scores.c
    here = (scores.study_id == study.study_id) & (scores.trial_number == 7)
    with study.database.engine.begin() as connection:
        connection.execute(sa.update(schema.scores).where(here).values(epoch=3))
    scored = read_scores(study)
    assert scored is not None
    assert 7 not in scored.numbers


def test_one_trial_is_not_selected_and_a_confirmation_has_its_own_rule(study: Study) -> None:
    _forget_scores(study, *range(3, 12))
    assert read_scores(study) is None
    confirmation = create_or_open(study.database, "breast-confirm", make_confirmation(make_plan()))
    assert read_scores(confirmation) is None


class _OneOfEachFold(FakeTrainer):
    """The same trainer, on folds of which the first sample alone is positive."""

    def __call__(self, task: Task) -> Iterator[EpochReport]:
        for report in super().__call__(task):
            scores = tuple(
                FoldScores(fold.samples, (np.arange(len(fold.labels)) == 0).astype(np.uint8)[:, None], fold.logits)
                for fold in report.scores
            )
            yield dataclasses.replace(report, scores=scores)


def test_folds_with_one_positive_are_not_corrected_and_the_report_says_so(tmp_path: Path) -> None:
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/rare.sqlite3"), create=True)
    study = create_or_open(database, "breast", make_spec(4, references=True))
    run_worker(study, identity=this_process("w"), train=_OneOfEachFold())
    ranking = read_best(study)
    told = hpo.best(study)
    assert told == with_correction(study, ranking)
    assert (told.corrected, told.trials) == (None, ranking.trials)
    assert told.note == f"{ranking.note} Its AUC is {UNCORRECTED}"
    evidence = gather(study, tmp_path)
    assert evidence.scores is not None
    judgement = judge_scores(evidence.scores)
    assert (judgement.best, judgement.chosen_from, judgement.ensemble) == (None, 2, ())
    assert judgement.paired[0].trial == judgement.number
    section = _section(evidence)
    assert unmentioned(words(section)[0], f"Trial {judgement.number}", "2 trials") == []
    assert {row[4] for row in blocks(section, Table)[0].rows} == {"-"}
    assert f"trial {judgement.number}" in rows(section, 1)
    database.close()


@pytest.mark.slow
def test_the_section_says_what_was_measured(study: Study, tmp_path: Path) -> None:
    evidence = gather(study, tmp_path)
    section = _section(evidence)
    assert evidence.scores is not None
    judgement = judge_scores(evidence.scores)
    best = judgement.best
    assert best is not None
    assert (judgement.number, judgement.chosen_from) == (best.number, best.chosen_from)
    text = " ".join(words(section))
    assert unmentioned(text, f"{best.corrected:.3f}"[1:], f"{best.optimism:+.3f}", best.resamples, "BBC-CV") == []
    compared = blocks(section, Table)[0].rows
    assert len(compared) == 6
    assert [row[0] for row in compared[:2]] == [f"trial {best.number}"] * 2
    assert [row[4] == "-" for row in compared] == [False, False, True, True, True, True]
    cut = f"at {study.spec.budget.epochs} of its 100 epochs"
    assert list(rows(section, 1)) == [f"MedMNIST recipe ({cut})", f"LibAUC defaults ({cut})", f"trial {best.number}"]
    assert len(judgement.ensemble) == 5
    assert unmentioned(text, *judgement.ensemble) == []


@pytest.mark.slow
def test_scores_that_are_no_probabilities_are_named(study: Study, tmp_path: Path) -> None:
    (notice,) = blocks(_section(gather(study, tmp_path)), Notice)
    assert unmentioned(notice.text, "LibAUC defaults", "AUCM") == []
    assert unmentioned(notice.text, "MedMNIST recipe") == ["MedMNIST recipe"]


def test_a_paired_comparison_is_that_of_the_aucs_of_the_folds(study: Study) -> None:
    scores = read_scores(study)
    assert scores is not None
    paired = judge_scores(scores).paired[0]
    ours, theirs = (scores.numbers.index(number) for number in (paired.trial, scores.baselines[paired.baseline]))
    gaps = [
        auc(fold.scores[ours, :, 0], fold.labels[:, 0]) - auc(fold.scores[theirs, :, 0], fold.labels[:, 0])
        for fold in scores.folds
    ]
    assert paired.comparison.difference == pytest.approx(sum(gaps) / len(gaps), abs=1e-12)


def test_the_command_says_what_the_best_is_worth(study: Study) -> None:
    address = str(study.database.url.render_as_string(hide_password=False))
    found = with_correction(study, read_best(study)).corrected
    assert found is not None
    shown = CliRunner().invoke(cli, ["best", "breast", "--storage", address])
    assert shown.exit_code == 0
    assert unmentioned(shown.output, f"{found.corrected:.3f}"[1:], f"{found.auc:.3f}"[1:], found.chosen_from) == []
    told = json.loads(CliRunner().invoke(cli, ["best", "breast", "--json", "--storage", address]).output)
    assert told["corrected"] == dataclasses.asdict(found)
    _forget_scores(study, *range(12))
    assert (
        json.loads(CliRunner().invoke(cli, ["best", "breast", "--json", "--storage", address]).output)["corrected"]
        is None
    )
