"""The balance of an export: what it saves, in numbers and as a bar."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from ckptviewer.checkpoint.text import count_text, exact_size_text, plural, size_text
from ckptviewer.ui.appearance import Appearance


class Balance(QWidget):
    """Bytes before and after, and how many variables are kept."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self.title = QLabel("\u2013")
        self.title.setFont(appearance.title_font)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.bar = BalanceBar(appearance)
        self.note = QLabel()
        self.note.setObjectName("muted")
        self.note.setFont(appearance.text_font)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for widget in (self.title, self.bar, self.note):
            column.addWidget(widget)

    def show_bytes(self, before: int, after: int, kept: int, count: int) -> None:
        """Show sizes before and after in bytes, and how many of how many variables are kept."""
        self.title.setText(f"{size_text(before)} to {size_text(after)}")
        self.title.setToolTip(f"{exact_size_text(before)} to {exact_size_text(after)}")
        self.title.setAccessibleName(f"{size_text(before)} to {size_text(after)}")
        self.bar.show_share(after / before if before else 0.0)
        note = f"{count_text(kept)} of {plural(count, 'variable')} kept"
        if count and before and after < before:
            note += f", {1 - after / before:.0%} smaller"
        elif count and before and after > before:
            note += f", {after / before - 1:.0%} larger"
        self.note.setText(note)

    def show_nothing(self) -> None:
        """There is no plan, so nothing is known."""
        self.title.setText("\u2013")
        self.note.setText("Nothing can be planned as it is.")
        self.bar.show_share(0.0)


class BalanceBar(QWidget):
    """What remains of a whole."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__()
        self._appearance = appearance
        self.share = 0.0
        self.setFixedHeight(12)
        appearance.changed.connect(self.update)

    def show_share(self, share: float) -> None:
        """Show a share of the whole; more than 1 where it grows."""
        self.share = share
        self.setAccessibleName(f"{share:.0%} of the bytes remain")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(200, 12)

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = self._appearance.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        whole = QRectF(self.rect())
        painter.setBrush(QColor(theme.track))
        painter.drawRoundedRect(whole, 3, 3)
        if self.share > 0:
            width = whole.width()
            kept = QRectF(whole)
            kept.setWidth(max(3.0, width * min(1.0, self.share)))
            painter.setBrush(QColor(theme.bar))
            painter.drawRoundedRect(kept, 3, 3)
        if self.share > 1:  # where the old size ends within the new one
            painter.setBrush(QColor(theme.base))
            painter.drawRect(QRectF(whole.width() / self.share - 1, 0, 2, whole.height()))
