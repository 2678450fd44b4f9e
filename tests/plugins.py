"""A distribution with plug-ins, written into a folder, as pip would have installed it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpo.launch.backends.base import BACKENDS
from hpo.registry import Registry
from hpo.search.worker.reporter import REPORTERS
from hpo.study import choices
from hpo.study.catalogue import DATASETS
from hpo.study.sealed_loaders import TEST_LOADERS


class Shapes:
    """Something to refer to by `module:attribute`."""

    @staticmethod
    def line() -> int:
        """Return the number of ends of a line."""
        return 2


def write_distribution(folder: Path, points: dict[str, str], **modules: str) -> None:
    """Write modules and a `.dist-info` whose entry points in the group `hpo.plugins` are `points`.

    Args:
        folder: to be put on `sys.path`.
        points: "module" or "module:function" by the name of the entry point.
        modules: source text by the name of the module.
    """
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    about = folder / "example_plugin-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: example-plugin\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (about / "entry_points.txt").write_text("\n".join(["[hpo.plugins]", *lines]) + "\n")


@contextmanager
def kept_registries() -> Iterator[None]:
    """Context at whose end the built-in registries hold what they held before."""
    registries = [value for value in vars(choices).values() if isinstance(value, Registry)]
    registries += [BACKENDS, REPORTERS, DATASETS, TEST_LOADERS]
    before = [dict(registry._entries) for registry in registries]
    try:
        yield
    finally:
        for registry, entries in zip(registries, before, strict=True):
            registry._entries = entries
