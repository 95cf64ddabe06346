"""Opens the pages that ask what a model makes of the open checkpoint: restore, and validation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog

from ckptviewer.ui.likely_files import likely_files

if TYPE_CHECKING:
    from ckptviewer.ui.main_window import MainWindow

_MODELS = (
    "Models and checkpoints (*.keras *.h5 *.hdf5 *.pb *.pbtxt *.meta *.index *.ckpt* checkpoint)"
)


def show_validation(window: MainWindow, model: str = "") -> None:
    """Show the page on which the open checkpoint is validated; model: chosen there."""
    from ckptviewer.ui.panels.validation_view import ValidationView

    session = window.session
    if session is None:
        return
    view = window.view
    if not isinstance(view, ValidationView):
        view = ValidationView(window.jobs, window.appearance, session, window.settings)
        view.export_wanted.connect(lambda keys: _export(window, keys))
        window.show_view(view)
    if model:
        view.choose_model(model)


def show_restore(window: MainWindow, model: str) -> None:
    """Show what of the open checkpoint would bind to a model, or to what wrote a checkpoint."""
    from ckptviewer.ui.panels.restore_view import RestoreView

    session = window.session
    if session is None:
        return
    if isinstance(window.view, RestoreView):
        window.leave_view()
    view = RestoreView(window.jobs, window.appearance, session, model)
    view.choose_wanted.connect(lambda: choose_model(window))
    view.validate_wanted.connect(lambda path: show_validation(window, path))
    window.show_view(view)


def choose_model(window: MainWindow) -> None:
    """Ask for a model or another checkpoint, and tell whether the open one restores into it."""
    session = window.session
    if session is None:
        return
    checkpoint = session.checkpoint.path

    def ask(likely: str) -> None:
        if window.session is not session:
            return
        title, kinds = "Will it restore into this model?", f"{_MODELS};;All files (*)"
        path, _ = QFileDialog.getOpenFileName(window, title, likely, kinds)
        if path:
            show_restore(window, path)

    window.jobs.ask(lambda: likely_model_file(checkpoint), ask)


def likely_model_file(checkpoint: str) -> str:
    """The file of the model that most likely belongs to a checkpoint; else its directory."""
    place = os.path.abspath(checkpoint)
    for model in likely_files(checkpoint).models:
        graphs = (os.path.join(model, f"saved_model.{ending}") for ending in ("pb", "pbtxt"))
        found = next(filter(os.path.isfile, (model, *graphs)), "")
        if found and model != place:
            return found
    return os.path.dirname(place)


def _export(window: MainWindow, keys: list[str]) -> None:
    """Show the page of an export with these variables as what is selected."""
    from ckptviewer.ui.panels.export_view import ExportView

    assert window.session is not None
    rows = {each.key: row for row, each in enumerate(window.session.checkpoint.variables)}
    window.export()
    if isinstance(window.view, ExportView):
        window.view.start_from([rows[key] for key in keys if key in rows])
