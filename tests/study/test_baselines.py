"""Baselines as people read them."""

from __future__ import annotations

from hpo.study.baselines import CROSS_ENTROPY, LIBAUC, cut_short, shown_name


def test_a_baseline_says_if_it_was_trained_for_fewer_epochs_than_its_authors_do() -> None:
    assert shown_name(LIBAUC, 20) == "LibAUC defaults (at 20 of its 100 epochs)"
    assert shown_name(CROSS_ENTROPY, 8) == "MedMNIST recipe (at 8 of its 100 epochs)"
    assert shown_name(LIBAUC, 100) == shown_name(LIBAUC) == "LibAUC defaults"
    assert shown_name("trial 3", 20) == "trial 3"
    assert cut_short("trial 3", 20) == cut_short(LIBAUC, None) == ""
