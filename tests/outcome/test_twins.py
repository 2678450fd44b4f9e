"""Test samples that have a twin in the development set: found once the test set is open, stored, and reported."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hpo.errors import DataError
from hpo.outcome.export import export
from hpo.outcome.final import RESULT, SCORES, Final, load, store
from hpo.outcome.judgement import judge_final
from hpo.outcome.report.build import Evidence, build
from hpo.outcome.report.document import to_markdown
from hpo.outcome.report.result.twins import twin_sentences
from hpo.outcome.twins import Twins, find_twins
from hpo.outcome.unseal import TestSet, open_test_set
from hpo.study.catalogue import Dataset, find_dataset, register_dataset
from tests.arrays import FEW_ROWS, made_arrays, written
from tests.data.test_sealed import ListLedger
from tests.mention import unmentioned
from tests.outcome import simulated
from tests.outcome.pages import rows, section_with
from tests.plugins import kept_registries

FORM = Dataset(name="made", dimensions=2, labels=1, rows=FEW_ROWS, size=8, md5="0" * 32)


@pytest.fixture(autouse=True)
def _kept() -> Iterator[None]:
    with kept_registries():
        yield


def opened(dataset: Dataset, folder: Path) -> TestSet:
    return open_test_set(ListLedger(), "study", {}, "abc", dataset, folder)


def twins_of(folder: Path, form: Dataset = FORM, **changed: np.ndarray) -> Twins | None:
    dataset = written(form, folder, {**made_arrays(form), **changed})
    return find_twins(opened(dataset, folder), dataset, folder)


def with_twins(final: Final, has_twin: np.ndarray, threshold: float | None = 0.95) -> Final:
    return dataclasses.replace(simulated.changed(final, twin_threshold=threshold), has_twin=has_twin)


def some_twins(samples: int = 300) -> np.ndarray:
    return np.random.default_rng(4).random(samples) < 0.4


def test_a_test_sample_with_a_near_duplicate_in_either_split_has_a_twin(tmp_path: Path) -> None:
    arrays = made_arrays(FORM)
    images = arrays["test_images"].copy()
    images[3], images[7] = arrays["train_images"][11], arrays["val_images"][2] // 2
    found = twins_of(tmp_path, test_images=images)
    assert found is not None
    assert (np.flatnonzero(found.has_twin).tolist(), found.threshold) == ([3, 7], 0.95)


def test_a_test_sample_of_a_group_of_the_development_set_has_a_twin(tmp_path: Path) -> None:
    groups = {"train_groups": np.arange(24), "val_groups": np.arange(24, 34), "test_groups": np.arange(30, 42)}
    found = twins_of(tmp_path, **groups)
    assert found is not None
    assert np.flatnonzero(found.has_twin).tolist() == [0, 1, 2, 3]
    groups["test_groups"][2] = -1
    found = twins_of(tmp_path, dataclasses.replace(FORM, near_duplicates=None), **groups)
    assert found is not None
    assert (np.flatnonzero(found.has_twin).tolist(), found.threshold) == ([0, 1, 3], None)


def test_where_nothing_says_what_a_twin_is_none_are_looked_for(tmp_path: Path) -> None:
    assert twins_of(tmp_path, dataclasses.replace(FORM, near_duplicates=None)) is None


def test_twins_are_stored_and_loaded_with_the_result(tmp_path: Path) -> None:
    final = with_twins(simulated.final(), some_twins())
    store(final, tmp_path)
    found = load(tmp_path)
    assert found is not None
    np.testing.assert_array_equal(found.has_twin, final.has_twin)
    assert found.result.twin_threshold == 0.95


def test_twins_of_another_number_of_samples_are_refused(tmp_path: Path) -> None:
    store(with_twins(simulated.final(), some_twins(299)), tmp_path)
    with pytest.raises(DataError, match=SCORES):
        load(tmp_path)


def test_a_result_from_before_has_no_twins_and_says_nothing(tmp_path: Path) -> None:
    final = simulated.final()
    store(final, tmp_path)
    assert "twin_threshold" not in json.loads((tmp_path / RESULT).read_text())
    found = load(tmp_path)
    assert found is not None
    assert found.has_twin is None
    judgement = judge_final(found, draws=100)
    assert judgement.twins is None
    assert twin_sentences(judgement, 300) == []
    assert "twin" not in to_markdown(build(Evidence(simulated.search(6), final=found)))


def test_both_parts_are_evaluated_as_if_they_were_the_test_set() -> None:
    final, has_twin = simulated.final(gain=2.0), some_twins()
    found = judge_final(with_twins(final, has_twin), draws=100).twins
    assert found is not None
    assert (found.samples, found.threshold) == (has_twin.sum(), 0.95)
    for part, chosen in ((found.without, ~has_twin), (found.alone, has_twin)):
        assert part is not None
        assert part.samples == chosen.sum()
        truth = final.labels[chosen, 0]
        for name, scores in final.scores.items():
            areas = [roc_auc_score(truth, one[chosen, 0]) for one in scores]
            assert part.aucs[name].value == pytest.approx(np.mean(areas))
            assert part.aucs[name].low < np.mean(areas) < part.aucs[name].high
        winner, baseline = (part.aucs[name].value for name in ("trial 7", "medmnist-cross-entropy"))
        assert part.against["medmnist-cross-entropy"].difference == pytest.approx(winner - baseline)


def test_differences_on_a_part_hold_for_all_baselines_together_as_on_the_whole() -> None:
    final = simulated.with_another_baseline(simulated.final(gain=1.3))
    found = judge_final(with_twins(final, np.zeros(300, dtype=bool)), draws=100)
    assert found.twins is not None
    assert found.twins.without is not None
    assert found.twins.without.aucs == {entry.name: entry.interval for entry in found.entries}
    for one in found.against:
        alone = found.twins.without.against[one.reference]
        assert (alone.low, alone.high) == pytest.approx((one.decisive.low, one.decisive.high))


def test_of_several_labels_those_with_both_classes_in_a_part_are_averaged() -> None:
    final = simulated.final(labels=3)
    has_twin = np.zeros(300, dtype=bool)
    has_twin[np.flatnonzero(final.labels[:, 1])] = True
    found = judge_final(with_twins(final, has_twin), draws=100).twins
    assert found is not None
    assert found.without is not None
    truth, scores = final.labels[~has_twin], final.scores["trial 7"][:, ~has_twin]
    areas = [roc_auc_score(truth[:, label], one[:, label]) for one in scores for label in (0, 2)]
    assert found.without.aucs["trial 7"].value == pytest.approx(np.mean(areas))


def test_a_part_of_one_class_has_no_result(tmp_path: Path) -> None:
    final = simulated.final()
    negatives = final.labels[:, 0] == 0
    found = judge_final(with_twins(final, negatives), draws=100)
    assert found.twins is not None
    assert (found.twins.without, found.twins.alone) == (None, None)
    assert unmentioned(" ".join(twin_sentences(found, 300)), int(negatives.sum()), 300) == []


def test_the_report_shows_both_parts_beside_the_whole() -> None:
    has_twin = some_twins()
    final = with_twins(simulated.final(gain=2.0), has_twin)
    section = section_with(build(Evidence(simulated.search(6), final=final)), "result")
    judgement = judge_final(final)
    # A baseline that was cut short says so here, too.
    difference = f"trial 7 minus {judgement.shown('medmnist-cross-entropy')}"
    assert unmentioned(difference, 30, 100) == []
    (table,) = (rows(section, number) for number in range(5) if difference in rows(section, number))
    assert judgement.twins is not None
    assert judgement.twins.without is not None
    assert judgement.twins.alone is not None
    own = [
        judgement.entries[0].interval,
        judgement.twins.without.aucs["trial 7"],
        judgement.twins.alone.aucs["trial 7"],
    ]
    assert [cell.split()[0] for cell in table["trial 7"]] == [f"{estimate.value:.3f}"[1:] for estimate in own]
    told = twin_sentences(judgement, 300)
    assert unmentioned(" ".join(told), int(has_twin.sum()), 300, table["trial 7"][1].split()[0]) == []


def test_that_no_sample_has_a_twin_is_said_in_a_sentence() -> None:
    final = with_twins(simulated.final(), np.zeros(300, dtype=bool))
    judgement = judge_final(final, draws=100)
    assert len(twin_sentences(judgement, 300)) == 1
    section = section_with(build(Evidence(simulated.search(6), final=final)), "result")
    assert not any(
        "minus" in name and len(cells) == 3 for number in range(4) for name, cells in rows(section, number).items()
    )


def test_opening_a_test_set_stores_its_twins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpo.outcome.opening import open_and_score
    from hpo.search.creation import create_or_open
    from hpo.search.database.address import resolve_address
    from hpo.search.database.database import open_database
    from hpo.testing.trainer import make_spec
    from tests.outcome.test_final import ENTRIES, PROTOCOL, networks

    monkeypatch.setattr("hpo.training.model.resnet._WIDTHS", (16, 16, 16, 16))
    arrays = made_arrays(FORM)
    arrays["test_images"][:2] = arrays["train_images"][:2]
    form = dataclasses.replace(FORM, md5=None, development="tests.data:nothing")
    development = {name: array for name, array in arrays.items() if "test" not in name}
    dataset = dataclasses.replace(form, development=lambda _: development)
    register_dataset(dataset, test=lambda _: {name: array for name, array in arrays.items() if "test" in name})
    database = open_database(resolve_address(f"sqlite:///{tmp_path}/hpo.db"), create=True)
    study = create_or_open(database, "made", make_spec(4).model_copy(update={"dataset": "made"}))
    made = networks(tmp_path)
    final = open_and_score(study, ENTRIES, PROTOCOL, made, tmp_path, tmp_path, "abc1234", "", "cpu")
    assert final.has_twin is not None
    assert np.flatnonzero(final.has_twin).tolist() == [0, 1]
    assert final.result.twin_threshold == 0.95
    export(tmp_path, tmp_path / "out")
    assert "2 of 12 test samples" in (tmp_path / "out" / "README.md").read_text()
    database.close()


@pytest.mark.realdata
def test_63_of_156_real_breast_test_samples_have_a_twin(data_dir: Path) -> None:
    dataset = find_dataset("breast")
    found = find_twins(opened(dataset, data_dir), dataset, data_dir)
    assert found is not None
    assert (int(found.has_twin.sum()), found.has_twin.size, found.threshold) == (63, 156, 0.95)
