"""Choices that plug-ins add, as study files and conditions of settings see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hpo.errors import StudyFileError
from hpo.study.choices import AUCM, CROSS_ENTROPY, LOSSES, PRUNERS, SAMPLERS, loss_family
from hpo.study.config import TrainConfig, applies, settings
from hpo.study.files import check_spec
from hpo.study.overrides import apply_overrides
from hpo.study.registration import register_loss
from hpo.study.spec import StudySpec
from tests.plugins import kept_registries


@pytest.fixture
def hinge() -> Iterator[str]:
    """A loss that uses the margin and nothing else of AUCM's settings; registered for this test."""
    with kept_registries():
        LOSSES.register("hinge", "torch.nn:HingeEmbeddingLoss", uses=("margin",))
        yield "hinge"


def test_a_registered_loss_is_a_legal_value(hinge: str) -> None:
    assert TrainConfig(loss=hinge).loss == hinge
    assert hinge in (settings()["loss"].choices or ())
    assert check_spec({"dataset": "breast", "fixed": {"loss": hinge}}, "a").fixed["loss"] == hinge


def test_both_versions_of_aucm_are_one_family_and_a_registered_loss_may_name_its_own(hinge: str) -> None:
    assert {loss_family(loss) for loss in ("aucm_v1", "aucm_v2")} == {AUCM}
    assert loss_family("cross_entropy") == CROSS_ENTROPY
    assert (loss_family(hinge), loss_family("not-registered")) == (hinge, "not-registered")
    register_loss("third_version", "torch.nn:HingeEmbeddingLoss", family=AUCM)
    assert loss_family("third_version") == AUCM


def test_settings_have_an_effect_with_the_losses_that_use_them(hinge: str) -> None:
    assert applies("margin", {"loss": hinge})
    assert not applies("epoch_decay", {"loss": hinge})
    assert TrainConfig(loss=hinge).has_effect("margin")
    assert not TrainConfig(loss=hinge).has_effect("class_means")
    assert dict(settings()["margin"].when)["loss"] is not None
    users = list(dict(settings()["margin"].when)["loss"])
    assert users == ["aucm_v1", "aucm_v2", "joint", "compositional", "pairwise", "pauc", hinge]


def test_a_study_may_search_what_a_registered_loss_uses_and_no_more(hinge: str) -> None:
    space = {"margin": {"low": 0.1, "high": 1.0}}
    assert "margin" in check_spec({"dataset": "breast", "fixed": {"loss": hinge}, "space": space}, "a").space
    with pytest.raises(StudyFileError) as caught:
        check_spec(
            {"dataset": "breast", "fixed": {"loss": hinge}, "space": {"epoch_decay": {"low": 0.0, "high": 0.1}}}, "a"
        )
    assert len(caught.value.problems) == 1


def test_fixing_a_registered_loss_keeps_the_searched_settings_that_it_uses(hinge: str) -> None:
    space = {"margin": {"low": 0.1, "high": 1.0}, "epoch_decay": {"low": 0.0, "high": 0.1}}
    table = {"dataset": "breast", "space": space}
    apply_overrides(table, (f"fixed.loss={hinge}",))
    assert sorted(check_spec(table, "a").space) == ["margin"]


def test_a_setting_that_came_later_is_part_of_an_identity_only_where_it_is_not_as_before() -> None:
    assert "network" not in TrainConfig().identity()
    assert TrainConfig.model_validate(TrainConfig().identity()) == TrainConfig()
    assert TrainConfig.model_construct(network="other").identity()["network"] == "other"


@pytest.mark.parametrize(("key", "wrong", "nearest"), [("sampler", "tp", "tpe"), ("pruner", "asah", "asha")])
def test_an_unregistered_sampler_or_pruner_is_answered_with_the_nearest(key: str, wrong: str, nearest: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        check_spec({"dataset": "breast", "search": {key: wrong}}, "a")
    (problem,) = caught.value.problems
    assert all(word in problem for word in (f"[search] {key} = '{wrong}'", f"{nearest}?"))


def test_a_registered_sampler_and_pruner_are_legal_in_a_study_file() -> None:
    with kept_registries():
        SAMPLERS.register("grid", "optuna.samplers:GridSampler")
        PRUNERS.register("upper_half", "hpo.search.strategy.pruner:NoPruning")
        spec = check_spec({"dataset": "breast", "search": {"sampler": "grid", "pruner": "upper_half"}}, "a")
        assert StudySpec.model_validate_json(spec.model_dump_json()) == spec
        assert spec.fingerprint() != check_spec({"dataset": "breast"}, "a").fingerprint()


def test_an_unregistered_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="hinge"):
        TrainConfig(loss="hinge")


@pytest.mark.parametrize("uses", [("margin", "epoch_deacy"), "margin", ("loss_margin",)])
def test_settings_that_there_are_not_are_no_settings_of_a_loss(uses: Any) -> None:
    with pytest.raises(ValueError, match="uses"):
        register_loss("misspelt", "torch.nn:HingeEmbeddingLoss", uses=uses)
    assert "misspelt" not in LOSSES
