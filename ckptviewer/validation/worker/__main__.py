"""Starts the worker; nothing that may print is imported before its channel is set apart."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

_NAME = "_ckptviewer_worker"


def _package() -> Any:
    """This directory as a package of a name that no model's code has."""
    here = os.path.dirname(os.path.abspath(__file__))
    # Python put it first on the path, where our `data.py` would be taken for the user's.
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    spec = importlib.util.spec_from_file_location(
        _NAME, os.path.join(here, "__init__.py"), submodule_search_locations=[here]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = package
    spec.loader.exec_module(package)
    return importlib.import_module(_NAME + ".serving")


if __name__ == "__main__":
    sys.exit(_package().main())
