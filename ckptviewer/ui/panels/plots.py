"""What all plots of the window share: a plain view, dressed axes, a card at the pointer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QLabel, QWidget

from ckptviewer.checkpoint.text import number_text
from ckptviewer.ui.appearance import Appearance
from ckptviewer.ui.style_memory import forget_with


def make_plain(view: Any, name: str) -> None:
    """Take away from a plot of pyqtgraph's what the window does in its own way."""
    view.viewport().setFocusPolicy(Qt.FocusPolicy.NoFocus)
    view.setAccessibleName(name)
    view.setAcceptDrops(False)
    view.hideButtons()
    forget_with(view.getPlotItem().ctrl.decimateGroup)  # of the menu that nobody sees
    view.setFrameShape(view.Shape.NoFrame)


def hover_card(parent: QWidget) -> QLabel:
    """A hidden label for what the pointer reads, in front of what `parent` holds already."""
    card = QLabel(parent)
    card.setObjectName("card")
    card.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    card.setMargin(6)
    card.hide()
    return card


def dress_axis(axis: Any, label: str, appearance: Appearance) -> None:
    """Give an axis its label, and the colours and type of the window."""
    theme = appearance.theme
    axis.setPen(QColor(theme.line))
    axis.setTextPen(QColor(theme.muted))
    axis.setTickFont(appearance.small_font)
    axis.setStyle(tickLength=-4, autoExpandTextSpace=True)
    axis.enableAutoSIPrefix(False)
    axis.setLabel(label, color=theme.muted)


def plain_ticks(values: Sequence[float], scale: float, spacing: float) -> list[str]:
    """The texts of the ticks of a linear axis, as pyqtgraph asks for them."""
    return [number_text(round(value / spacing) * spacing, 6) for value in values]
