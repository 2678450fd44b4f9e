"""Where workers run: processes on this machine, jobs of a cluster.

The package can be called: `hpo.launch(...)` is `hpo.api.launch(...)`, whose name in the public interface is the name of
this package, too.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call `hpo.api.launch`, which lies above this package and is imported by name for that reason."""
        return import_module("hpo.api").launch(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
