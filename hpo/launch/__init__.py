"""Run workers: as processes on this machine, or as jobs of a cluster.

The package is callable: `hpo.launch(...)` is `hpo.api.launch(...)`, because this package and that public function share
one name.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call `hpo.api.launch`, imported by name because it is in a layer above this package."""
        return import_module("hpo.api").launch(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
