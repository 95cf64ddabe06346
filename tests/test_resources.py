"""Shipped files are found in a checkout and in a frozen app; for a wheel see test_packaging."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.resources import MissingResourceError, demo_checkpoint, resource

CHECKOUT = Path(__file__).resolve().parent.parent


def test_checkout() -> None:
    assert resource("icons/ckptviewer.svg") == CHECKOUT / "resources/icons/ckptviewer.svg"
    prefix = demo_checkpoint()
    assert prefix.parent == CHECKOUT / "resources/demo"
    assert Path(f"{prefix}.index").is_file()
    assert not prefix.exists()


def test_frozen_application(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unpacked = tmp_path / "ckptviewer" / "resources-data"
    shutil.copytree(CHECKOUT / "resources" / "icons", unpacked / "icons")
    shutil.copytree(CHECKOUT / "resources" / "demo", unpacked / "demo")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "_MEIPASS", os.fspath(tmp_path), raising=False)
    assert resource("icons/ckptviewer.svg") == unpacked / "icons" / "ckptviewer.svg"
    assert demo_checkpoint().parent == unpacked / "demo"


def test_frozen_application_without_its_data_does_not_look_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "_MEIPASS", os.fspath(tmp_path), raising=False)
    with pytest.raises(MissingResourceError):
        demo_checkpoint()


def test_missing_file_says_what_where_and_remedy() -> None:
    with pytest.raises(MissingResourceError) as caught:
        resource("icons/no-such.svg")
    error = caught.value
    assert isinstance(error, CkptviewerError)
    assert isinstance(error, FileNotFoundError)
    assert "icons/no-such.svg" in error.what
    assert error.where == os.fspath(CHECKOUT / "resources")
    assert "install ckptviewer again" in error.remedy


@pytest.mark.parametrize("outside", ["../pyproject.toml", "icons/../../LICENSE", "/etc/passwd"])
def test_paths_out_of_the_resources_are_refused(outside: str) -> None:
    with pytest.raises(ValueError, match="not a path inside the resources"):
        resource(outside)
