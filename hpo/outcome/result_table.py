"""A final result as the rows of a table, for spreadsheets and pandas."""

from __future__ import annotations

from hpo.outcome.final import Final
from hpo.outcome.judgement import Judgement
from hpo.study.choices import loss_family

RESULT_COLUMNS = (
    *("study", "dataset", "configuration", "is_reference", "is_winner", "loss_family", "epochs", "networks"),
    *("test_auc", "spread", "low", "high", "accuracy", "accuracy_low", "accuracy_high", "sensitivity", "specificity"),
)
"""One row for each configuration: mean test AUC with the 95 % interval that verdicts use, accuracy at the thresholds of
the development set."""


def result_rows(final: Final, judgement: Judgement) -> list[dict[str, object]]:
    """Return a row for each configuration of a final result, the winner first, by `RESULT_COLUMNS`."""
    result = final.result
    return [
        {
            "study": result.study,
            "dataset": result.dataset,
            "configuration": entry.name,
            "is_reference": entry.is_reference,
            "is_winner": entry.name == result.winner,
            "loss_family": loss_family(str(result.entry(entry.name).config.get("loss", ""))),
            "epochs": result.epochs(entry.name),
            "networks": len(entry.aucs),
            "test_auc": entry.mean,
            "spread": entry.spread,
            "low": entry.interval.low,
            "high": entry.interval.high,
            "accuracy": entry.accuracy.value,
            "accuracy_low": entry.accuracy.low,
            "accuracy_high": entry.accuracy.high,
            "sensitivity": None if entry.sensitivity is None else entry.sensitivity.value,
            "specificity": None if entry.specificity is None else entry.specificity.value,
        }
        for entry in judgement.entries
    ]
