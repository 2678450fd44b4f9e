"""Implement `hpo methods`: measure what each training method does in a good recipe of either loss family."""

from __future__ import annotations

from functools import partial

import click

from hpo.cli.common import json_option, print_json, set_option
from hpo.cli.completers import complete_methods, complete_sources
from hpo.cli.render.page import page
from hpo.cli.streams import show
from hpo.cli.work import Work, exit_code, start, work_options
from hpo.errors import UsageError
from hpo.study.methods import METHODS
from hpo.study.ranges import EPOCHS, FOLDS, REPEATS


@click.command()
@click.argument("source", metavar="[NAME]", required=False, shell_complete=complete_sources)
@click.argument("methods", metavar="[METHOD]...", nargs=-1, shell_complete=complete_methods)
@click.option(
    "--seeds", metavar="N", type=click.IntRange(*REPEATS), help="Repeats of each.  [default: 3, or as stored]"
)
@click.option(
    "--epochs", metavar="N", type=click.IntRange(*EPOCHS), help="Epochs of each trial.  [default: the study's]"
)
@click.option("--folds", metavar="K", type=click.IntRange(*FOLDS), help="Folds of each repeat.  [default: the study's]")
@click.option("--name", metavar="STUDY", help="Name of the study of methods.  [default: NAME-methods]")
@click.option("--markdown", is_flag=True, help="Print Markdown, as in docs/methods.md.")
@set_option
@work_options
@json_option
def methods(
    source: str | None,
    methods: tuple[str, ...],
    seeds: int | None,
    epochs: int | None,
    folds: int | None,
    name: str | None,
    markdown: bool,
    overrides: tuple[str, ...],
    work: Work,
    as_json: bool,
) -> int:
    """Measure what each training METHOD does to NAME.

    NAME is a study, a data set, or a study file (FILE.toml). Its best configuration of each loss family, or the start
    point of the study file, is trained with and without each method; all have the same seeds and folds. It runs like a
    confirmation, as the study NAME-methods: the same command resumes, a larger --seeds adds repeats, further methods
    are added. A METHOD may be a change of your own, SETTING=VALUE, or several with a comma between. Without NAME it
    lists the methods.
    """
    if source is None:
        return _list(markdown, as_json)
    if markdown and as_json:
        raise UsageError("give --markdown or --json, one of the two")

    # Imported late, so that the list does not wait for it.
    from hpo.cli.render.methods import effects_table
    from hpo.outcome.method_plan import MethodWishes
    from hpo.outcome.method_study import find_source, measure_methods

    database, found = find_source(source, work["storage"], overrides)
    wishes = MethodWishes(methods, seeds, epochs, folds, overrides=bool(overrides))
    table = measure_methods(database, found, wishes, train=partial(start, work=work), name=name)
    if as_json:
        print_json(table)
    elif markdown:
        from hpo.outcome.report.document import to_markdown_section
        from hpo.outcome.report.result.methods import methods as section_of

        show(to_markdown_section(section_of(table)))
    elif any(one.difference is not None for recipe in table.recipes for one in recipe.effects):
        page().print(effects_table(table))
    return exit_code(work, is_done=table.done)


def _list(markdown: bool, as_json: bool) -> int:
    from hpo.cli.render.methods import markdown_of, methods_table

    if as_json:
        print_json(list(METHODS))
    elif markdown:
        show(markdown_of(METHODS), end="")
    else:
        page().print(methods_table(METHODS))
    return 0
