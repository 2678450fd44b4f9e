"""Implement `hpo trials`: list every trial of a study, or show one with its curve and record."""

from __future__ import annotations

import dataclasses

import click

from hpo.cli.common import json_option, optional_study_argument, print_json, storage_option
from hpo.cli.csv_file import check_formats, csv_option, write_csv
from hpo.cli.looking import look_at_study
from hpo.cli.render.page import page
from hpo.cli.render.trials import record_table, trials_table
from hpo.search.queries.tables import TIMES, trial_columns, trial_rows
from hpo.search.queries.trials import read_curve, read_record, read_trials
from hpo.search.study import Study
from hpo.training.report import EpochReport

_CURVE_COLUMNS = ("epoch", "auc", "standard_error", "fold_aucs", "training_auc", "training_loss", "seconds")


@click.command()
@optional_study_argument
@click.argument("number", metavar="[TRIAL]", required=False, type=click.IntRange(min=0))
@storage_option
@json_option
@csv_option
def trials(
    study_name: str | None, number: int | None, storage: str | None, as_json: bool, csv_file: str | None
) -> None:
    """List every trial of STUDY, or show one TRIAL in full.

    In full: its curve, and the record of everything needed to reproduce it. With --csv: all trials, a row each, or the
    curve of one, a row for each epoch.
    """
    check_formats(as_json=as_json, csv_file=csv_file)
    study = look_at_study(study_name, storage, number_in="hpo trials STUDY N")
    if csv_file is not None:
        _write_csv(study, number, csv_file)
        return
    if number is None:
        rows = read_trials(study)
        if as_json:
            print_json(rows)
        else:
            page().print(trials_table(study.name, rows))
        return
    record, curve = read_record(study, number), read_curve(study, number)
    if as_json:
        stored = {} if record is None else record.model_dump(mode="json")
        print_json({"number": number, "record": stored, "curve": [_point(point) for point in curve]})
    else:
        page().print(record_table(study.name, number, record, curve))


def _write_csv(study: Study, number: int | None, target: str) -> None:
    if number is None:
        write_csv(target, trial_rows(study), trial_columns(study), times=TIMES)
        return
    # An error if there is no such trial; one without reports has a curve without rows.
    read_record(study, number)
    write_csv(target, [_epoch(report) for report in read_curve(study, number)], _CURVE_COLUMNS)


def _epoch(report: EpochReport) -> dict[str, object]:
    """Return one report as a row: a column for each value, the AUCs of folds separated by blanks."""
    return _point(report) | {"fold_aucs": " ".join(map(str, report.fold_aucs))}


def _point(report: EpochReport) -> dict[str, object]:
    """Return one report for JSON, without the ROC, which is in the record."""
    return {key: value for key, value in dataclasses.asdict(report).items() if key != "roc"}
