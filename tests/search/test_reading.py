"""What a study says of itself."""

from __future__ import annotations

import dataclasses
import io
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import pytest
import sqlalchemy as sa

from hpo.cli.render.page import PlainConsole
from hpo.cli.render.status import read_view, render_status
from hpo.errors import StudyNotFoundError
from hpo.outcome.candidates import choose_candidates, warnings
from hpo.search.creation import create_or_open
from hpo.search.dashboard.notes import trial_note
from hpo.search.dashboard.server import serve_dashboard
from hpo.search.database import schema
from hpo.search.database.database import Database
from hpo.search.queries.status import read_status
from hpo.search.queries.tables import ranked_rows, trial_rows
from hpo.search.queries.trials import read_best, read_curve, read_record, read_trials
from hpo.search.queue.claiming import renew
from hpo.search.queue.reporting import finish, record_report
from hpo.search.queue.workers import this_process
from hpo.search.study import Study, open_study
from hpo.search.worker.loop import run_worker
from hpo.search.worker.replay import replay
from hpo.study.space import FloatRange
from hpo.testing.trainer import PROVENANCE, FakeTrainer, make_report, make_spec
from hpo.testing.trials import claimed, ended, recorded
from tests.mention import numbers_in, unmentioned
from tests.wait import LIMIT


@pytest.fixture
def study(database: Database) -> Study:
    """Five of eight trials finished, references first; a sixth has begun."""
    study = create_or_open(database, "breast", make_spec(8, references=True))
    run_worker(study, identity=this_process("early"), train=FakeTrainer(), limit=5)
    record_report(claimed(study, "late"), make_report(1, 0.7))
    return study


def test_the_status_counts_what_is_finished_and_shows_what_runs(study: Study) -> None:
    status = read_status(study)
    assert (status.budget, status.finished, status.complete, status.pruned, status.failed) == (8, 5, 5, 0, 0)
    running = status.running[0]
    assert (running.number, running.worker, running.epoch, running.epochs) == (5, "late", 1, 4)
    assert (running.auc, running.progress) == (0.7, 0.25)
    assert [value.reference for value in status.references] == ["medmnist-cross-entropy", "libauc-as-it-comes"]
    assert status.workers == ["late"]
    assert status.trials_per_hour > 0
    assert status.seconds_left > 0


def test_a_study_with_nothing_running_promises_no_end(database: Database) -> None:
    study = create_or_open(database, "empty", make_spec(8))
    status = read_status(study)
    assert (status.best, status.trials_per_hour, status.seconds_left) == (None, None, None)


def test_a_running_trial_moves_within_an_epoch(database: Database) -> None:
    study = create_or_open(database, "breast", make_spec(1, epochs=4))
    held = claimed(study)
    record_report(held, make_report(1, 0.7))
    assert renew(held, 0.25 + 0.25 * 0.4).held
    (running,) = read_status(study).running
    assert (running.epoch, running.epochs) == (1, 4)
    assert running.epoch_share == pytest.approx(0.4)
    text = io.StringIO()
    PlainConsole(width=200, file=text).print(render_status(*read_view(study)))
    assert unmentioned(text.getvalue(), "1/4 +40.0 %") == []


def test_the_pace_forgets_what_was_before_a_pause(study: Study) -> None:
    before = read_status(study).trials_per_hour
    old = schema.trials.c.place < 4
    with study.database.engine.begin() as connection:
        for column in (schema.trials.c.started, schema.trials.c.ended):
            connection.execute(sa.update(schema.trials).where(old).values({column: column - 36000}))
    assert read_status(study).trials_per_hour > before / 10


def test_a_trial_that_unlearned_what_it_had_learned_is_marked(database: Database) -> None:
    study = create_or_open(database, "breast", make_spec(3, epochs=3))
    for curve in ((0.55, 0.85, 0.52), (0.55, 0.85, 0.84), (0.5, 0.55, 0.59)):
        held = claimed(study)
        for epoch, training_auc in enumerate(curve, 1):
            record_report(held, dataclasses.replace(make_report(epoch, 0.7), training_auc=training_auc))
        assert ended(held)
    lasts = {0: 0.52, 1: 0.84, 2: 0.59}
    assert {row["number"]: row["training_auc"] for row in trial_rows(study)} == lasts
    assert {row["number"]: row["training_auc"] for row in ranked_rows(study, read_best(study))} == lasts
    collapsed, learned, never = read_trials(study)
    assert [row.highest_training_auc for row in (collapsed, learned, never)] == [0.85, 0.85, 0.59]
    assert numbers_in(collapsed.warning) == [0.85, 0.52]
    assert learned.warning == ""
    assert numbers_in(never.warning) == [0.59]
    assert {best.value.number: best.warning for best in read_best(study).trials}[0] == collapsed.warning


