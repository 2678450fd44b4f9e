"""Whole numbers in their ranges, as options and arguments give them."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.errors import UsageError
from hpo.study.ranges import ANY_COUNT, FOLDS, Whole
from tests.mention import unmentioned


@pytest.mark.parametrize("value", [2, 20, np.int64(5), None])
def test_a_whole_number_inside_the_range_or_none_at_all_passes(value: object) -> None:
    FOLDS.check("--folds", value)


@pytest.mark.parametrize("value", [1, 21, -3, 4.5, 4.0, "4", True, float("nan")])
def test_anything_else_is_refused_with_the_range(value: object) -> None:
    with pytest.raises(UsageError) as refused:
        FOLDS.check("--folds", value)
    assert unmentioned(refused.value, "--folds", value, 2, 20) == []


def test_a_range_may_have_no_upper_end() -> None:
    ANY_COUNT.check("--limit", 10**9)
    with pytest.raises(UsageError):
        ANY_COUNT.check("--limit", 0)
    assert Whole(1) == (1, None)
