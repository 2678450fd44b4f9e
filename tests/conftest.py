"""Fixtures for all tests: the real data, and made arrays of the same form (`tests.arrays`)."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

# Before torch is loaded: threads that spin at a barrier slow each other down where tests share the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Before scipy is loaded: on matrices of a few rows, with which tests work, its threads only wait for each other, and a
# logistic regression takes ten times as long. What hpo trains has its own threads, one for each core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# pytest-xdist sets it for its processes, and pages would be as narrow as that.
os.environ.pop("COLUMNS", None)

# A shell starts what it puts in the background with Ctrl-C ignored, and processes of tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# While packages are loaded and tests are collected there is no garbage, only more and more to look through.
gc.disable()

REPOSITORY = Path(__file__).resolve().parents[1]

# `from tests.arrays import ...` works too where pytest starts without the repository on its path.
if str(REPOSITORY) not in sys.path:
    sys.path.append(str(REPOSITORY))

from hpo.data.development import Development  # noqa: E402
from hpo.study.catalogue import Dataset  # noqa: E402
from hpo.study.choices import NETWORKS  # noqa: E402
from tests.arrays import made_development, made_npz  # noqa: E402
from tests.plugins import kept_registries, write_distribution  # noqa: E402

LONG = (
    *("tests/slurm/test_acceptance.py", "tests/training/test_resume.py", "tests/search/test_faults.py"),
    *("tests/cli/test_launch.py", "tests/cli/test_memory.py", "tests/cli/test_confirm.py"),
    *("tests/search/test_optuna_storages.py", "tests/outcome/test_final_network_processes.py"),
    *("tests/training/test_fold_parallel.py", "tests/statistics/test_coverage.py", "tests/project/test_installed.py"),
    *("tests/test_without_linux.py", "tests/training/test_learning.py"),
)
"""Files that come first, so that none begins when the others are done. The first and the third mostly wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files, and leave out what needs Linux where there is none."""
    places = {file: place for place, file in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.location[0], len(places)))
    if sys.platform != "linux":
        for item in items:
            if item.get_closest_marker("linux"):
                item.add_marker(pytest.mark.skip(reason="needs Linux"))


def pytest_collection_finish() -> None:
    """Take what is loaded by now out of garbage collection, with which every trial begins: .3 s in a test process."""
    gc.enable()
    if "sqlalchemy" in sys.modules:
        importlib.import_module("tests.migration_scripts").keep_scripts()
    if "hpo.training.machine.device" in sys.modules:
        _collect_less()
    _freeze()


def _collect_less() -> None:
    """Let a trial look for garbage among the youngest objects only: through all that tests have made it takes .03 s."""
    device = sys.modules["hpo.training.machine.device"]
    device.__dict__["gc"] = SimpleNamespace(collect=partial(gc.collect, 0))


def pytest_runtest_teardown() -> None:
    """Do so again where tests have loaded much more."""
    if len(sys.modules) > _frozen_modules + 100:
        _freeze()


_frozen_modules = 0


def _freeze() -> None:
    global _frozen_modules
    _frozen_modules = len(sys.modules)
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_log_handler_stays() -> Iterator[None]:
    """A command that a test runs in this process logs to stderr, where the next test would see lines of its own."""
    log = logging.getLogger("hpo")
    handlers, level = log.handlers[:], log.level
    yield
    log.handlers[:] = handlers
    log.setLevel(level)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real MedMNIST files: HPO_DATA_DIR, else shared/data beside the repository; else skips the test."""
    named = os.environ.get("HPO_DATA_DIR")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no MedMNIST files: {folder} does not exist; set HPO_DATA_DIR")
    return folder


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What hpo logs during the test, one message each."""
    handler, logger = _Messages(), logging.getLogger("hpo")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.messages
    logger.removeHandler(handler)
    logger.setLevel(before)


@pytest.fixture
def make_npz(tmp_path: Path) -> Callable[..., Dataset]:
    """make_npz(dataset, rows=..., seed=...): writes a small file into tmp_path, returns its dataset."""
    return lambda dataset, **options: made_npz(dataset, tmp_path, **options)


@pytest.fixture
def make_development() -> Callable[..., Development]:
    """make_development(dimensions=2, labels=1, rows=(40, 12), ...): a Development in memory."""
    return partial(made_development)


@pytest.fixture
def development() -> Development:
    """52 rows of 8 x 8 pixels, one label."""
    return made_development()


@pytest.fixture
def development_3d() -> Development:
    """36 rows of 8 x 8 x 8 voxels, one label, masks."""
    return made_development(dimensions=3, rows=(28, 8), is_mask=True)


@pytest.fixture
def development_multi_label() -> Development:
    """200 rows of 8 x 8 pixels, 14 labels."""
    return made_development(labels=14, rows=(160, 40), share=0.1)


QUICK_NETWORK = """
import math
import os
import sys
import time
from pathlib import Path
from hpo import register_network

long_ones = []

def hold(network, inputs):
    # Of the networks that this process trains for 20 steps, waits in that of number HOLD_NETWORK, and tells so.
    network.steps = getattr(network, "steps", 0) + network.training
    if not network.training or network.steps != 20:
        return
    long_ones.append(network)
    folder = Path(os.environ["HOLD_FOLDER"])
    if len(long_ones) == 1 + int(os.environ["HOLD_NETWORK"]):
        (folder / f"held-{os.getpid()}").touch()
        while not (folder / "go-on").exists():
            time.sleep(0.01)

def rest(network, inputs):
    # A worker that trains for minutes leaves the cores to other tests.
    if network.training:
        time.sleep(float(os.environ["STEP_SECONDS"]))

def linear(shape, labels):
    from torch import nn
    network = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), labels))
    for name, hook in (("HOLD_FOLDER", hold), ("STEP_SECONDS", rest)):
        if name in os.environ:
            network.register_forward_pre_hook(hook)
    return network

def register():
    register_network("linear", linear, description="a linear model")
    if sys.argv[1:2] == ["worker"]:
        beat_often()

def beat_often():
    # Workers see within a second that they are to stop, not within 30, which they would spend with training.
    from hpo.search.worker import heartbeat
    heartbeat.BEATS_PER_LEASE = 180
"""


@pytest.fixture(scope="module")
def linear_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`fixed.network=linear`, which trains in no time, an installed plug-in here and in processes that are started."""
    folder = tmp_path_factory.mktemp("plugin")
    write_distribution(folder, {"quick": "quick:register"}, quick=QUICK_NETWORK)
    with kept_registries(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
        patch.syspath_prepend(folder)
        if "linear" not in NETWORKS:
            importlib.import_module("quick").register()
        yield
