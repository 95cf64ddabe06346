"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same inputs in every run: what is found by chance belongs to the fuzzing, not here.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")

# Widgets are tested off screen unless the run says otherwise; before anything imports Qt.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep tests and the programs that they start away from the user's cache and history."""
    directory = tmp_path_factory.mktemp("cache")
    os.environ["CKPTVIEWER_CACHE"] = str(directory / "results.sqlite")
    os.environ["CKPTVIEWER_HISTORY"] = str(directory / "validations.sqlite")
    os.environ["XDG_STATE_HOME"] = str(directory / "state")  # the logs of crashes


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
