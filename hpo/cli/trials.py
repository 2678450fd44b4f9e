"""Implement `hpo trials`: list every trial of a study, or show one with its curve and record."""

from __future__ import annotations

import dataclasses

import click

from hpo.cli.common import json_option, optional_study_argument, print_json, storage_option
from hpo.cli.looking import look_at_study
from hpo.cli.render.page import page
from hpo.cli.render.trials import record_table, trials_table
from hpo.search.queries.trials import read_curve, read_record, read_trials
from hpo.training.report import EpochReport


@click.command()
@optional_study_argument
@click.argument("number", metavar="[TRIAL]", required=False, type=click.IntRange(min=0))
@storage_option
@json_option
def trials(study_name: str | None, number: int | None, storage: str | None, as_json: bool) -> None:
    """List every trial of STUDY, or show one TRIAL in full.

    In full: its curve, and the record of everything needed to reproduce it.
    """
    study = look_at_study(study_name, storage)
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


def _point(report: EpochReport) -> dict[str, object]:
    """Return one report for JSON, without the ROC, which is in the record."""
    return {key: value for key, value in dataclasses.asdict(report).items() if key != "roc"}
