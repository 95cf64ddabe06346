"""Asking for the file, or the directory, of a checkpoint."""

from __future__ import annotations

import os

from PySide6.QtWidgets import QFileDialog, QWidget

from ckptviewer.ui.settings import Settings

_CHECKPOINTS = (
    "Checkpoints (*.index *.data-* *.meta *.ckpt* checkpoint *.pb *.keras *.h5 *.hdf5 "
    "*.safetensors *.npz *.npy)"
)


def ask_for_file(parent: QWidget, settings: Settings, title: str, *more: str) -> str:
    """The file that is chosen; "" for none. more: other kinds of files, as Qt names them."""
    kinds = ";;".join((_CHECKPOINTS, *more, "All files (*)"))
    return QFileDialog.getOpenFileName(parent, title, _start(settings), kinds)[0]


def ask_for_directory(parent: QWidget, settings: Settings) -> str:
    """The directory that is chosen; "" for none."""
    title = "Open a directory of checkpoints"
    return QFileDialog.getExistingDirectory(parent, title, _start(settings))


def _start(settings: Settings) -> str:
    """Where what was opened last lies; in it, where it is a directory."""
    recent = settings.recent_files
    if not recent:
        return os.getcwd()
    return recent[0] if os.path.isdir(recent[0]) else os.path.dirname(recent[0])
