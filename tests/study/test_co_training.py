"""The setting co_training: which datasets it names, and what a study file may say."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.errors import StudyFileError, UsageError
from hpo.study.catalogue import find_dataset
from hpo.study.co_training import CO_TRAINING, other_datasets
from hpo.study.config import TrainConfig
from hpo.study.files import check_spec
from hpo.study.spec import StudySpec


def names(value: str, target: str) -> list[str]:
    return [dataset.name for dataset in other_datasets(value, find_dataset(target))]


def test_all_are_the_sets_of_medmnist_with_images_of_the_same_shape() -> None:
    assert names("all", "breast") == ["chest", "pneumonia"]
    assert names("all", "adrenal3d") == ["nodule3d", "synapse3d", "vessel3d"]
    with pytest.raises(UsageError):
        names("all", "digits")


def test_none_and_names_are_what_they_say_in_any_order() -> None:
    assert names("none", "breast") == []
    assert names("pneumonia+chest", "breast") == names("chest+pneumonia", "breast") == ["chest", "pneumonia"]


@pytest.mark.parametrize("value", ["breast", "pneumonia+breast", "digits", "adrenal3d"])
def test_the_target_itself_and_other_formats_are_refused(value: str) -> None:
    with pytest.raises(UsageError):
        names(value, "breast")


@pytest.mark.parametrize("value", ["", "+", "pneumonia+", "pneumonia+pneumonia", "all+chest", "Breast", "no", 3, True])
def test_other_values_are_not_legal(value: Any) -> None:
    assert value not in CO_TRAINING
    with pytest.raises(ValueError, match="co_training"):
        TrainConfig(co_training=value)


def test_share_and_epochs_have_an_effect_with_any_set_alone() -> None:
    for value in ("all", "chest", "chest+pneumonia"):
        assert TrainConfig(co_training=value).has_effect("co_training_share")
    assert not TrainConfig().has_effect("co_training_epochs")


def test_the_default_leaves_identities_as_they_were() -> None:
    assert not {name for name in TrainConfig().identity() if name.startswith("co_training")}


def spec(**parts: Any) -> StudySpec:
    return check_spec({"dataset": "breast", **parts}, "a")


def test_a_study_states_all_sets_that_its_trials_may_use() -> None:
    searched = spec(space={"co_training": {"choices": ["none", "pneumonia", "pneumonia+chest"]}})
    assert [dataset.name for dataset in searched.other_datasets()] == ["chest", "pneumonia"]
    assert [dataset.name for dataset in spec(fixed={"co_training": "pneumonia"}).other_datasets()] == ["pneumonia"]
    assert spec().other_datasets() == ()


@pytest.mark.parametrize("value", ["breast", "vessel3d", "pneumonia+digits"])
def test_a_study_file_with_sets_of_another_format_is_refused(value: str) -> None:
    for parts in ({"fixed": {"co_training": value}}, {"space": {"co_training": {"choices": ["none", value]}}}):
        with pytest.raises(StudyFileError) as caught:
            spec(**parts)
        assert len(caught.value.problems) == 1


def test_a_share_without_other_sets_has_no_effect() -> None:
    with pytest.raises(StudyFileError):
        spec(fixed={"co_training_share": 0.3})
    assert spec(fixed={"co_training": "all"}, space={"co_training_share": {"low": 0.1, "high": 0.5}}).space
