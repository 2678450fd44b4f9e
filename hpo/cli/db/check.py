"""Implement `hpo db check`: check whether this hpo can work on a database."""

from __future__ import annotations

import click

from hpo.cli.common import json_option, print_json, storage_option
from hpo.cli.doctor import print_finding
from hpo.errors import StorageError
from hpo.launch.doctor.database import judge
from hpo.search.admin.health import examine
from hpo.search.database.address import resolve_address


@click.command()
@storage_option
@json_option
def check(storage: str | None, as_json: bool) -> int:
    """Show what `hpo doctor` finds about the database. Exit code 5 if this hpo cannot work on it."""
    facts = examine(resolve_address(storage))
    findings = list(judge(facts, needs_tables=True))
    problems = [f"{finding.text}; {finding.cure}" for finding in findings if finding.verdict == "fault"]
    if as_json:
        # `host` was the host working on a SQLite file, when hpo still stored it.
        print_json({**vars(facts), "host": None, "problems": problems})
    else:
        for finding in findings:
            print_finding(finding)
    return StorageError.exit_code if problems else 0
