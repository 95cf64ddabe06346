"""Saving what is intact of a damaged checkpoint, from the window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PySide6.QtWidgets import QFileDialog, QMessageBox
from pytestqt.qtbot import QtBot

from ckptviewer.resources import demo_checkpoint
from tests.ui.conftest import TIMEOUT_MS, Open


def test_intact_variables_are_saved_and_verified(
    qtbot: QtBot, opened: Open, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tf.train.load_checkpoint(str(demo_checkpoint()))
    data = bundle.with_name(bundle.name + ".data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:100_000])
    window = opened(bundle)
    target = tmp_path / "saved"
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", staticmethod(lambda *_, **__: (str(target), ""))
    )
    with qtbot.waitSignal(window.rescuing.told, timeout=TIMEOUT_MS) as told:
        window.save_intact()
    assert "verified" in told.args[0]
    assert "17 damaged ones left out" in told.args[0]
    saved = tf.train.load_checkpoint(str(target))
    keys = saved.get_variable_to_shape_map()
    assert len(keys) == 17
    for key in keys:
        assert np.array_equal(saved.get_tensor(key), whole.get_tensor(key))


def test_an_existing_checkpoint_is_left_alone(
    qtbot: QtBot, opened: Open, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QMessageBox, "open", lambda _self: None)
    window = opened(demo_checkpoint())
    assert window.session is not None
    before = bundle.with_name(bundle.name + ".index").read_bytes()
    with qtbot.waitSignal(window.rescuing.told, timeout=TIMEOUT_MS) as told:
        window.rescuing.save(window.session, str(bundle))
    assert "already" in told.args[0]
    assert bundle.with_name(bundle.name + ".index").read_bytes() == before
