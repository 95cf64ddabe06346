"""Appearance: the theme and the fonts in force, and word when they change."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QFont, QGuiApplication
from PySide6.QtWidgets import QApplication

from ckptviewer.ui.theme import DARK, LIGHT, Theme, apply_theme, fixed_font, system_theme, tabular

THEMES = {"light": LIGHT, "dark": DARK}


class Appearance(QObject):
    """What everything that paints looks at. `changed` is emitted when the theme is another."""

    changed = Signal()

    def __init__(self, app: QApplication, choice: str = "system") -> None:
        """choice: "light", "dark" or "system"."""
        super().__init__()
        self._app = app
        self.choice = choice
        self.theme = self._chosen()
        self.text_font = tabular(app.font())
        self.small_font = QFont(self.text_font)
        self.small_font.setPointSizeF(self.text_font.pointSizeF() * 0.88)
        self.bold_font = QFont(self.text_font)
        self.bold_font.setWeight(QFont.Weight.DemiBold)
        self.badge_font = QFont(self.small_font)
        self.badge_font.setWeight(QFont.Weight.Bold)
        self.title_font = QFont(self.bold_font)
        self.title_font.setPointSizeF(self.text_font.pointSizeF() * 1.3)
        self.fixed_font = fixed_font()
        apply_theme(app, self.theme)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._refresh)

    def choose(self, choice: str) -> None:
        """Take "light", "dark" or "system" from now on."""
        self.choice = choice
        self._refresh()

    def _chosen(self) -> Theme:
        return THEMES.get(self.choice) or system_theme()

    def _refresh(self) -> None:
        theme = self._chosen()
        if theme is not self.theme:
            self.theme = theme
            apply_theme(self._app, theme)
            self.changed.emit()
