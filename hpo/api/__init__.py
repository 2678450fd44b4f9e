"""The functions behind `import hpo`, from a study to its report; docs/python-api.md shows them at work."""

from hpo.api.results import best, confirm, finalize, methods, report, trials_dataframe
from hpo.api.studies import create_study, launch, load_spec, open_study
from hpo.api.training import run_worker, train_trial

__all__ = [
    "best",
    "confirm",
    "create_study",
    "finalize",
    "launch",
    "load_spec",
    "methods",
    "open_study",
    "report",
    "run_worker",
    "train_trial",
    "trials_dataframe",
]
