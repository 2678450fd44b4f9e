"""Training methods: how they are turned on and off, and to which recipes they apply."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.errors import UsageError
from hpo.study.catalogue import find_dataset
from hpo.study.config import TrainConfig, applies, settings
from hpo.study.files import default_spec
from hpo.study.meaning import meaning
from hpo.study.method import Method
from hpo.study.methods import METHODS, find_methods
from tests.mention import unmentioned

BREAST, ADRENAL, DIGITS = (find_dataset(name) for name in ("breast", "adrenal3d", "digits"))
AUCM = TrainConfig(loss="aucm_v2", class_means="running", optimizer="adam", learning_rate=2e-4)
CROSS_ENTROPY = TrainConfig(loss="cross_entropy", weight_average="ema", ema_decay=0.9)


def named(name: str) -> Method:
    (found,) = find_methods([name])
    return found


def meant_for(config: TrainConfig, dataset: str) -> set[str]:
    return {method.name for method in METHODS if method.is_meant_for(config, find_dataset(dataset))}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("recipe", [AUCM, CROSS_ENTROPY], ids=lambda recipe: recipe.loss)
def test_a_method_is_on_where_it_was_turned_on_and_off_where_it_was_turned_off(
    method: Method, recipe: TrainConfig
) -> None:
    assert method.on.keys() | method.off.keys() <= settings().keys()
    if method.is_meant_for(recipe, BREAST):
        assert method.is_on(method.turned(recipe, on=True))
        assert not method.is_on(method.turned(recipe, on=False))
        assert method.is_on(method.switched(recipe)) is not method.is_on(recipe)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_setting_of_a_method_has_an_effect_together_with_its_others(method: Method) -> None:
    recipes = (AUCM, CROSS_ENTROPY)
    turned = [method.turned(recipe, on=True).model_dump() for recipe in recipes]
    assert any(all(applies(name, values) for name in method.on) for values in turned)


def test_every_method_applies_to_a_shipped_recipe() -> None:
    recipes = [
        (spec, spec.config(start.values))
        for spec in map(default_spec, ("breast", "pneumonia", "adrenal3d"))
        for start in spec.start
    ]
    unused = [one.name for one in METHODS if not any(one.is_meant_for(config, spec.data) for spec, config in recipes)]
    assert unused == []


@pytest.mark.parametrize(
    ("name", "recipe", "is_on"),
    [
        ("AUCM", {"loss": "aucm_v1", "class_means": "learned"}, True),
        ("AUCM", {"loss": "cross_entropy"}, False),
        ("lion", {"optimizer": "lion", "learning_rate": 5e-4}, True),
        ("adamw", {"optimizer": "adamw", "weight_decay": 1e-5}, True),
        ("adamw", {"optimizer": "adam", "weight_decay": 0.1}, False),
        ("label smoothing", {"loss": "cross_entropy", "label_smoothing": 0.0}, False),
        ("weight decay", {"weight_decay": 1e-6}, True),
    ],
)
def test_a_method_is_told_by_its_choices_or_without_any_by_its_numbers(
    name: str, recipe: dict[str, Any], is_on: bool
) -> None:
    assert named(name).is_on(TrainConfig(**recipe)) is is_on


def test_names_are_unique() -> None:
    assert len({method.name for method in METHODS}) == len(METHODS)


def test_another_decay_is_the_same_method_and_a_share_of_nothing_is_none() -> None:
    assert named("ema").is_on(CROSS_ENTROPY)
    assert named("ema").switched(CROSS_ENTROPY).weight_average == "none"
    warm = named("cross-entropy warm start")
    assert warm.is_on(AUCM.model_copy(update={"cross_entropy_share": 0.07}))
    assert not warm.is_on(AUCM)


def test_a_number_counts_for_the_method_on_whose_side_it_lies() -> None:
    small = AUCM.model_copy(update={"input_size": 14})
    assert named("14 pixels").switched(small).input_size == 28
    assert named("42 pixels").switched(small).input_size == 42


def test_a_method_that_is_put_in_takes_the_place_of_another_one() -> None:
    cropped = AUCM.model_copy(update={"augmentation": "crop"})
    assert named("mixup").switched(cropped).augmentation == "mixup"
    assert named("crop").switched(cropped).augmentation == "none"


def test_methods_of_a_loss_or_kind_of_data_are_meant_for_these_only() -> None:
    assert {"running class means", "AUCM without prior", "epoch decay"} <= meant_for(AUCM, "breast")
    assert not {"running class means", "AUCM without prior", "epoch decay"} & meant_for(CROSS_ENTROPY, "breast")
    assert "shape multiplier" in meant_for(AUCM, "adrenal3d") - meant_for(AUCM, "breast")
    assert "14 pixels" in meant_for(AUCM, "breast") - meant_for(AUCM, "digits"), "digits have 8 pixels"


def test_switching_changes_what_the_method_names_and_nothing_else() -> None:
    before, after = meaning(AUCM, BREAST), meaning(named("swa").switched(AUCM), BREAST)
    assert {name for name in before | after if before.get(name) != after.get(name)} == {"weight_average", "swa_start"}


def test_methods_are_found_in_their_order_and_a_wrong_name_is_told_with_the_nearest() -> None:
    assert find_methods([]) == tuple(method for method in METHODS if not method.needs_files)
    assert [method.name for method in find_methods(["co-training"])] == ["co-training"]
    assert [method.name for method in find_methods(["mixup", "ema"])] == ["ema", "mixup"]
    with pytest.raises(UsageError) as refused:
        find_methods(["mixupp"])
    assert unmentioned(refused.value, "mixupp", "mixup") == []


def test_a_change_of_ones_own_is_put_in_as_it_is_and_taken_out_of_nothing() -> None:
    (slower,) = find_methods(["learning_rate = 0.0001"])
    assert slower.name == "learning_rate=0.0001"
    assert slower.switched(AUCM).learning_rate == 1e-4
    assert slower.switched(AUCM.model_copy(update={"learning_rate": 5e-5})).learning_rate == 1e-4
    assert not slower.is_meant_for(AUCM.model_copy(update={"learning_rate": 1e-4}), BREAST)


def test_a_change_may_have_several_settings_and_its_name_can_be_typed_again() -> None:
    ema, change = find_methods(["co_training=pneumonia,co_training_share=0.3", "ema"])
    assert (ema.name, change.name) == ("ema", "co_training=pneumonia,co_training_share=0.3")
    assert change.on == {"co_training": "pneumonia", "co_training_share": 0.3}
    (masks,) = find_methods(["shape_multiplier=true"])
    assert find_methods([masks.name]) == (masks,)


@pytest.mark.parametrize(
    ("change", "mentioned"),
    [
        ("learning_rat=0.1", ("learning_rat", "learning_rate")),
        ("learning_rate=fast", ("learning_rate", "fast", "number")),
        ("margin=7000", ("margin", "7000", "range")),
        ("loss=aucm_v3", ("aucm_v3", "aucm_v2")),
        ("margin=1,", ("SETTING=VALUE",)),
        ("margin=1,margin=2", ("SETTING=VALUE",)),
        ("=1", ("SETTING=VALUE",)),
    ],
)
def test_a_change_that_is_none_is_refused(change: str, mentioned: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refused:
        find_methods([change])
    assert unmentioned(refused.value, *mentioned) == []
