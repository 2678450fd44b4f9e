"""Hyperparameter optimization for Deep AUC Maximization on MedMNIST.

The names of `__all__` are the public interface, which stays: docs/python-api.md shows them at work, docs/extending.md
how to add a dataset, network, loss, augmentation, sampler, pruner, launch backend or reporter. Each is loaded when it
is first asked for, so `import hpo` loads neither torch nor optuna.
"""

from typing import TYPE_CHECKING, Any

# Above every import of this package: its modules read these while they are being loaded.
__version__ = "0.1.0"
# Name as a distribution: on PyPI, `hpo` belongs to another project.
DISTRIBUTION = "hpo-dam"

if TYPE_CHECKING:
    from hpo.api import (
        best,
        confirm,
        create_study,
        finalize,
        launch,
        load_spec,
        methods,
        open_study,
        report,
        run_worker,
        train_trial,
        trials_dataframe,
    )
    from hpo.api.study import Study
    from hpo.errors import (
        DataError,
        DeclinedError,
        DeviceError,
        HpoError,
        OutputError,
        PluginError,
        StorageError,
        StudyConflictError,
        StudyFileError,
        StudyNotFoundError,
        StudyStoppedError,
        UsageError,
        WorkersFailedError,
    )
    from hpo.launch.backends.base import Backend, Cancelled, Jobs, JobState, LaunchRequest, Submission, register_backend
    from hpo.search.strategy.pruner import Pruner, Reached, Rung
    from hpo.search.worker.reporter import ReportedTrial, Reporter, TrialEnd, register_reporter
    from hpo.study.catalogue import Dataset, register_dataset
    from hpo.study.config import TrainConfig
    from hpo.study.registration import (
        register_augmentation,
        register_loss,
        register_network,
        register_pruner,
        register_sampler,
    )
    from hpo.study.spec import Scoring, StudySpec
    from hpo.study.stages import Stage
    from hpo.training.machine.failure import TrainingFailure
    from hpo.training.report import EpochReport

__all__ = [
    "DISTRIBUTION",
    "Backend",
    "Cancelled",
    "DataError",
    "Dataset",
    "DeclinedError",
    "DeviceError",
    "EpochReport",
    "HpoError",
    "JobState",
    "Jobs",
    "LaunchRequest",
    "OutputError",
    "PluginError",
    "Pruner",
    "Reached",
    "ReportedTrial",
    "Reporter",
    "Rung",
    "Scoring",
    "Stage",
    "StorageError",
    "Study",
    "StudyConflictError",
    "StudyFileError",
    "StudyNotFoundError",
    "StudySpec",
    "StudyStoppedError",
    "Submission",
    "TrainConfig",
    "TrainingFailure",
    "TrialEnd",
    "UsageError",
    "WorkersFailedError",
    "__version__",
    "best",
    "confirm",
    "create_study",
    "finalize",
    "launch",
    "load_spec",
    "methods",
    "open_study",
    "register_augmentation",
    "register_backend",
    "register_dataset",
    "register_loss",
    "register_network",
    "register_pruner",
    "register_reporter",
    "register_sampler",
    "report",
    "run_worker",
    "train_trial",
    "trials_dataframe",
]

_MODULES = {
    "hpo.api": (
        *("load_spec", "create_study", "open_study", "run_worker", "train_trial"),
        *("best", "trials_dataframe", "confirm", "methods", "finalize", "report"),
    ),
    "hpo.api.study": ("Study",),
    "hpo.errors": tuple(name for name in __all__ if name.endswith("Error")),
    "hpo.launch.backends.base": (
        *("Backend", "Cancelled", "JobState", "Jobs", "LaunchRequest", "Submission"),
        "register_backend",
    ),
    "hpo.search.strategy.pruner": ("Pruner", "Reached", "Rung"),
    "hpo.search.worker.reporter": ("ReportedTrial", "Reporter", "TrialEnd", "register_reporter"),
    "hpo.study.stages": ("Stage",),
    "hpo.study.catalogue": ("Dataset", "register_dataset"),
    "hpo.study.config": ("TrainConfig",),
    "hpo.study.registration": (
        "register_augmentation",
        "register_loss",
        "register_network",
        "register_pruner",
        "register_sampler",
    ),
    "hpo.study.spec": ("Scoring", "StudySpec"),
    "hpo.training.machine.failure": ("TrainingFailure",),
    "hpo.training.report": ("EpochReport",),
}


def __getattr__(name: str) -> Any:
    """Load a public name from where it is defined (PEP 562)."""
    from importlib import import_module

    if name == "launch":
        # The package of that name, which can be called; importing it makes it an attribute.
        return import_module("hpo.launch")
    for module, names in _MODULES.items():
        if name in names:
            found = getattr(import_module(module), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
