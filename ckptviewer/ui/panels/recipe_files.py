"""A validation's set-up as a file, or as a command line: taken, saved, copied."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QToolButton, QWidget

from ckptviewer.ui.panels.buttons import menu_button
from ckptviewer.ui.validating import Validating

if TYPE_CHECKING:
    from ckptviewer.validation.recipe import Recipe


class RecipeFiles(QObject):
    """Saves what the set-up says, and reads what another one said.

    opened: a Recipe. failed: the error. told: a short message.
    """

    opened = Signal(object)
    failed = Signal(object)
    told = Signal(str)

    def __init__(
        self,
        checkpoint: str,
        validating: Validating,
        recipe: Callable[[], Recipe | None],
        gain_runs: Callable[[], int],
        parent: QWidget,
    ) -> None:
        """recipe: what the set-up says; None where that makes no sense, which it tells itself.
        gain_runs: as of `validate`."""
        super().__init__(parent)
        self._checkpoint = checkpoint
        self._validating = validating
        self._recipe = recipe
        self._gain_runs = gain_runs
        self._parent = parent

    def button(self) -> QToolButton:
        """For the bar at the top: a menu of what can be done."""
        choices = (
            ("Open a recipe\u2026", self.choose),
            ("Save as recipe\u2026", self.ask_where),
            ("Copy as command line", self.copy_command),
        )
        return menu_button("Recipe", "Save this set-up, take another, or run it elsewhere", choices)

    def copy_command(self) -> None:
        """Put the command line of this validation on the clipboard."""
        from ckptviewer.validation.command import command_line, only_in_recipes

        recipe = self._recipe()
        if recipe is not None:
            text = command_line(recipe, gain_runs=self._gain_runs())
            QGuiApplication.clipboard().setText(text)
            missing = ", ".join(only_in_recipes(recipe))
            but = f"; only a recipe can say {missing}" if missing else ""
            self.told.emit(f"Copied the command line{but}")

    def ask_where(self) -> None:
        """Ask where to save the set-up, and save it."""
        start = f"{os.path.basename(self._checkpoint.rstrip('/'))}.toml"
        start = os.path.join(self._directory(), start)
        path, _ = QFileDialog.getSaveFileName(
            self._parent, "Save as recipe", start, "(*.toml *.json)"
        )
        if path:
            self.save(path)

    def save(self, path: str) -> None:
        """Save the set-up as a recipe, which `ckptviewer validate --recipe` runs."""
        from ckptviewer.validation.recipe import write_recipe

        recipe = self._recipe()
        if recipe is not None:
            self._validating.aside(
                lambda _cancel: write_recipe(recipe, path),
                lambda _none: self.told.emit(f"Saved {path}"),
                self.failed.emit,
            )

    def choose(self) -> None:
        """Ask for a recipe, and take its set-up."""
        path, _ = QFileDialog.getOpenFileName(
            self._parent, "Open a recipe", self._directory(), "(*.toml *.json)"
        )
        if path:
            self.open(path)

    def open(self, path: str) -> None:
        """Take the set-up of a recipe, for the checkpoint that is open."""
        from ckptviewer.validation.recipe import read_recipe

        self._validating.aside(
            lambda _cancel: read_recipe(path), self.opened.emit, self.failed.emit
        )

    def _directory(self) -> str:
        return os.path.dirname(os.path.abspath(self._checkpoint))
