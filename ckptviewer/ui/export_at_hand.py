"""Opens the page on which an export of the checkpoint of a window is put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ckptviewer.ui.main_window import MainWindow


def show_export(window: MainWindow) -> None:
    """Show the page, with what is selected in the tree."""
    from ckptviewer.ui.models_at_hand import show_validation
    from ckptviewer.ui.panels.export_view import ExportView

    if window.session is None or isinstance(window.view, ExportView):
        return
    view = ExportView(window.jobs, window.appearance, window.session, window.settings)
    if window.view is window.browser:
        view.start_from(window.browser.table.selected_items())
    view.open_wanted.connect(window.open_path)
    view.compare_wanted.connect(window.compare_with)
    view.validate_wanted.connect(
        lambda path: window.open_then(path, lambda: show_validation(window))
    )
    view.reopen_wanted.connect(window.open_again)
    window.show_view(view)