def test_a_baseline_that_was_cut_short_says_so(database: Database) -> None:
    study = create_or_open(database, "breast", make_spec(3, references=True))
    run_worker(study, identity=this_process("w"), train=FakeTrainer())
    short = f"at {study.spec.budget.epochs} of its 100 epochs"
    rows, best, status = read_trials(study), read_best(study), read_status(study)
    assert [short in row.label for row in rows] == [True, True, False]
    assert {trial.value.number for trial in best.trials if short in trial.label} == {0, 1}
    assert all(short in value.baseline for value in status.references)


def test_a_trial_that_has_learned_not_even_its_training_set_is_marked(database: Database) -> None:
    study = create_or_open(database, "breast", make_spec(6, references=True))
    trainer = FakeTrainer(training_auc=lambda config: 0.52 if config.loss == "cross_entropy" else 0.9)
    run_worker(study, identity=this_process("w"), train=trainer)
    marked = {row.number for row in read_trials(study) if row.warning}
    expected = {
        row.number for row in read_trials(study) if recorded(study, row.number).config["loss"] == "cross_entropy"
    }
    assert marked == expected
    assert 0 in marked
    assert {best.value.number for best in read_best(study).trials if best.warning} == expected
    first = read_trials(study)[0]
    assert numbers_in(first.warning) == [0.52]
    assert first.warning in trial_note("breast", first)
    assert unmentioned(warnings(study, choose_candidates(study, top=1))[0], "MedMNIST recipe", first.warning) == []


def test_the_note_of_a_trial_has_settings_whose_condition_the_study_fixes(database: Database) -> None:
    spec = make_spec(1)
    fixed, space = spec.fixed | {"weight_average": "ema"}, spec.space | {"ema_decay": FloatRange(low=0.9, high=0.999)}
    study = create_or_open(database, "averaged", spec.model_copy(update={"fixed": fixed, "space": space}))
    run_worker(study, identity=this_process("w"), train=FakeTrainer())
    (row,) = read_trials(study)
    assert unmentioned(trial_note("averaged", row), *row.params, "ema_decay") == []


def test_every_answer_can_be_written_as_json(study: Study) -> None:
    answers: list[Any] = [read_status(study), *read_trials(study), read_best(study), *read_curve(study, 0)]
    for answer in answers:
        assert json.loads(json.dumps(dataclasses.asdict(answer), allow_nan=False))


def test_reading_writes_nothing(study: Study) -> None:
    statements: list[str] = []
    sa.event.listen(study.database.engine, "before_cursor_execute", lambda *event: statements.append(event[2]))
    read_status(study)
    assert len([text for text in statements if text.startswith("SELECT")]) == 3
    (
        read_trials(study),
        read_best(study),
        read_curve(study, 0),
        read_record(study, 0),
        open_study(study.database, "breast"),
    )
    assert {text.split()[0] for text in statements} <= {"SELECT", "BEGIN"}
    assert not any("IMMEDIATE" in text for text in statements)


def test_the_note_on_the_best_says_how_many_it_was_chosen_from(study: Study) -> None:
    assert numbers_in(read_best(study).note) == [5]


def test_the_best_hold_their_whole_configuration(study: Study) -> None:
    assert read_best(study).trials[0].config["schedule"] in ("constant", "step")


def test_a_trial_that_is_not_there_is_reported_with_those_that_are(study: Study) -> None:
    for read in (read_curve, read_record):
        with pytest.raises(StudyNotFoundError) as caught:
            read(study, 99)
        assert unmentioned(caught.value, "breast", 99, 0, 5) == []


def test_a_study_that_is_not_there_is_reported_with_the_nearest_name(study: Study) -> None:
    with pytest.raises(StudyNotFoundError) as caught:
        open_study(study.database, "braest")
    assert unmentioned(caught.value, "braest", "breast") == []


def test_a_replay_of_the_same_training_is_bit_equal(study: Study) -> None:
    seen: list[int] = []
    again = replay(study, 3, FakeTrainer(), on_epoch=lambda epoch: seen.append(epoch.epoch))
    assert (again.bit_equal, again.max_difference, again.changed) == (True, 0.0, [])
    assert seen == [1, 2, 3, 4]


def test_a_replay_tells_what_has_changed(study: Study) -> None:
    train = FakeTrainer(epochs=3)
    train.provenance = PROVENANCE.model_copy(update={"environment": {"torch": "9.9"}, "dirty": True})
    again = replay(study, 3, train)
    assert not again.bit_equal
    code, torch = again.changed
    assert code.count("abc1234") == 2
    assert unmentioned(torch, "torch", "0.0", "9.9") == []


def test_a_trial_without_reports_cannot_be_replayed(database: Database) -> None:
    study = create_or_open(database, "study", make_spec(2))
    assert claimed(study).number == 0
    trainer = FakeTrainer()
    with pytest.raises(StudyNotFoundError):
        replay(study, 0, trainer)
    assert trainer.trained == []


