"""Import LibAUC's PESG without the rest of LibAUC.

`import libauc.optimizers` loads scikit-learn, pandas and `scipy.stats` for a utility of another optimizer: as long as
loading torch takes, each time that a worker starts.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

_PACKAGES = ("libauc.optimizers", "libauc.utils")


def _pesg() -> Any:
    """Return the class, of a `libauc` that is loaded whole if there is one."""
    if _PACKAGES[0] in sys.modules:
        return importlib.import_module(_PACKAGES[0]).PESG
    try:
        return _alone()
    except (ImportError, AttributeError):
        # A LibAUC that is laid out in another way.
        return importlib.import_module(_PACKAGES[0]).PESG


def _alone() -> Any:
    """Return the class of modules that are forgotten again."""
    before = {name for name in sys.modules if name.startswith("libauc.")}
    try:
        for name in _PACKAGES:
            spec = importlib.util.find_spec(name)
            if spec is None:
                raise ModuleNotFoundError(name=name)
            # Made and not executed: modules in it can be imported, and it imports none itself.
            sys.modules.setdefault(name, importlib.util.module_from_spec(spec))
        utilities = importlib.import_module("libauc.utils.utils")
        sys.modules["libauc.utils"].is_distributed = utilities.is_distributed  # type: ignore[attr-defined]
        return importlib.import_module("libauc.optimizers.pesg").PESG
    finally:
        # Whoever imports LibAUC later gets the whole of it.
        for name in [name for name in sys.modules if name.startswith("libauc.") and name not in before]:
            del sys.modules[name]


if TYPE_CHECKING:
    from libauc.optimizers import PESG
else:
    PESG = _pesg()

__all__ = ["PESG"]
