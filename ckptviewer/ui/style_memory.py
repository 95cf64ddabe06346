"""What Qt keeps of a style sheet for each widget, and when it lets go of that.

Qt keeps it until it hears that the widget is destroyed. It hears of all but two: the line edit in a
spin box (or in a combo box), and the frame of a combo box's list. These look as their owner does,
and are passed over when Qt begins to listen; yet they ask for their style while they are made, and
some 800 bytes are kept for each, for good.
"""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QFrame, QWidget

_CHILDREN = Qt.FindChildOption.FindDirectChildrenOnly


def forget_with(widget: QWidget) -> None:
    """Have Qt forget the style of all in `widget` when it is destroyed, which must be soon.

    Until then spin boxes and combo boxes in it may look otherwise than they did.
    """
    for part in _passed_over(widget):
        owner, flags = part.parentWidget(), part.windowFlags()
        part.setParent(None)  # Qt listens to what looks as nobody else does
        QApplication.style().polish(part)
        part.setParent(owner, flags)


def destroy_later(widget: QWidget) -> None:
    """Destroy a widget that is out of sight in the next turn of the event loop."""
    forget_with(widget)
    widget.deleteLater()


def _passed_over(widget: QWidget) -> Iterator[QWidget]:
    spins, combos = widget.findChildren(QAbstractSpinBox), widget.findChildren(QComboBox)
    if isinstance(widget, QAbstractSpinBox):
        spins.append(widget)
    elif isinstance(widget, QComboBox):
        combos.append(widget)
    for combo in combos:
        yield from combo.findChildren(QFrame, options=_CHILDREN)
    for edit in (*(spin.lineEdit() for spin in spins), *(combo.lineEdit() for combo in combos)):
        if edit is not None:
            yield edit
