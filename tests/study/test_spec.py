"""Study files: what is accepted, what is refused, and what is named where it is refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hpo.errors import StudyFileError, UsageError
from hpo.study.baselines import CROSS_ENTROPY, LIBAUC, baselines
from hpo.study.catalogue import DATASETS, find_dataset
from hpo.study.choices import AUGMENTATIONS
from hpo.study.config import TrainConfig, applies, problem_of, settings
from hpo.study.files import builtin_study_file, check_spec, default_spec, load_spec
from hpo.study.overrides import apply_overrides
from hpo.study.space import suggestion_order
from hpo.study.spec import differences
from tests.mention import unmentioned


def problems_of(table: dict) -> list[str]:
    with pytest.raises(StudyFileError) as caught:
        check_spec(table, "a.toml")
    assert caught.value.source == "a.toml"
    return caught.value.problems


def the_problem_of(table: dict) -> str:
    (problem,) = problems_of(table)
    return problem


@pytest.mark.parametrize("dataset", [dataset.name for dataset in DATASETS])
def test_every_dataset_has_a_study_file_that_is_right(dataset: str) -> None:
    spec = load_spec(builtin_study_file(dataset))
    assert spec.dataset == dataset
    searched = {"margin", "learning_rate", "augmentation"}
    if dataset != "digits-hard":  # Twelve trials cannot tell as many settings apart.
        searched |= {"epoch_decay", "weight_decay", "resplit"}
    assert searched <= spec.space.keys()


def test_official_names_are_accepted_in_any_case() -> None:
    assert find_dataset("AdrenalMNIST3D") is find_dataset("adrenal3d")


def test_an_unknown_dataset_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as refused:
        find_dataset("adrenl3d")
    assert unmentioned(refused.value, "adrenl3d", "adrenal3d") == []


def test_all_faults_are_told_at_once_with_the_nearest_legal_names() -> None:
    problems = problems_of(
        {
            "dataset": "brest",
            "scorng": {},
            "scoring": {"folds": 1, "fold": 3},
            "budget": {"trials": 0},
            "fixed": {"los": "aucm_v1", "batch_size": 8.5},
            "space": {
                "epoch_deacy": {"low": 0.0, "high": 0.1},
                "margin": {"low": 0.9, "high": 0.5},
                "learning_rate": {"low": 0.0, "high": 0.1, "log": True},
                "momentum": {"low": 0.1},
                "augmentation": {"choices": ["none", "rotat"]},
                "weight_decay": 0.1,
            },
        }
    )
    facts = [
        ("scorng", "scoring"),
        ("dataset", "brest", "breast"),
        ("scoring", "fold", "folds"),
        ("scoring", "folds", 1, 2),
        ("budget", "trials", 0, 1),
        ("fixed", "los", "loss"),
        ("fixed", "batch_size", 8.5),
        ("space.epoch_deacy", "epoch_decay"),
        ("space.margin", "low", 0.9, "high", 0.5),
        ("space.learning_rate", "low", 0.0, 1e-06, 1),
        ("space.momentum", "low", "high", "choices"),
        ("space.augmentation", "rotat", *AUGMENTATIONS.names()),
        ("space.weight_decay", 0.1, "low", "high", "choices", "fixed"),
    ]
    assert [unmentioned(problem, *named) for problem, named in zip(problems, facts, strict=True)] == [[]] * len(facts)


def test_a_setting_in_both_sections_is_refused() -> None:
    table = {"dataset": "breast", "fixed": {"margin": 0.5}, "space": {"margin": {"low": 0.1, "high": 1.0}}}
    assert unmentioned(the_problem_of(table), "margin", "fixed", "space") == []


def test_a_setting_that_can_never_mean_anything_is_refused() -> None:
    table = {"dataset": "breast", "fixed": {"loss": "cross_entropy"}, "space": {"margin": {"low": 0.1, "high": 1.0}}}
    assert unmentioned(the_problem_of(table), "margin", "loss", "aucm_v1", "aucm_v2") == []


def test_a_share_of_positives_is_refused_for_many_labels() -> None:
    table = {"dataset": "chest", "fixed": {"batching": "fixed_share"}}
    assert unmentioned(the_problem_of(table), "batching", "fixed_share", "chest", 14) == []


def test_official_selection_is_refused_where_the_official_rows_are_scored_on() -> None:
    table = {"dataset": "breast", "scoring": {"rows": "official"}, "space": {"resplit": {"choices": ["official"]}}}
    assert unmentioned(the_problem_of(table), "resplit", "official") == []


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("dataset = [", ("TOML",)),
        ("", ("dataset", *(dataset.name for dataset in DATASETS))),
        ('dataset = "breast"\nspace = 3', ("space",)),
        ('dataset = "breast"\nbudget = 3', ("budget",)),
    ],
)
def test_a_malformed_file_is_one_problem(tmp_path: Path, text: str, facts: tuple[str, ...]) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(StudyFileError) as caught:
        load_spec(path)
    (problem,) = caught.value.problems
    assert unmentioned(problem, *facts) == []
    assert unmentioned(caught.value, path, 1) == []


def test_a_missing_file_and_bytes_that_are_no_text_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError) as caught:
        load_spec(tmp_path / "none.toml")
    assert unmentioned(caught.value, tmp_path / "none.toml", os.strerror(errno.ENOENT)) == []
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyFileError, match="UTF-8"):
        load_spec(tmp_path / "b.toml")


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text('dataset = "digits"\n', encoding="utf-8-sig")
    assert load_spec(tmp_path / "b.toml").dataset == "digits"


def test_one_number_written_in_two_ways_is_a_duplicate(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('dataset = "digits"\n[space.margin]\nchoices = [1, 1.0]\n')
    with pytest.raises(StudyFileError, match="duplicates"):
        load_spec(tmp_path / "s.toml")


def test_overrides_reach_values_ranges_and_fixed_settings() -> None:
    path = builtin_study_file("breast")
    spec = load_spec(path, ("budget.epochs=1", "space.margin.low=0.5", "fixed.loss=aucm_v2", "search.sampler=random"))
    assert spec.budget.epochs == 1
    assert spec.space["margin"].low == 0.5
    assert spec.fixed["loss"] == "aucm_v2"
    assert "loss" not in spec.space
    assert spec.search.sampler == "random"


def test_an_override_can_turn_a_range_into_choices_and_back() -> None:
    table = {"dataset": "breast", "space": {"margin": {"low": 0.1, "high": 1.0}}}
    apply_overrides(table, ("space.margin.choices=[0.6, 1.0]",))
    assert check_spec(table, "a").space["margin"].choices == (0.6, 1.0)
    apply_overrides(table, ("space.margin.low=0.2", "space.margin.high=0.4"))
    assert check_spec(table, "a").space["margin"].high == 0.4


@pytest.mark.parametrize("text", ["budget.epochs", "=3", "budget..epochs=3", "dataset.name=3"])
def test_a_malformed_override_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        apply_overrides({"dataset": "breast"}, (text,))


def test_the_fingerprint_ignores_the_number_of_trials_and_nothing_else() -> None:
    path = builtin_study_file("breast")
    spec = load_spec(path)
    assert load_spec(path, ("budget.trials=7",)).fingerprint() == spec.fingerprint()
    assert load_spec(path, ("budget.epochs=7",)).fingerprint() != spec.fingerprint()


def test_differences_name_both_values() -> None:
    path = builtin_study_file("breast")
    stored, asked = load_spec(path), load_spec(path, ("space.margin.low=0.5", "fixed.optimizer=adam"))
    lines = differences(stored.canonical(), asked.canonical())
    for facts in (("space.margin.low", 0.1, 0.5), ("fixed.optimizer", "adam")):
        assert len([line for line in lines if unmentioned(line, *facts) == []]) == 1


def test_every_setting_has_a_description_and_a_legal_default() -> None:
    for setting in settings().values():
        assert setting.description, setting.name
        assert problem_of(setting.name, setting.default) is None


def test_a_configuration_outside_its_domains_cannot_be_made() -> None:
    with pytest.raises(ValueError, match=r"margin\b.*\b1\.5\b.*\b0\b.*\b1\b"):
        TrainConfig(margin=1.5)


def test_conditions_hold_through_chains_and_defaults() -> None:
    assert applies("positive_share", {"batching": "fixed_share"})
    assert not applies("positive_share", {})
    assert not applies("margin", {"loss": "cross_entropy"})
    assert "positive_share" not in TrainConfig().active()


def test_settings_are_suggested_after_those_they_depend_on() -> None:
    order = suggestion_order(load_spec(builtin_study_file("breast")).space)
    assert order.index("augmentation") < order.index("augmentation_strength")
    assert order.index("loss") < order.index("margin")
    assert len(order) == len(set(order))


def test_baselines_are_the_published_recipes_and_share_the_fidelity_of_the_study() -> None:
    spec = load_spec(builtin_study_file("adrenal3d"), ("fixed.input_size=14", "fixed.clip=0.5"))
    found = baselines(spec)
    assert list(found) == [CROSS_ENTROPY, LIBAUC]
    recipe, libauc = found[CROSS_ENTROPY], found[LIBAUC]
    assert (recipe.loss, recipe.optimizer, recipe.learning_rate, recipe.clip) == ("cross_entropy", "adam", 1e-3, 0.0)
    assert (libauc.loss, libauc.learning_rate, libauc.margin, libauc.epoch_decay) == ("aucm_v1", 0.01, 1.0, 0.003)
    assert {config.batch_size for config in found.values()} == {32}
    assert {config.input_size for config in found.values()} == {14}
    assert libauc.clip == 1.0


def test_a_study_may_go_without_baselines() -> None:
    assert baselines(load_spec(builtin_study_file("breast"), ("search.references=false",))) == {}


def test_fixing_a_setting_takes_out_the_settings_that_then_mean_nothing() -> None:
    spec = load_spec(builtin_study_file("breast"), ("fixed.loss=cross_entropy",))
    assert not {"loss", "margin", "epoch_decay", "cross_entropy_share"} & spec.space.keys()


def test_it_takes_out_what_depends_on_those_settings_too() -> None:
    shares = ('space.positive_share_schedule.choices=["constant", "linear"]', "fixed.positive_share_end=0.3")
    searched = ('space.batching.choices=["random", "fixed_share"]', *shares)
    path = builtin_study_file("breast")
    assert load_spec(path, searched).fixed["positive_share_end"] == 0.3
    spec = load_spec(path, (*searched, "fixed.batching=random"))
    assert not {"positive_share", "positive_share_schedule", "positive_share_end"} & {*spec.space, *spec.fixed}


BIG = ("9" * 5000, "0x" + "f" * 4500, "[" * 2000, "[" * 500 + "]" * 500, "1e999", "1979-05-27", '"' + "z" * 9000 + '"')


@pytest.mark.parametrize("value", BIG, ids=lambda value: value[:4])
@pytest.mark.parametrize(
    "key", ["budget.epochs", "fixed.margin", "fixed.loss", "space.margin.low", "space.loss.choices", "x"]
)
def test_a_value_of_any_size_is_a_problem_with_a_short_text(key: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f'dataset = "digits"\n{key} = {value}\n')
    with pytest.raises(StudyFileError) as caught:
        load_spec(path)
    assert len(str(caught.value)) < 2000
    with pytest.raises((StudyFileError, UsageError)) as refused:
        default_spec("digits", (f"{key}={value}",))
    assert len(str(refused.value)) < 2000


@pytest.mark.parametrize(
    "overrides",
    [
        ("fixed=1", "space.margin.low=0.2"),
        ("space=3", "fixed.margin=0.5"),
        ("budget=1", "budget.epochs=3"),
        ("fixed.margin.x=1",),
        ("space.margin=3", "space.margin.low=0.1"),
        ("dataset.x=1",),
        (".".join("a" * 10_000) + "=1",),
        ("budget.epochs=1\ntrials=2",),
    ],
    ids=lambda overrides: overrides[0][:30],
)
def test_an_override_of_something_else_than_a_key_is_refused(overrides: tuple[str, ...]) -> None:
    with pytest.raises((StudyFileError, UsageError)):
        default_spec("digits", overrides)


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/"])
def test_what_is_no_study_file_is_refused(name: str) -> None:
    with pytest.raises(StudyFileError):
        load_spec(Path(name))
