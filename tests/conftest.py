"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The directory of real checkpoints that nobody of this project wrote."""
    where = os.environ.get("CKPTVIEWER_CORPUS", "")
    path = Path(where)
    if where and path.is_dir():
        return path
    reason = "CKPTVIEWER_CORPUS does not name the directory of real checkpoints"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
