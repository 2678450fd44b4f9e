"""Check that `hpo` works on a database: the tests that a kind of database must pass, for SQLite and servers alike.

Needs pytest. `pytest.register_assert_rewrite("hpo.testing.storage")` in a `conftest.py` makes its failures readable.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import optuna
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpo.data.fold_scores import MOST_VALUES, FoldScores
from hpo.errors import StorageError, StudyConflictError, StudyStoppedError
from hpo.search.creation import create_or_open, create_or_tell
from hpo.search.database import schema
from hpo.search.database.database import Database, open_database
from hpo.search.queries.ledger import StudyLedger
from hpo.search.queries.listing import list_studies
from hpo.search.queries.scores import read_fold_scores, read_out_of_fold
from hpo.search.queries.status import read_status
from hpo.search.queries.trials import read_best, read_curve, read_trials
from hpo.search.queue.claiming import NothingToClaim, claim, release, renew, store_record
from hpo.search.queue.lease import Claim
from hpo.search.queue.reopening import reopen
from hpo.search.queue.reporting import LeaseLost, finish, record_report
from hpo.search.queue.workers import this_process
from hpo.search.study import open_study
from hpo.search.worker.loop import run_worker
from hpo.statistics.auc import auc
from hpo.testing.scores import make_scores
from hpo.testing.trainer import FakeTrainer, make_record, make_report, make_spec
from hpo.testing.trials import claimed, ended, expire
from hpo.training.report import NetworkEpoch


class StorageConformance:
    """The behaviour that every database must have: exact budgets, leases with fencing, one outcome for each trial.

    Subclass it in a test module as `Test...` and give it a fixture `url`: the address of an empty database. Studies of
    other tests may be in it; each test uses a study named after itself.

    Example:
        class TestCockroach(StorageConformance):
            @pytest.fixture
            def url(self) -> URL:
                return resolve_address("postgresql://root@127.0.0.1:26257/hpo")
    """

    @pytest.fixture
    def url(self) -> URL:
        """Give the address of the database under test."""
        raise NotImplementedError("give your subclass of StorageConformance a fixture `url`")

    @pytest.fixture
    def database(self, url: URL) -> Iterator[Database]:
        """Open the database, with hpo's tables."""
        database = open_database(url, create=True)
        yield database
        database.close()

    @pytest.fixture
    def name(self, request: pytest.FixtureRequest) -> str:
        """Give a name of a study that no other test uses."""
        return str(request.node.name)[:200]

    def test_the_clock_is_in_seconds_since_1970(self, database: Database) -> None:
        before = time.time()
        with database.engine.connect() as connection:
            first = connection.execute(sa.select(schema.database_now())).scalar_one()
            time.sleep(0.05)
            second = connection.execute(sa.select(schema.database_now())).scalar_one()
        assert before - 5 < first < time.time() + 5
        assert 0.04 < second - first < time.time() - before + 0.01

    def test_a_worker_runs_the_whole_budget_and_a_relaunch_adds_none(self, database: Database, name: str) -> None:
        study = create_or_open(database, name, make_spec(5, references=True))
        assert run_worker(study, identity=this_process("w"), train=FakeTrainer()).finished == 5
        study = create_or_open(database, name, make_spec(5, references=True))
        assert run_worker(study, identity=this_process("w"), train=FakeTrainer()).finished == 0
        assert [row.reference for row in read_trials(study)[:2]] == ["medmnist-cross-entropy", "libauc-as-it-comes"]
        assert read_status(study).complete == 5

    def test_more_trials_are_added_to_a_finished_study(self, database: Database, name: str) -> None:
        run_worker(create_or_open(database, name, make_spec(3)), identity=this_process("w"), train=FakeTrainer(1))
        more = create_or_open(database, name, make_spec(5))
        assert run_worker(more, identity=this_process("w"), train=FakeTrainer(1)).finished == 2
        fewer = create_or_open(database, name, make_spec(2), budget="set")
        assert run_worker(fewer, identity=this_process("w"), train=FakeTrainer(1)).finished == 0

    def test_a_budget_is_lowered_by_request_only(self, database: Database, name: str) -> None:
        create_or_open(database, name, make_spec(5))
        with pytest.raises(StudyConflictError):
            create_or_open(database, name, make_spec(4))
        assert create_or_open(database, name, make_spec(4), budget="keep").spec.budget.trials == 5
        assert open_study(database, name).spec.budget.trials == 5
        assert create_or_open(database, name, make_spec(4), budget="set").spec.budget.trials == 4

    def test_eight_claims_at_once_never_exceed_the_budget(self, url: URL, name: str) -> None:
        databases = [open_database(url, create=True) for _ in range(8)]
        create_or_open(databases[0], name, make_spec(5))
        studies = [open_study(database, name) for database in databases]
        with ThreadPoolExecutor(8) as pool:
            claims = list(pool.map(claim, studies, [f"w{i}" for i in range(8)]))
        numbers = sorted(held.number for held in claims if isinstance(held, Claim))
        assert numbers == [0, 1, 2, 3, 4]
        assert claims.count(NothingToClaim.ELSEWHERE) == 3
        for database in databases:
            database.close()

    def test_six_openers_may_make_the_tables_and_the_study_at_once(self, url: URL, name: str) -> None:
        barrier = threading.Barrier(6)

        def make(trials: int) -> tuple[int, bool]:
            barrier.wait()
            database = open_database(url, create=True)
            study, is_new = create_or_tell(database, name, make_spec(trials))
            database.close()
            return study.study_id, is_new

        with ThreadPoolExecutor(6) as pool:
            made = list(pool.map(make, [4] * 6))
        assert len({study_id for study_id, _ in made}) == 1
        assert sorted(is_new for _, is_new in made) == [False] * 5 + [True]

    def test_a_trial_whose_lease_ran_out_goes_to_the_next_under_its_own_number(
        self, database: Database, name: str
    ) -> None:
        study = create_or_open(database, name, make_spec(1))
        dead = claimed(study, "dead")
        assert claim(study, "next") is NothingToClaim.ELSEWHERE
        expire(study)
        taken = claimed(study, "next")
        assert (taken.number, taken.trial_id, taken.fence) == (dead.number, dead.trial_id, 2)

    def test_a_worker_that_lost_its_lease_can_write_nothing(self, database: Database, name: str) -> None:
        study = create_or_open(database, name, make_spec(1))
        late = claimed(study, "late")
        expire(study)
        now = claimed(study, "now")
        assert not renew(late, 0.5).held
        assert not release(late)
        assert not store_record(late, make_record({}))
        with pytest.raises(LeaseLost):
            record_report(late, make_report(1, 0.9))
        assert not ended(late, auc=0.9)
        assert read_curve(study, 0) == []
        assert ended(now, auc=0.7)
        best = read_status(study).best
        assert best is not None
        assert best.auc == 0.7
        assert optuna.load_study(study_name=name, storage=database.optuna).best_value == 0.7

    def test_a_renewed_lease_is_kept(self, database: Database, name: str) -> None:
        study = create_or_open(database, name, make_spec(1))
        held = claimed(study)
        expire(study)
        assert renew(held, 0.5).held
        assert claim(study, "other") is NothingToClaim.ELSEWHERE
        assert read_status(study).running[0].progress == 0.5

    def test_a_released_trial_comes_free_at_once_and_is_running_for_optuna(self, database: Database, name: str) -> None:
        study = create_or_open(database, name, make_spec(1))
        assert release(claimed(study))
        assert read_status(study).free == 1
        shown = optuna.load_study(study_name=name, storage=database.optuna).trials
        assert [trial.state.name for trial in shown] == ["RUNNING"]
        assert claimed(study).number == 0

    def test_a_reopened_trial_is_claimed_again_and_counted_once(self, database: Database, name: str) -> None:
        study = create_or_open(database, name, make_spec(3))
        for outcome in ("complete", "failed", "complete"):
            assert ended(claimed(study), outcome)
        reopen(study, {0, 1, 7})
        status = read_status(study)
        assert (status.finished, status.failed, status.free) == (1, 0, 2)
        shown = optuna.load_study(study_name=name, storage=database.optuna).trials
        assert [(trial.state.name, trial.values is None) for trial in shown[:2]] == [("RUNNING", True)] * 2
        again = [claimed(study), claimed(study)]
        assert [(held.number, held.fence) for held in again] == [(0, 2), (1, 2)]
        assert all(ended(held, auc=0.75) for held in again)
        assert claim(study, "w") is NothingToClaim.DONE
        status = read_status(study)
        assert (status.finished, status.complete, status.failed) == (3, 3, 0)
        assert optuna.load_study(study_name=name, storage=database.optuna).trials[1].value == 0.75

    def test_a_final_network_is_reported_and_finished_without_a_validation_auc(
        self, database: Database, name: str
    ) -> None:
        study = create_or_open(database, name, make_spec(1))
        dead = claimed(study, "dead")
        assert record_report(dead, NetworkEpoch(1, 4))
        expire(study)
        held = claimed(study)
        assert held.epoch == 1
        with pytest.raises(LeaseLost):
            record_report(dead, NetworkEpoch(2, 4))
        assert record_report(held, NetworkEpoch(3, 4))
        (running,) = read_status(study).running
        assert (running.epoch, running.progress, running.auc) == (3, 0.75, None)
        assert finish(held, "complete", NetworkEpoch(4, 4))
        status = read_status(study)
        assert (status.complete, status.best, read_best(study).trials) == (1, None, [])
        (shown,) = optuna.load_study(study_name=name, storage=database.optuna).trials
        # Optuna finds no best trial where a complete one has no value.
        assert (shown.state.name, shown.values) == ("PRUNED", None)

    def test_a_smaller_budget_leaves_a_free_trial_alone(self, database: Database, name: str) -> None:
        study = create_or_open(database, name, make_spec(2))
        first, second = claimed(study), claimed(study)
        ended(first)
        release(second)
        study = create_or_open(database, name, make_spec(1), budget="set")
        assert claim(study, "w") is NothingToClaim.DONE

    def test_reports_of_a_second_attempt_replace_those_of_the_first(self, database: Database, name: str) -> None:
        study = create_or_open(database, name, make_spec(1))
        first = claimed(study)
        record_report(first, make_report(1, 0.6))
        release(first)
        record_report(claimed(study), make_report(1, 0.7, training_loss=float("nan")))
        assert [(point.auc, point.training_loss) for point in read_curve(study, 0)] == [(0.7, None)]

    def test_scores_are_kept_where_a_trial_can_end_and_replaced_by_fold(self, database: Database, name: str) -> None:
        study = create_or_open(database, name, make_spec(3, epochs=9, pruner="asha", rungs="epochs", first_rung=3))
        held = claimed(study)
        for epoch in (1, 3, 4):
            scores = tuple(make_scores(0.7, epoch, fold) for fold in range(5))
            record_report(held, make_report(epoch, 0.7, scores=scores))
        kept = read_fold_scores(study, held.number)
        assert [(fold, scores.logits.dtype.name) for fold, scores in kept.items()] == [(n, "float16") for n in range(5)]
        given = make_scores(0.7, 3, 1)
        assert (kept[1].samples == given.samples).all()
        assert (kept[1].labels == given.labels).all()
        assert (kept[1].logits == given.logits.astype(np.float16)).all()
        record_report(held, make_report(9, 0.8, scores=(make_scores(0.8, 9, 0),)))
        kept = read_fold_scores(study, held.number)
        assert (kept[0].logits == make_scores(0.8, 9, 0).logits.astype(np.float16)).all()
        assert (kept[1].logits == given.logits.astype(np.float16)).all()
        assert ended(held)

    def test_scores_of_the_largest_validation_part_come_back(self, database: Database, name: str) -> None:
        study = create_or_open(database, name, make_spec(2))
        logits = np.linspace(-8, 8, 18_000 * 14, dtype=np.float32).reshape(-1, 14)
        labels = (np.random.default_rng(0).random(logits.shape) < 0.05).astype(np.uint8)
        held = claimed(study)
        record_report(held, make_report(4, 0.7, scores=(FoldScores(np.arange(18_000), labels, logits),)))
        kept = read_fold_scores(study, held.number)[0]
        assert kept.logits.size <= MOST_VALUES < kept.logits.size + 14
        assert (kept.logits == logits[kept.samples].astype(np.float16)).all()
        assert (kept.labels == labels[kept.samples]).all()

    def test_scores_of_complete_trials_are_aligned(self, database: Database, name: str) -> None:
        study = create_or_open(database, name, make_spec(4))
        run_worker(study, identity=this_process("w"), train=FakeTrainer())
        found = read_out_of_fold(study)
        assert found is not None
        assert (found.numbers, found.missing) == ((0, 1, 2, 3), 0)
        assert [fold.scores.shape for fold in found.folds] == [(4, 60, 1)] * 5
        for row in read_trials(study):
            of_one = read_fold_scores(study, row.number)
            for number, fold in enumerate(found.folds):
                assert (fold.scores[row.number] == of_one[number].logits).all()
                assert auc(fold.scores[row.number, :, 0], fold.labels[:, 0]) == pytest.approx(row.auc, abs=0.003)

    def test_a_study_of_which_half_the_trials_fail_stops(self, database: Database, name: str) -> None:
        study = create_or_open(database, name, make_spec(30))
        for number in range(10):
            assert ended(claimed(study), "failed" if number % 2 else "complete", reason="diverged")
        with pytest.raises(StudyStoppedError) as caught:
            claim(study, "w")
        assert {"5", "10"} <= set(re.findall(r"\d+", str(caught.value)))
        assert read_trials(study)[1].reason == "diverged"

    def test_another_spec_under_the_same_name_is_refused_with_the_difference(
        self, database: Database, name: str
    ) -> None:
        create_or_open(database, name, make_spec(3))
        with pytest.raises(StudyConflictError) as caught:
            create_or_open(database, name, make_spec(3, epochs=9))
        (difference,) = [line for line in str(caught.value).splitlines() if "budget.epochs" in line]
        assert {"4", "9"} <= set(re.findall(r"\d+", difference))
        assert "--name" in str(caught.value)

    def test_a_worker_of_older_code_ends_by_the_version_of_the_tables(self, database: Database, name: str) -> None:
        def upgrade(epoch: int) -> None:
            if epoch == 2:
                with database.engine.begin() as connection:
                    connection.execute(sa.update(schema.version).values(version=schema.SCHEMA_VERSION + 1))

        study = create_or_open(database, name, make_spec(3))
        try:
            with pytest.raises(StorageError, match=f"{schema.SCHEMA_VERSION + 1}, newer"):
                run_worker(study, identity=this_process("w"), train=FakeTrainer(on_epoch=upgrade))
            # The trial under way was finished: nothing in its tables had changed.
            assert read_status(study).finished == 1
        finally:
            with database.engine.begin() as connection:
                connection.execute(sa.update(schema.version).values(version=schema.SCHEMA_VERSION))

    def test_a_study_is_listed_and_its_spec_comes_back_as_it_went(self, database: Database, name: str) -> None:
        spec = make_spec(3)
        create_or_open(database, name, spec)
        assert open_study(database, name).spec == spec
        row = next(row for row in list_studies(database) if row.name == name)
        assert (row.dataset, row.trials, row.finished) == ("breast", 3, 0)

    def test_a_study_deleted_through_optuna_takes_its_rows_along_and_its_name_can_be_used_again(
        self, database: Database, name: str
    ) -> None:
        study = create_or_open(database, name, make_spec(2))
        run_worker(study, identity=this_process("w"), train=FakeTrainer(1))
        optuna.delete_study(study_name=name, storage=database.optuna)
        again = create_or_open(database, name, make_spec(2))
        assert read_trials(again) == []

    def test_the_ledger_numbers_its_entries(self, database: Database) -> None:
        ledger = StudyLedger(database)
        first = ledger.write("breast", {"margin": 1.0}, "abc", "")
        assert ledger.write("breast", {"margin": 1.0}, "abc", "again") > first

    def test_the_best_are_ranked_with_clipped_intervals(self, database: Database, name: str) -> None:
        study = create_or_open(database, name, make_spec(4))
        for value in (0.7, 0.99, 0.8):
            held = claimed(study)
            record_report(held, make_report(1, value))
            ended(held, auc=value)
        ranking = read_best(study, count=2)
        assert [(trial.rank, trial.value.number) for trial in ranking.trials] == [(1, 1), (2, 2)]
        assert ranking.chosen_from == 3
        best = ranking.trials[0].value
        assert best.low == pytest.approx(0.99 - 1.959964 * 0.02)
        assert best.high == 1.0
