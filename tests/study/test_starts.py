"""Start points in study files, and how they are fitted into another space."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import StudyFileError
from hpo.study.catalogue import DATASETS
from hpo.study.files import builtin_study_file, check_spec, default_spec, load_spec
from hpo.study.planned import start_at
from hpo.study.space import Choices, FloatRange, IntRange
from hpo.study.spec import StudySpec, differences
from hpo.study.starts import MOST_STARTS, Start, fitted

FILE = """
dataset = "breast"
[fixed]
batch_size = 64
[space.loss]
choices = ["aucm_v1", "cross_entropy"]
[space.margin]
low = 0.2
high = 1.0
[space.optimizer]
choices = ["sgd", "adam"]
[space.momentum]
low = 0
high = 0.9
[space.learning_rate]
low = 1e-4
high = 0.1
log = true
"""
SPACE = {
    "loss": Choices(choices=("aucm_v1", "cross_entropy")),
    "margin": FloatRange(low=0.2, high=0.6),
    "learning_rate": FloatRange(low=1e-4, high=0.1, log=True),
    "batch_size": Choices(choices=(16, 64)),
    "input_size": IntRange(low=8, high=20),
}


def spec_of(tmp_path: Path, starts: str, *overrides: str) -> StudySpec:
    (tmp_path / "s.toml").write_text(FILE + starts)
    return load_spec(tmp_path / "s.toml", overrides)


def test_start_points_follow_the_baselines_in_the_order_of_the_file(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, '[[start]]\nname = "a"\nlearning_rate = 0.1\n[[start]]\noptimizer = "adam"\n')
    assert [start_at(spec, slot) for slot in range(5)] == [
        None,
        None,
        Start(name="a", values={"learning_rate": 0.1}),
        Start(name="2", values={"optimizer": "adam"}),
        None,
    ]
    without = spec_of(tmp_path, "[[start]]\nlearning_rate = 0.1\n", "search.references=false")
    assert start_at(without, 0) == Start(name="1", values={"learning_rate": 0.1})


def test_start_points_are_part_of_the_fingerprint_and_come_back_as_they_were_stored(tmp_path: Path) -> None:
    plain, one = spec_of(tmp_path, ""), spec_of(tmp_path, "[[start]]\nlearning_rate = 1e-3\n")
    other = spec_of(tmp_path, "[[start]]\nlearning_rate = 2e-3\n")
    assert len({spec.fingerprint() for spec in (plain, one, other)}) == 3
    assert StudySpec.from_json(one.model_dump_json()) == one
    assert differences(one.canonical(), other.canonical()) == ["start.1.learning_rate: stored 0.001, asked 0.002"]
    assert differences(one.canonical(), plain.canonical()) == [
        'start: stored {"1": {"name": "1", "learning_rate": 0.001}}, asked nothing'
    ]


def test_a_study_without_start_points_has_the_fingerprint_that_it_had_before_there_were_any(tmp_path: Path) -> None:
    assert "start" not in spec_of(tmp_path, "").canonical()


@pytest.mark.parametrize(
    ("starts", "facts"),
    [
        ("[[start]]\nlearning_rat = 1e-3", ("[[start]] 1", "learning_rat", "learning_rate")),
        ("[[start]]\nlearning_rate = 0.5", ("learning_rate = 0.5", "[space.learning_rate]", "0.0001 to 0.1")),
        ("[[start]]\nlearning_rate = 5", ("learning_rate = 5", "legal")),
        ('[[start]]\nloss = "aucm_v2"', ("loss = 'aucm_v2'", "[space.loss]", "aucm_v1, cross_entropy")),
        ("[[start]]\nbatch_size = 64", ("batch_size is fixed", "64")),
        ("[[start]]\nweight_decay = 0.0", ("weight_decay is not searched",)),
        ("[[start]]\nmomentum = 0.5", ("momentum depends on optimizer", "name optimizer")),
        ('[[start]]\nloss = "cross_entropy"\nmargin = 0.5', ("margin has no effect", "requires loss in")),
        ('[[start]]\nname = "a"', ("[[start]] a", "names no setting")),
        ('[[start]]\nname = ""\nlearning_rate = 0.1', ("name = ''",)),
        ("[[start]]\nname = 3\nlearning_rate = 0.1", ("name = 3",)),
        ('[[start]]\nname = "2"\nlearning_rate = 0.1\n[[start]]\nlearning_rate = 0.01', ("given twice",)),
        ("[start]\nlearning_rate = 0.1", ("double brackets",)),
        ("[[start]]\nlearning_rate = 0.1\n" * (MOST_STARTS + 1), (str(MOST_STARTS), str(MOST_STARTS + 1))),
    ],
)
def test_what_a_start_point_cannot_say_is_refused_with_what_to_do(
    tmp_path: Path, starts: str, facts: tuple[str, ...]
) -> None:
    with pytest.raises(StudyFileError) as refused:
        spec_of(tmp_path, starts)
    assert all(fact in str(refused.value) for fact in facts), refused.value
    assert len(refused.value.problems) == 1


def test_the_starts_of_a_file_are_fitted_into_the_space_that_set_makes(tmp_path: Path, log: list[str]) -> None:
    starts = '[[start]]\nname = "a"\nloss = "aucm_v1"\nmargin = 0.5\noptimizer = "adam"\nlearning_rate = 0.1\n'
    assert spec_of(tmp_path, starts, "fixed.optimizer=adam").start == (
        Start(name="a", values={"loss": "aucm_v1", "margin": 0.5, "learning_rate": 0.1}),
    )
    assert log == []
    spec = spec_of(tmp_path, starts, "fixed.loss=cross_entropy", "space.learning_rate.high=0.05")
    assert spec.start == (Start(name="a", values={"optimizer": "adam", "learning_rate": 0.05}),)
    assert log == [
        "start a: loss = aucm_v1 is left out: it is not searched here, but always cross_entropy",
        "start a: margin = 0.5 is left out: it is not searched here, but always 1.0",
        "start a: learning_rate = 0.1 becomes 0.05, the nearest in this space",
    ]
    assert spec_of(tmp_path, starts, "start=[]").start == ()


def test_values_that_depend_on_a_fixed_setting_stay_in_a_start_point(tmp_path: Path, log: list[str]) -> None:
    """By default, with AUCM, the share of negatives means nothing."""
    path = tmp_path / "study.toml"
    searched = "[space.pauc_share]\nlow = 0.1\nhigh = 0.9\n"
    start = '[[start]]\nname = "a"\npauc_share = 0.3\n'
    path.write_text(f'dataset = "breast"\n[fixed]\nloss = "pauc"\n{searched}{start}')
    for overrides in ((), ("budget.epochs=3",)):
        assert load_spec(path, overrides).start == (Start(name="a", values={"pauc_share": 0.3}),)
    assert log == []
    assert load_spec(path, ("fixed.loss=aucm_v2", "space.margin.low=0.2", "space.margin.high=0.5")).start == ()


def test_a_wrong_start_point_is_told_with_set_too(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="outside of"):
        spec_of(tmp_path, "[[start]]\nlearning_rate = 0.5\n", "fixed.optimizer=adam")


@pytest.mark.parametrize(
    ("given", "values", "notes"),
    [
        ({"loss": "aucm_v1", "margin": 0.3}, {"loss": "aucm_v1", "margin": 0.3}, []),
        ({"loss": "aucm_v1", "margin": 1}, {"loss": "aucm_v1", "margin": 0.6}, ["margin = 1 becomes 0.6"]),
        ({"loss": "cross_entropy", "margin": 0.3}, {"loss": "cross_entropy"}, []),
        (
            {"loss": "aucm_v2", "margin": 0.3, "batch_size": 64},
            {"batch_size": 64},
            ["loss = aucm_v2 is no", "margin is"],
        ),
        ({"batch_size": 32}, {"batch_size": 16}, ["batch_size = 32 becomes 16"]),
        ({"input_size": 28}, {"input_size": 20}, ["input_size = 28 becomes 20"]),
        ({"batch_size": 16, "gone": 2}, {"batch_size": 16}, ["'gone' = 2 is left out: there is no such setting"]),
        ({"batch_size": 16, "schedule": "step"}, {"batch_size": 16}, []),
        ({"batch_size": 16, "schedule": "cosine"}, {"batch_size": 16}, ["schedule = cosine is left out"]),
    ],
)
def test_a_start_point_of_another_study_is_moved_to_the_nearest_that_is_legal(
    given: dict[str, Any], values: dict[str, Any], notes: list[str]
) -> None:
    found, said = fitted(Start(name="b trial 3", values=given), {}, SPACE)
    assert found == Start(name="b trial 3", values=values)
    assert len(said) == len(notes)
    for line, fact in zip(sorted(said), sorted(f"start b trial 3: {note}" for note in notes), strict=True):
        assert fact in line
    # What is fitted is what a study file may say.
    table = json.loads(json.dumps({name: entry.model_dump(exclude={"kind"}) for name, entry in SPACE.items()}))
    assert check_spec({"dataset": "breast", "space": table, "start": [{"name": "x", **values}]}, "f").start


def test_a_start_point_of_which_nothing_is_searched_is_left_out() -> None:
    found, said = fitted(Start(name="a", values={"schedule": "step"}), {}, SPACE)
    assert found is None
    assert said == ["start a: nothing of it is searched here; it is left out"]


@pytest.mark.parametrize("dataset", [name for name in DATASETS.names() if builtin_study_file(name).stem == name])
def test_a_shipped_file_starts_from_what_is_known_to_work(dataset: str) -> None:
    spec = default_spec(dataset)
    aucm, cross_entropy = spec.start
    config = spec.config(aucm.values)
    assert (config.class_means, config.optimizer, config.loss) == ("running", "adam", "aucm_v2")
    assert config.learning_rate < 1e-3
    assert cross_entropy.values["loss"] == "cross_entropy"
    if spec.data.dimensions == 3:
        assert aucm.values["augmentation"] == cross_entropy.values["augmentation"] == "rigid"
    # Nothing of it is left to chance: every setting of the space that has an effect is named.
    for start in (aucm, cross_entropy):
        assert spec.searched_values(spec.config(start.values)).keys() == start.values.keys()
