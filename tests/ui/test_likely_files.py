"""What lies beside a checkpoint and likely belongs to it, by names alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from ckptviewer.resources import demo_checkpoint
from ckptviewer.ui.likely_files import likely_files
from ckptviewer.ui.models_at_hand import choose_model, likely_model_file
from ckptviewer.ui.panels.restore_view import RestoreView
from tests.ui.conftest import TIMEOUT_MS, Open, idle


def touched(directory: Path, *names: str) -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_models_of_the_checkpoint_come_first(tmp_path: Path) -> None:
    touched(
        tmp_path,
        "model.ckpt-9.index",
        "model.ckpt-10.index",
        "model.ckpt-9.meta",
        "model.ckpt-10.meta",
        "digits.keras",
        "late.weights.h5",
        "whole.h5",
        "exported/saved_model.pb",
        "notes.txt",
    )
    found = likely_files(str(tmp_path / "model.ckpt-10"))
    assert [Path(path).name for path in found.models] == [
        "model.ckpt-10.meta",
        "digits.keras",
        "exported",
        "whole.h5",
        "model.ckpt-9.meta",
    ]
    assert found.others == (str(tmp_path / "model.ckpt-9"),)


def test_variables_belong_to_the_saved_model_above(tmp_path: Path) -> None:
    touched(tmp_path, "saved_model.pb", "variables/variables.index")
    found = likely_files(str(tmp_path / "variables" / "variables"))
    assert found.models == (str(tmp_path),)
    assert likely_files(str(tmp_path)).models == (str(tmp_path),)


def test_data_to_validate_with_comes_first_and_is_never_the_checkpoint(tmp_path: Path) -> None:
    touched(tmp_path, "a.npz", "train.csv", "digits-validation.npz", "x_test.tfrecord")
    found = likely_files(str(tmp_path / "a.npz"))
    assert [Path(path).name for path in found.data] == [
        "digits-validation.npz",
        "x_test.tfrecord",
        "train.csv",
    ]


def test_what_cannot_be_listed_has_nothing(tmp_path: Path) -> None:
    assert likely_files(str(tmp_path / "gone" / "model")).models == ()


def test_the_model_beside_a_checkpoint_is_proposed(
    opened: Open, bundle: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bundle.parent / "digits.keras"
    shutil.copy(demo_checkpoint().with_name("digits.keras"), model)
    window = opened(bundle)
    proposed: list[str] = []

    def take_it(_parent: object, _title: str, start: str, _kinds: str) -> tuple[str, str]:
        proposed.append(start)
        return start, ""  # as Return does

    monkeypatch.setattr(QFileDialog, "getOpenFileName", take_it)
    choose_model(window)
    qtbot.waitUntil(lambda: isinstance(window.view, RestoreView), timeout=TIMEOUT_MS)
    assert proposed == [str(model)]
    idle(window, qtbot)


def test_a_proposed_model_is_a_file_that_can_be_chosen(tmp_path: Path) -> None:
    touched(tmp_path, "ckpt-1.index", "exported/saved_model.pb")
    checkpoint = str(tmp_path / "ckpt-1")
    assert likely_model_file(checkpoint) == str(tmp_path / "exported" / "saved_model.pb")
    touched(tmp_path, "alone/net.keras")
    assert likely_model_file(str(tmp_path / "alone" / "net.keras")) == str(tmp_path / "alone")
