"""Hours of the shipped studies, and what an epoch on a GPU is made of: the arithmetic of both benchmarks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.kernels import covered
from benchmarks.study_hours import FOLDS, MEASURED, STUDIES, epoch_cost, hours, measure, rates, table
from hpo.launch.estimate import trained_share
from hpo.study.catalogue import DATASETS, find_dataset
from hpo.study.files import builtin_study_file, load_spec


def test_every_medmnist_set_that_ships_has_its_hours() -> None:
    shipped = {name for name in DATASETS.names() if find_dataset(name).md5}
    assert set(STUDIES) == shipped


def test_an_epoch_costs_its_trained_samples_and_a_third_of_the_scored() -> None:
    breast = find_dataset("breast")
    train, validation, _ = breast.rows
    assert epoch_cost(breast, "official", 1, 0) == pytest.approx(train + validation / 3)
    assert epoch_cost(breast, "kfold", 5, 0) == pytest.approx(4 * (train + validation) + (train + validation) / 3)
    assert epoch_cost(breast, "holdout", 1, 0.25) == pytest.approx((0.75 + 0.25 / 3) * (train + validation))


def test_the_measured_epoch_gives_back_its_own_hours() -> None:
    spec = load_spec(builtin_study_file("breast"))
    spec = spec.model_copy(update={"scoring": spec.scoring.model_copy(update={"folds": FOLDS})})
    rate = rates({"epoch_seconds": dict.fromkeys(MEASURED.values(), 2.0)})[2]
    expected = 2.0 / 3600 * spec.budget.epochs * spec.budget.trials * trained_share(spec)
    assert hours(spec, rate).search == pytest.approx(expected)


def test_a_table_has_a_row_for_each_study_and_a_column_for_each_device(tmp_path: Path) -> None:
    files = []
    for name, gain in (("one", 1.0), ("two", 2.0)):
        found = {"device": {"name": name}, "epoch_seconds": {"breast": 36.0, "adrenal3d": 36.0}, "gain": gain}
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(found))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table(files).splitlines()]
    assert rows[0][2:] == ["one", "two"]
    assert [row[0] for row in rows[2:]] == list(STUDIES)
    slow, fast = ([float(part.replace(",", "")) for part in cell.split("+")] for cell in rows[2][2:])
    assert slow == pytest.approx([2 * part for part in fast], rel=0.1)


def test_a_column_names_number_format_cores_and_another_network(tmp_path: Path) -> None:
    found = {
        "device": {"name": "EPYC", "precision": "bf16"},
        "epoch_seconds": {"breast": 36, "adrenal3d": 36},
        "gain": 1,
    }
    for network in ("resnet18", "resnet18_narrow"):
        (tmp_path / f"cpu-{network}.json").write_text(json.dumps(found | {"network": network}))
    header = table(sorted(tmp_path.iterdir())).splitlines()[0]
    assert [cell.strip() for cell in header.strip("|").split("|")][2:] == [
        "EPYC, bf16, one core",
        "EPYC, bf16, one core, resnet18_narrow",
    ]


def test_a_cpu_is_measured_by_the_steps_of_the_two_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.training.model.resnet._WIDTHS", (16, 16))
    monkeypatch.setattr("hpo.training.machine.device.set_up_process", lambda: None)
    monkeypatch.setattr("benchmarks.study_hours.MEASURED", {2: "digits"})
    found = measure("cpu", None)
    assert found["epoch_seconds"]["digits"] > 0


def test_overlapping_spans_count_once() -> None:
    assert covered([(4, 5), (0, 2), (1, 3), (1, 2)]) == 4
    assert covered([]) == 0