@contextmanager
def served(study: Study, read_only: bool = False) -> Iterator[str]:
    """The address that a dashboard opens on."""
    ready = threading.Event()
    found: list[Any] = []

    def note(item: Any) -> None:
        found.append(item)
        if len(found) == 2:
            ready.set()

    arguments = (study.database, study, "127.0.0.1", 0, note, note, read_only)
    thread = threading.Thread(target=serve_dashboard, args=arguments, kwargs={"draw": drawn_by_name})
    thread.start()
    try:
        assert ready.wait(LIMIT)
        yield str(found[0])
    finally:
        found[1].shutdown()
        thread.join()


def drawn_by_name(study: Study, number: int | None) -> str:
    """Instead of a picture, what it would show."""
    return f"<svg>{study.name} {number}</svg>"


def test_the_dashboard_opens_on_the_study(study: Study) -> None:
    with served(study) as address:
        assert address.endswith(f"/dashboard/studies/{study.study_id}")
        with urllib.request.urlopen(address.replace("/dashboard/", "/api/")) as answer:
            detail = json.load(answer)
    assert len(detail["trials"]) == 6


def test_the_dashboard_has_a_note_on_the_study_and_on_each_trial_and_none_is_stored(study: Study) -> None:
    before = study.database.optuna.get_study_system_attrs(study.study_id)
    with served(study) as address, urllib.request.urlopen(address.replace("/dashboard/", "/api/")) as answer:
        detail = json.load(answer)
    assert unmentioned(detail["note"]["body"], 5, 8, "MedMNIST recipe") == []
    notes = [trial["note"]["body"] for trial in detail["trials"]]
    assert unmentioned(notes[0].splitlines()[0], 0, "MedMNIST recipe") == []
    assert "| `learning_rate` |" in notes[3]
    assert "`hpo replay breast 3`" in notes[3]
    assert study.database.optuna.get_study_system_attrs(study.study_id) == before


def test_the_dashboard_has_a_picture_of_the_study_and_of_each_trial_and_none_is_stored(study: Study) -> None:
    with served(study) as address:
        with urllib.request.urlopen(address.replace("/dashboard/", "/api/")) as answer:
            detail = json.load(answer)
        shown = address.replace("/dashboard/studies", "/artifacts")
        for place, artifacts, expected in (
            ("", detail["artifacts"], "breast None"),
            (f"/{detail['trials'][3]['trial_id']}", detail["trials"][3]["artifacts"], "breast 3"),
        ):
            (artifact,) = artifacts
            with urllib.request.urlopen(f"{shown}{place}/{artifact['artifact_id']}") as answer:
                assert answer.headers["Content-Type"] == "image/svg+xml"
                assert answer.read().decode() == f"<svg>{expected}</svg>"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{shown}/ffff-1")
        assert caught.value.code == 404
    stored = study.database.optuna.get_study_system_attrs(study.study_id)
    assert not [name for name in stored if "artifacts" in name]


def test_no_file_can_be_put_beside_the_pictures(study: Study) -> None:
    with served(study) as address:
        path = address.replace("/dashboard/studies", "/api/artifacts")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(path, data=b"{}", method="POST"))
        assert caught.value.code == 403


def test_a_note_that_somebody_wrote_in_the_dashboard_stays(study: Study) -> None:
    from optuna_dashboard import save_note

    save_note(optuna.load_study(study_name="breast", storage=study.database.optuna), "mine")
    with served(study) as address, urllib.request.urlopen(address.replace("/dashboard/", "/api/")) as answer:
        assert json.load(answer)["note"]["body"] == "mine"


def test_a_dashboard_for_looking_shows_everything_and_changes_nothing(study: Study) -> None:
    with served(study, read_only=True) as address:
        api = address.replace("/dashboard/", "/api/")
        with urllib.request.urlopen(api) as answer:
            assert len(json.load(answer)["trials"]) == 6
        for method, path in (("DELETE", api), ("POST", f"{api}/rename"), ("PUT", f"{api}/note")):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(urllib.request.Request(path, data=b"{}", method=method))
            assert caught.value.code == 403
    assert read_status(open_study(study.database, "breast")).finished == 5


def test_a_trial_says_on_how_many_folds_its_report_rests(database: Database) -> None:
    study = create_or_open(database, "staged", make_spec(9, epochs=9, pruner="asha", rungs="folds", first_rung=3))
    held = claimed(study)
    record_report(held, make_report(3, 0.6, fold_aucs=(0.6,)))
    last = make_report(9, 0.6, fold_aucs=(0.6, 0.7, 0.65))
    record_report(held, last)
    finish(held, "pruned", last)
    whole = claimed(study)
    record_report(whole, make_report(1, 0.6))
    ended(whole, "complete")
    first, second = read_trials(study)
    assert (first.folds, first.extent, first.short_extent) == (3, "9 epochs of 3 of 5 folds", "9 (3/5)")
    assert (second.folds, second.extent, second.short_extent) == (5, "1 epoch", "1")
