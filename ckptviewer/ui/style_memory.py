"""What Qt keeps of a style sheet for each widget, and when it lets go of that.

Qt keeps it until it hears that the widget is destroyed. It listens to all but those that look as
their owner does: the line edit in a spin box or a combo box, the frame of a combo box's list, what
scrolls in a scroll area. For each of them that asks for its style, as they do when they are made or
painted, it keeps some hundred bytes to two kilobytes for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractScrollArea,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFrame,
    QWidget,
)

_CHILDREN = Qt.FindChildOption.FindDirectChildrenOnly
Owner = TypeVar("Owner", bound=QWidget)


def destroy_later(widget: QWidget) -> None:
    """Destroy a widget that is out of sight in the next turn of the event loop."""
    forget_with(widget)
    widget.deleteLater()


def forget_with(widget: QWidget) -> None:
    """Have Qt forget the style of all in `widget` when it is destroyed, which must be soon.

    Until then what is in it may look otherwise than it did.
    """
    for part in _passed_over(widget):
        owner, flags = part.parentWidget(), part.windowFlags()
        part.setParent(None)  # Qt listens to what looks as nobody else does
        QApplication.style().polish(part)
        part.setParent(owner, flags)


def _passed_over(widget: QWidget) -> Iterator[QWidget]:
    for area in _within(widget, QAbstractScrollArea):
        yield area.viewport()
    combos = _within(widget, QComboBox)
    for combo in combos:
        yield from combo.findChildren(QFrame, options=_CHILDREN)
    edits = [spin.lineEdit() for spin in _within(widget, QAbstractSpinBox)]
    for edit in (*edits, *(combo.lineEdit() for combo in combos)):
        if edit is not None:
            yield edit


def _within(widget: QWidget, kind: type[Owner]) -> list[Owner]:
    found = widget.findChildren(kind)
    return [widget, *found] if isinstance(widget, kind) else found
