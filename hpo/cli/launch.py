"""Implement `hpo launch`: create or resume a study, and run its workers."""

from __future__ import annotations

from pathlib import Path

import click

from hpo.cli.common import UserPath, set_option
from hpo.cli.completers import complete_datasets, complete_studies
from hpo.cli.render.page import page
from hpo.cli.render.trials import ranked_table
from hpo.cli.streams import say, show
from hpo.cli.work import Work, exit_code, prepare_job, print_script, start, waits, work_options
from hpo.errors import UsageError
from hpo.launch.backends.slurm.submit import test_only as test_job
from hpo.launch.session import MOST_HOURS, check_hours
from hpo.launch.starting import with_starts_from
from hpo.search.creation import BudgetRule
from hpo.search.queries.trials import read_best
from hpo.search.study import open_named_study
from hpo.study.files import default_spec, load_spec
from hpo.study.ranges import TOP
from hpo.study.spec import StudySpec
from hpo.text import shell


@click.command()
@click.argument("source", metavar="[DATASET|FILE.npz|FILE.toml]", required=False, shell_complete=complete_datasets)
@click.option(
    "--dataset",
    metavar="NAME|FILE.npz",
    shell_complete=complete_datasets,
    help="The same as DATASET: one of the nine, whose study file ships with hpo, or a data file of your own.",
)
@click.option(
    "--study-file",
    metavar="FILE",
    type=UserPath(),
    help="The same as FILE.toml: a study file of your own.",
)
@click.option("--name", metavar="STUDY", help="Name of the study.  [default: that of the dataset or file]")
@click.option(
    "--trials", metavar="N", type=click.IntRange(min=1), help="Finished trials in all.  [default: the file's]"
)
@click.option(
    "--from",
    "sources",
    metavar="STUDY[@STORAGE]",
    multiple=True,
    shell_complete=complete_studies,
    help="Start a new study from the best trials of another one, of any dataset; may be repeated.",
)
@click.option(
    "--from-top",
    metavar="K",
    type=click.IntRange(*TOP),
    default=3,
    show_default=True,
    help="How many of the best trials --from takes.",
)
@click.option(
    "--hours",
    metavar="H",
    type=click.FloatRange(min=0, min_open=True, max=MOST_HOURS),
    help="Stop local workers after H hours; without --trials, as many trials as fit by estimate.",
)
@click.option("--fewer", is_flag=True, help="Let --trials lower the number of trials; running ones are finished.")
@click.option("--extend", is_flag=True, help="Let wider ranges and more choices widen a study that exists.")
@set_option
@work_options
@click.option("--test-only", is_flag=True, help="With --on slurm: ask the cluster about the job, submit nothing.")
@click.option("--dry-run", is_flag=True, help="With --on slurm: print the script, submit and store nothing.")
def launch(
    source: str | None,
    dataset: str | None,
    study_file: Path | None,
    name: str | None,
    trials: int | None,
    sources: tuple[str, ...],
    from_top: int,
    hours: float | None,
    fewer: bool,
    extend: bool,
    overrides: tuple[str, ...],
    work: Work,
    test_only: bool,
    dry_run: bool,
) -> int:
    """Create or resume a study and train until its trials are finished.

    Data that are not there are downloaded. Ctrl-C stops cleanly; the same command resumes. A larger --trials extends a
    finished study. With --name alone a study goes on with its stored settings. With --on slurm the workers are jobs,
    which outlive this command.
    """
    if name is not None and (source, dataset, study_file) == (None, None, None):
        spec = _stored_spec(name, trials, overrides, work)
    else:
        spec = _spec(source, dataset, study_file, (*overrides, *((f"budget.trials={trials}",) if trials else ())))
    name = spec.data.study_name if name is None else name
    if hours is not None:
        check_hours(work["on"])
    if dry_run:
        print_script(prepare_job(name, work))
        return 0
    if test_only:
        show(test_job(prepare_job(name, work)))
        return 0
    if sources:
        spec = with_starts_from(spec, sources, name=name, storage=work["storage"], count=from_top)
    budget: BudgetRule = "keep" if trials is None else "set" if fewer else "extend"
    sets_trials = hours is not None and trials is None
    launched = start(spec, name, work, budget=budget, hours=hours, sets_trials=sets_trials, extend=extend)
    if waits(work):
        page().print(ranked_table(name, read_best(launched.study, count=10)))
    if launched.is_done:
        quoted = shell(name)
        say(f"look: hpo trials {quoted}, hpo dashboard {quoted}; more trials: the same command, larger --trials")
        say(f"next: hpo confirm {quoted}")
    return exit_code(work, is_done=launched.is_done)


def _stored_spec(name: str, trials: int | None, overrides: tuple[str, ...], work: Work) -> StudySpec:
    """Return the spec of a study that exists, perhaps with another number of trials."""
    study = open_named_study(name, work["storage"])
    spec, plan = study.spec, study.spec.plan
    if plan is not None:
        raise UsageError(f"study {name} goes on with `{plan.command(spec.data.source, name)}`")
    if overrides:
        raise UsageError(f"study {name} keeps its settings; leave out --set, or give its study file, and --extend")
    if trials is None:
        return spec
    return spec.model_copy(update={"budget": spec.budget.model_copy(update={"trials": trials})})


def _spec(source: str | None, dataset: str | None, study_file: Path | None, overrides: tuple[str, ...]) -> StudySpec:
    if sum(given is not None for given in (source, dataset, study_file)) != 1:
        raise UsageError(
            "give one of DATASET (or --dataset NAME) and FILE.toml (or --study-file FILE); --name STUDY alone goes on "
            "with a study that exists"
        )
    if study_file is None and source is not None and source.endswith(".toml"):
        study_file = Path(source)
    return load_spec(study_file, overrides) if study_file else default_spec(source or dataset or "", overrides)
