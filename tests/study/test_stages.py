"""The stages of a trial: what is trained and reported, and in which order."""

from __future__ import annotations

import pytest

from hpo.errors import StudyFileError
from hpo.study.files import check_spec
from hpo.study.stages import Stage, make_stages, share_of_next, steps, trained


def stages(*pairs: tuple[int, int]) -> tuple[Stage, ...]:
    return tuple(Stage(folds, epochs) for folds, epochs in pairs)


def test_a_trial_without_rungs_is_one_stage() -> None:
    assert make_stages((), 5, 9) == stages((5, 9))


@pytest.mark.parametrize(
    ("rungs", "expected"),
    [
        (stages((1, 3), (1, 9), (3, 9)), stages((1, 3), (1, 9), (3, 9), (5, 9))),
        (stages((5, 3), (5, 9)), stages((5, 3), (5, 9))),
        # Beyond what there is, the last; not again what has been; no way back.
        (stages((1, 3), (9, 12)), stages((1, 3), (5, 9))),
        (stages((1, 3), (1, 3)), stages((1, 3), (5, 9))),
        (stages((2, 3), (1, 9)), stages((2, 3), (5, 9))),
    ],
)
def test_stages_grow_and_end_with_the_whole_trial(rungs: tuple[Stage, ...], expected: tuple[Stage, ...]) -> None:
    assert make_stages(rungs, 5, 9) == expected


def test_folds_together_are_reported_once_an_epoch() -> None:
    assert steps(stages((2, 1), (2, 3))) == list(stages((2, 1), (2, 2), (2, 3)))


def test_folds_that_come_later_catch_up_together() -> None:
    expected = stages((1, 1), (1, 2), (3, 1), (3, 2), (3, 3))
    assert steps(stages((1, 2), (3, 2), (3, 3))) == list(expected)


@pytest.mark.parametrize("each", [stages((5, 9)), stages((1, 3), (1, 9), (3, 9), (5, 9))])
def test_the_share_of_the_next_report_follows_from_what_is_trained(each: tuple[Stage, ...]) -> None:
    before, had = 0, 0
    for step in steps(each):
        reaches = trained(each, step)
        for share in (0.1, 0.5, 0.9):
            progress = (had + share * (reaches - had)) / each[-1].cost
            assert share_of_next(each, before, progress) == pytest.approx(share)
        before, had = step.epochs, reaches


def test_the_share_of_the_next_report_stays_within_bounds() -> None:
    assert share_of_next(stages((2, 4)), 1, 0.25) == 0.0
    # All its steps are done, but it is being scored.
    assert share_of_next(stages((2, 4)), 0, 0.25 + 1e-9) == 1.0
    assert share_of_next(stages((2, 4)), 4, 1.0) == 0.0


def test_what_is_trained_at_a_report_counts_each_epoch_of_each_fold_once() -> None:
    whole = stages((1, 2), (3, 2), (3, 3))
    assert [trained(whole, report) for report in steps(whole)] == [1, 2, 4, 6, 9]
    assert whole[-1].cost == 9


@pytest.mark.parametrize("second", [{"folds": 1, "epochs": 3}, {"folds": 2, "epochs": 3}, {"folds": 3, "epochs": 1}])
def test_rungs_of_a_study_file_that_do_not_grow_are_refused(second: dict[str, int]) -> None:
    rungs = [{"folds": 2, "epochs": 3}, second]
    with pytest.raises(StudyFileError) as caught:
        check_spec({"dataset": "breast", "search": {"rungs": rungs}}, "a")
    (problem,) = caught.value.problems
    assert "[search] rungs" in problem
    check_spec({"dataset": "breast", "search": {"rungs": [rungs[0], {"folds": 2, "epochs": 4, "keep": 0.5}]}}, "a")
